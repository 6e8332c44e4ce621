"""What a bundle makes of real pelves in which no metastasis is known: nearly all it lists is false.

    python -m benchmarks.real_scans IMAGE.nii.gz ... STUDY.zip [--bundle FOLDER] [--out FOLDER]

NIfTI files are read as T1, everything else as a DICOM study. Prints, for each, the bones found,
the lesions listed, the highest lesion score and the statement; with ``--out`` it writes three
coronal planes of each with the outlines of bones and the lesions filled.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

import pelvimets
from pelvimets.core.geometry import Geometry
from pelvimets.core.resample import resample_image, resample_labels
from pelvimets.labels import LESION_COLOUR, Bone, Sequence
from pelvimets.report.data import suspicion_wording

STEP_MM = 1.5
PLANES = (0.3, 0.5, 0.7)
"""Of the depth of the bones, from front to back."""


def main() -> None:
    """Print the table; write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    print("| scan | sequence | bones, cm3 | lesions listed | highest score | statement |")
    print("|---|---|---|---|---|---|")
    counts = []
    for path in arguments.studies:
        result = pelvimets.predict(opened(path), bundle=arguments.bundle)
        counts.append(len(result.findings.lesions))
        for row in rows(path.name.split(".")[0], result):
            print(f"| {' | '.join(row)} |", flush=True)
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
            for sequence in result.bones.by_sequence:
                name = f"{path.name.split('.')[0]}_{sequence.value}.png"
                Image.fromarray(picture(result, sequence)).save(arguments.out / name)
    print(f"\nLesions listed per scan: {np.mean(counts):.2f}")


def opened(path: Path) -> pelvimets.Study:
    """A study of one T1 image, or a DICOM study."""
    nifti = path.name.endswith((".nii", ".nii.gz"))
    return pelvimets.read_study(t1=path) if nifti else pelvimets.read_study(path)


def rows(name: str, result: pelvimets.Result) -> list[tuple[str, ...]]:
    """One for each sequence."""
    found: list[tuple[str, ...]] = []
    for sequence, bones in result.bones.by_sequence.items():
        own = result.findings.sequences[sequence]
        voxel_cm3 = np.prod(bones.geometry.spacing) / 1000
        found.append(
            (
                name,
                sequence.title,
                f"{(bones.array > 0).sum() * voxel_cm3:.0f}",
                str(len(own.lesions)),
                f"{max((lesion.score for lesion in own.lesions), default=0.0):.2f}",
                suspicion_wording(result.findings),
            )
        )
    return found


def picture(result: pelvimets.Result, sequence: Sequence) -> np.ndarray:
    """Coronal planes side by side, (rows, columns, 3)."""
    image, bones = result.study.images[sequence], result.bones[sequence]
    grid = isotropic(image.geometry)
    grey = resample_image(image, grid, outside=0.0).array
    labels = resample_labels(bones, grid).array
    lesions = resample_labels(result.lesions[sequence], grid).array > 0
    depth = np.flatnonzero((labels > 0).any(axis=(0, 2)))
    if depth.size == 0:
        depth = np.arange(grid.shape[1])
    at = [int(np.quantile(depth, share)) for share in PLANES]
    high = np.percentile(image.array, 99.5)
    planes = [painted(grey[:, y], labels[:, y], lesions[:, y], float(high)) for y in at]
    return np.concatenate(planes, axis=1)[::-1]


def isotropic(geometry: Geometry) -> Geometry:
    """A head-up grid over the field."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in geometry.shape])).reshape(3, -1).T
    places = geometry.to_lps(corners)
    low, high = places.min(axis=0), places.max(axis=0)
    x, y, z = (int((b - a) / STEP_MM) + 1 for a, b in zip(low, high, strict=True))
    return Geometry.from_axes((z, y, x), (STEP_MM,) * 3, (low[0], low[1], low[2]))


def painted(grey: np.ndarray, labels: np.ndarray, lesions: np.ndarray, high: float) -> np.ndarray:
    """Grey values with outlines of the bones, and lesions filled."""
    rgb = np.repeat(np.clip(255 * grey / max(high, 1e-6), 0, 255)[..., None], 3, axis=2)
    for bone in Bone:
        mask = labels == bone
        rgb[mask & ~ndimage.binary_erosion(mask)] = bone.colour
    rgb[lesions] = LESION_COLOUR
    return rgb.astype(np.uint8)


if __name__ == "__main__":
    main()
