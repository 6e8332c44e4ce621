"""Pictures of digital patients for the documentation: ``python docs/make_gallery.py [OUT]``.

Writes ``patient.png``, ``lesions.png``, ``mimics.png``, ``artefacts.png`` and ``scanners.png``.
The same command gives the same pictures.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import resample_image
from pelvimets.core.volume import Volume
from pelvimets.phantom.anatomy.patient import DigitalPatient, MimicKind
from pelvimets.phantom.choices import Artefacts
from pelvimets.phantom.cohort.build import PatientSettings, build_patient
from pelvimets.phantom.disease.mimics import MimicSettings
from pelvimets.phantom.physics.imaging import ImagedPatient, examine
from pelvimets.phantom.physics.scanner import DISCOVERY, SCANNERS, Scanner
from pelvimets.phantom.physics.sequences import DixonImage

BONE, LESION, MIMIC = (255, 200, 0), (255, 40, 110), (60, 220, 255)
SEED = 2  # a man whose vessels lie inside the field
FEW_SLICES_Z_MM = -57.0
Tile = tuple[str, Image.Image]


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "gallery"
    out.mkdir(parents=True, exist_ok=True)
    settings = PatientSettings(
        metastases_probability=1.0,
        lesion_volumes_cm3=(14.0, 6.0, 3.0, 1.5, 0.8),
        mimics=MimicSettings(always=True),
    )
    patient = build_patient(SEED, settings)
    imaged = examine(patient, DISCOVERY)
    pictures: dict[str, tuple[Callable[[], list[Tile]], int]] = {
        "patient": (lambda: patient_tiles(imaged), 4),
        "lesions": (lambda: lesion_tiles(imaged), 4),
        "mimics": (lambda: mimic_tiles(imaged), 6),
        "scanners": (lambda: scanner_tiles(patient), 4),
        "artefacts": (lambda: artefact_tiles(patient), 4),
    }
    for name, (tiles, columns) in pictures.items():
        sheet(tiles(), columns).save(out / f"{name}.png", optimize=True)
        print(out / f"{name}.png", flush=True)


def views(imaged: ImagedPatient) -> dict[str, tuple[np.ndarray, Geometry, Any]]:
    """Image, grid and truth of each sequence."""
    diffusion, dixon = imaged.diffusion, imaged.dixon
    return {
        "DWI": (diffusion.by_b[max(diffusion.by_b)], diffusion.geometry, diffusion.truth),
        "T1": (dixon.images[DixonImage.IN_PHASE], dixon.geometry, dixon.truth),
    }


def picture(
    image: np.ndarray,
    geometry: Geometry,
    k: int,
    width: int = 300,
    masks: Iterable[tuple[np.ndarray, tuple[int, int, int]]] = (),
    high: float | None = None,
) -> Image.Image:
    """One slice with square pixels and the outlines of masks."""
    high = high or float(np.percentile(image, 99.6))
    grey = (np.clip(image[k] / high, 0, 1) ** 0.85 * 255).astype(np.uint8)
    size = width, round(width * geometry.extent_mm()[1] / geometry.extent_mm()[2])
    rgb = np.array(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB"))
    for mask, colour in masks:
        drawn = np.array(
            Image.fromarray(mask[k].astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
        )
        rgb[ndimage.grey_dilation(drawn, 3) != ndimage.grey_erosion(drawn, 3)] = colour
    return Image.fromarray(rgb)


def slice_at(geometry: Geometry, z_mm: float) -> int:
    """Slice nearest to a height, at the middle of the field."""
    middle = (np.array(geometry.shape) - 1) / 2
    x, y, _ = geometry.to_lps(middle)
    return int(np.clip(round(geometry.to_index([x, y, z_mm])[0]), 0, geometry.shape[0] - 1))


def patient_tiles(imaged: ImagedPatient) -> list[Tile]:
    tiles = []
    for name, (image, geometry, truth) in views(imaged).items():
        for outlined in (False, True):
            for z_mm in (-30, 5, 60, 115):
                masks = ((truth.bones, BONE), (truth.lesions, LESION)) if outlined else ()
                tile = picture(image, geometry, slice_at(geometry, z_mm), masks=masks)
                tiles.append((f"{name}, z = {z_mm} mm", tile))
    return tiles


def close_up(
    image: np.ndarray, geometry: Geometry, mask: np.ndarray, colour: tuple[int, int, int] | None
) -> Image.Image:
    """The slice that shows most of a finding, 110 mm around it."""
    k = int(mask.sum(axis=(1, 2)).argmax())
    centre = np.argwhere(mask[k]).mean(axis=0) if mask[k].any() else np.array(mask.shape[1:]) / 2
    width = 900
    whole = picture(image, geometry, k, width, ((mask, colour),) if colour else ())
    per_mm = width / geometry.extent_mm()[2]
    y, x = centre * np.array(geometry.spacing[1:]) * per_mm
    half = 55 * per_mm
    box = tuple(round(v) for v in (x - half, y - half, x + half, y + half))
    return whole.crop(box).resize((200, 200), Image.Resampling.BICUBIC)


def lesion_tiles(imaged: ImagedPatient) -> list[Tile]:
    tiles = []
    for lesion in imaged.patient.lesion_table:
        title = f"{lesion.kind.value}, {lesion.bone.title}, {lesion.volume_cm3:.1f} cm3"
        for name, (image, geometry, truth) in views(imaged).items():
            for colour in (None, LESION):
                mask = truth.lesions == lesion.number
                if mask.any():
                    tiles.append((f"{name}: {title}", close_up(image, geometry, mask, colour)))
    return tiles


def mimic_tiles(imaged: ImagedPatient) -> list[Tile]:
    tiles = []
    for kind in MimicKind:
        for name, (image, geometry, truth) in views(imaged).items():
            mask = truth.mimics == kind.label
            if not mask.any():
                continue
            largest, count = ndimage.label(mask)
            sizes = ndimage.sum_labels(mask, largest, range(1, count + 1))
            one = largest == int(np.argmax(sizes)) + 1
            for colour in (None, MIMIC) if name == "T1" else (None,):
                title = f"{name}: {kind.value.replace('_', ' ')}"
                tiles.append((title, close_up(image, geometry, one, colour)))
    return tiles


def slab(patient: DigitalPatient, z_mm: float, half_mm: float = 36.0) -> DigitalPatient:
    """A part of a patient, moved to where few slices lie, to scan many times."""
    low, high = (round(patient.geometry.to_index([0, 0, z_mm + d])[0]) for d in (-half_mm, half_mm))
    shape = (high - low, *patient.geometry.shape[1:])
    matrix = patient.geometry.matrix.copy()
    matrix[:3, 3] = patient.geometry.to_lps([low, 0, 0])
    matrix[2, 3] += FEW_SLICES_Z_MM - z_mm
    names = ("tissue", "marrow_fat_percent", "bones", "lesions", "mimics")
    arrays = {name: getattr(patient, name)[low:high] for name in names}
    return replace(patient, geometry=Geometry(shape, matrix), **arrays)


def few_slices(scanner: Scanner) -> Scanner:
    """The same scanner with the slices around the centre only."""
    diffusion, dixon = scanner.diffusion, scanner.dixon
    return replace(
        scanner,
        diffusion=replace(diffusion, field=replace(diffusion.field, slices=3)),
        dixon=replace(dixon, field=replace(dixon.field, slices=12)),
    )


def artefact_tiles(patient: DigitalPatient) -> list[Tile]:
    """Each artefact strong, beside none; the field stands where three slices put it."""
    part = slab(patient, 12.0)
    scanner = few_slices(DISCOVERY)
    usual = {"motion": 6.0, "ghost": 6.0, "breathing": 8.0, "noise": 3.0, "texture": 3.0}
    shows = {"breathing": "T1", "coil_bias": "T1", "motion": "T1", "chemical_shift": "T1"}
    tiles = []
    still = Artefacts.none()
    clean = views(examine(part, scanner, artefacts=still))
    for name in Artefacts.named():
        if name in _OF_THE_FIELD:
            continue
        strength = usual.get(name, 2.5)
        strong = views(examine(part, scanner, artefacts=still.with_strength(**{name: strength})))
        sequence = shows.get(name, "DWI")
        high = float(np.percentile(clean[sequence][0], 99.6))
        for title, images in ((f"{sequence}: none", clean), (f"{sequence}: {name}", strong)):
            image, geometry, _ = images[sequence]
            k = geometry.shape[0] // 2
            tiles.append((title.replace("_", " "), picture(image, geometry, k, high=high)))
    return tiles + field_tiles(patient)


_OF_THE_FIELD = ("tilt", "cut_off")


def field_tiles(patient: DigitalPatient) -> list[Tile]:
    """What changes where the field lies, in patient space: the whole man, seen from the side."""
    tiles = []
    for name in _OF_THE_FIELD:
        strong = Artefacts.none().with_strength(**{name: 2.0})
        number = examination_with(patient, strong)
        for title, artefacts in (("none", Artefacts.none()), (name.replace("_", " "), strong)):
            imaged = examine(patient, DISCOVERY, artefacts=artefacts, examination_number=number)
            image, geometry, _ = views(imaged)["T1"]
            tiles.append((f"T1 from the side: {title}", sagittal(image, geometry)))
    return tiles


def examination_with(patient: DigitalPatient, artefacts: Artefacts) -> int:
    """The first examination of this man in which a rare artefact of the field occurs."""
    part, scanner = slab(patient, 12.0, 12.0), few_slices(DISCOVERY)
    for number in range(100):
        usual, strong = (
            examine(part, scanner, artefacts=choice, examination_number=number).dixon.geometry
            for choice in (Artefacts.none(), artefacts)
        )
        if not usual.matches(strong, tolerance_mm=10.0):
            return number
    raise LookupError("the artefact occurs in none of 100 examinations")


def sagittal(image: np.ndarray, geometry: Geometry) -> Image.Image:
    """A sagittal cut of patient space through the middle of the field, head up."""
    x = geometry.corners()[:, 0].mean()
    plane = Geometry.from_axes((200, 160, 1), (2.0, 2.0, 2.0), (x, -170.0, -170.0))
    cut = resample_image(Volume(image, geometry), plane, outside=0.0).array[::-1, :, 0]
    grey = np.clip(cut / np.percentile(image, 99.6), 0, 1) * 255
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB").resize((240, 300))


def scanner_tiles(patient: DigitalPatient) -> list[Tile]:
    part = slab(patient, 12.0)
    tiles = []
    for scanner in SCANNERS.values():
        found = views(examine(part, few_slices(scanner)))
        for name, (image, geometry, _) in found.items():
            k = geometry.shape[0] // 2
            title = f"{name}: {scanner.model}, {scanner.field_strength_t:g} T"
            tiles.append((title, picture(image, geometry, k)))
    return tiles


def sheet(tiles: list[Tile], columns: int) -> Image.Image:
    """Tiles in rows with their titles."""
    width = max(tile.width for _, tile in tiles) + 4
    height = max(tile.height for _, tile in tiles) + 18
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * width, rows * height), (24, 24, 24))
    draw = ImageDraw.Draw(page)
    for n, (title, tile) in enumerate(tiles):
        x, y = n % columns * width, n // columns * height
        draw.text((x + 4, y + 3), title, fill=(230, 230, 230))
        page.paste(tile, (x + 2, y + 16))
    return page


if __name__ == "__main__":
    main()
