"""How far a bundle bears what users bring: other b-values, 1.5 T, other T1, cut fields (in silico).

    python -m benchmarks.robustness [--bundle FOLDER] [--patients 4] [--out TABLE.md]

The same digital patients are examined with one thing changed at a time, so that a row differs
from the first one by that thing alone. Bones: mean DSC over the structures of at least 1 cm3
in the field. Lesions: recall and precision, paired by IoU of at least 0.1 as in the evaluation.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pelvimets.calibration.candidates import right_labels
from pelvimets.core.evidence import weigh_lesions
from pelvimets.core.findings import LesionMasks
from pelvimets.core.geometry import Geometry
from pelvimets.core.segmentation import segment_study
from pelvimets.core.segmenter import Segmenter
from pelvimets.core.volume import Volume
from pelvimets.evaluation import dice
from pelvimets.labels import Bone, Sequence
from pelvimets.model.bundle import load_segmenter
from pelvimets.phantom.choices import Population
from pelvimets.phantom.cohort.build import build_patient
from pelvimets.phantom.cohort.population import PatientPlan, draw_cohort
from pelvimets.phantom.physics.imaging import examine
from pelvimets.phantom.physics.scanner import AVANTO, DISCOVERY, Scanner

SEED = 95001
SMALLEST_CM3 = 1.0


@dataclass(frozen=True)
class Variant:
    """One change: of the scanner, or of the field (box in mm around the femoral heads)."""

    name: str
    scanner: Scanner = DISCOVERY
    box_mm: tuple[float, float, float] | None = None
    raised_mm: float = 0.0


def with_b(b: float) -> Scanner:
    diffusion = replace(DISCOVERY.diffusion, b_values_s_per_mm2=(0.0, b))
    return replace(DISCOVERY, diffusion=diffusion)


def without_dixon() -> Scanner:
    """A 2D spoiled gradient echo in phase at 3 T (TE 4.6 ms, TR 180 ms, 70 degrees)."""
    dixon = replace(DISCOVERY.dixon, te_in_ms=4.6, te_out_ms=3.45, tr_ms=180.0, flip_deg=70.0)
    return replace(DISCOVERY, dixon=dixon)


VARIANTS = (
    Variant("3 T, b 800, Dixon, whole pelvis"),
    Variant("b 500", with_b(500.0)),
    Variant("b 1000", with_b(1000.0)),
    Variant("b 1400", with_b(1400.0)),
    Variant("T1 gradient echo without Dixon", without_dixon()),
    Variant("1.5 T (avanto)", AVANTO),
    Variant("slab 60 x 260 x 260 mm", box_mm=(60.0, 260.0, 260.0)),
    Variant("slab 60 x 200 x 200 mm", box_mm=(60.0, 200.0, 200.0)),
    Variant("slab 80 x 160 x 160 mm", box_mm=(80.0, 160.0, 160.0)),
    Variant("upper half of the field", box_mm=(120.0, 450.0, 450.0), raised_mm=90.0),
)


def cropped(volume: Volume, variant: Variant, centre: np.ndarray) -> Volume:
    """The part of a volume whose voxels lie in the variant's box (axial images)."""
    if variant.box_mm is None:
        return volume
    middle = centre + np.array([0.0, 0.0, variant.raised_mm])
    half = np.asarray(variant.box_mm) / 2
    at = volume.geometry.to_index(middle)
    reach = half / np.asarray(volume.geometry.spacing)
    low = np.maximum(np.ceil(at - reach).astype(int), 0)
    high = np.minimum(np.floor(at + reach).astype(int) + 1, volume.geometry.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    matrix = volume.geometry.matrix.copy()
    matrix[:3, 3] = volume.geometry.to_lps(low)
    array = volume.array[box]
    return Volume(array, Geometry(array.shape, matrix))


@dataclass(frozen=True)
class Examined:
    """Image and truth of one sequence."""

    image: Volume
    bones: Volume
    lesions: Volume


def examined(plan: PatientPlan, variant: Variant) -> tuple[dict[Sequence, Examined], Volume]:
    imaged = examine(build_patient(plan.seed, plan.settings()), variant.scanner)
    diffusion = imaged.diffusion
    found: dict[Sequence, Examined] = {}
    for sequence, (image, truth) in imaged.read.items():
        heads = np.argwhere(truth.bones == Bone.FEMORAL_HEAD).mean(axis=0)
        centre = image.geometry.to_lps(heads)
        volumes = (image, *(image.with_array(array) for array in (truth.bones, truth.lesions)))
        found[sequence] = Examined(*(cropped(volume, variant, centre) for volume in volumes))
    adc = Volume(diffusion.adc_um2_per_s.astype(np.float32), diffusion.geometry)
    return found, adc


def bone_dsc(found: Volume, truth: Volume) -> list[float]:
    voxel = truth.geometry.voxel_volume_mm3 / 1000
    present = [b for b in Bone if (truth.array == b).sum() * voxel >= SMALLEST_CM3]
    return [dice(truth.array == b, found.array == b) for b in present]


def counts(found: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
    """Metastases found, metastases, lesions listed."""
    real = len(np.unique(truth[truth > 0]))
    return len(right_labels(found, truth)), real, len(np.unique(found[found > 0]))


def read(
    segmenter: Segmenter, images: dict[Sequence, Examined], adc: Volume
) -> tuple[dict[Sequence, Volume], LesionMasks]:
    found = segment_study({s: own.image for s, own in images.items()}, segmenter)
    bones = {s: one.whole_bones for s, one in found.items()}
    return bones, weigh_lesions(found, adc, segmenter.settings.lesions)


def half_with_metastases(patients: int) -> list[PatientPlan]:
    """The first men of a cohort, as many with metastases as without (one more with)."""
    drawn = draw_cohort(Population.EXTERNAL, 8 * patients, SEED)
    with_them = [plan for plan in drawn if plan.lesion_volumes_cm3]
    without = [plan for plan in drawn if not plan.lesion_volumes_cm3]
    return with_them[: patients - patients // 2] + without[: patients // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, help="default: the shipped one")
    parser.add_argument("--patients", type=int, default=4)
    parser.add_argument("--out", type=Path, help="write the table there as well")
    arguments = parser.parse_args()
    segmenter = load_segmenter(arguments.bundle)
    plans = half_with_metastases(arguments.patients)
    lines = [
        f"{segmenter.name}, {len(plans)} digital patients, half of them with metastases, in silico",
        "",
        "| changed | bones DWI, DSC | bones T1, DSC | lesions DWI, recall; precision "
        "| lesions T1, recall; precision |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for variant in VARIANTS:
        dsc: defaultdict[Sequence, list[float]] = defaultdict(list)
        tally: defaultdict[Sequence, np.ndarray] = defaultdict(lambda: np.zeros(3, int))
        for plan in plans:
            images, adc = examined(plan, variant)
            bones, masks = read(segmenter, images, adc)
            for sequence, own in images.items():
                dsc[sequence] += bone_dsc(bones[sequence], own.bones)
                found = masks[sequence].array
                tally[sequence] += counts(found, own.lesions.array)
        cells = [f"{np.mean(dsc[s]):.3f}" for s in Sequence]
        for s in Sequence:
            hit, real, listed = tally[s]
            cells.append(f"{hit} of {real}; {hit} of {listed}")
        lines.append(f"| {variant.name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
