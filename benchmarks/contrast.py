"""Signal ratios that the contrast check judges, and how often it is wrong.

    for s in discovery achieva intera avanto; do
      pelvimets phantom cohort --like lesions --patients 6 --seed 11 --scanner $s -o COHORTS/$s
      pelvimets predict COHORTS/$s -o RESULTS/$s
    done
    python benchmarks/contrast.py RESULTS/*/*

Each argument is the result of one study. Its images are judged as what they are (false alarms),
inverted, and each as the other sequence (missed). Bones are those that the networks found.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pelvimets.core.contrast import contrast_flags, contrast_of
from pelvimets.core.volume import Volume
from pelvimets.io.nifti.files import read_nifti
from pelvimets.labels import Sequence


@dataclass(frozen=True)
class Image:
    sequence: Sequence
    image: Volume
    bones: Volume

    @property
    def inverted(self) -> Volume:
        return self.image.with_array(float(self.image.array.max()) - self.image.array)

    def flagged(self, image: Volume, sequence: Sequence) -> bool:
        return bool(contrast_flags(image, self.bones, sequence))


def images_of(result: Path) -> list[Image]:
    found = []
    for sequence in Sequence:
        bones = result / f"{sequence}_bones.nii.gz"
        if bones.is_file():
            image = read_nifti(result / "images" / f"{sequence}.nii.gz")
            found.append(Image(sequence, image, read_nifti(bones)))
    return found


def show_ratios(images: list[Image]) -> None:
    for sequence in Sequence:
        measured = [contrast_of(i.image, i.bones) for i in images if i.sequence is sequence]
        for name in ("fatty_over_red", "marrow_over_muscle"):
            values = [v for m in measured if (v := getattr(m, name)) is not None]
            if values:
                low, middle, high = np.percentile(values, (0, 50, 100))
                print(f"{sequence.title:<14} {name:<20} {low:.2f} - {middle:.2f} - {high:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+")
    images = [i for result in parser.parse_args().results for i in images_of(result)]
    print(f"{len(images)} images (lowest - median - highest)")
    show_ratios(images)
    for sequence in Sequence:
        of_kind = [i for i in images if i.sequence is sequence]
        other = Sequence.T1 if sequence is Sequence.DWI else Sequence.DWI
        alarms = sum(i.flagged(i.image, sequence) for i in of_kind)
        inverted = sum(i.flagged(i.inverted, sequence) for i in of_kind)
        swapped = sum(i.flagged(i.image, other) for i in of_kind)
        print(
            f"{sequence.title:<14} of {len(of_kind)}: flagged as they are {alarms}, "
            f"inverted {inverted}, given as {other.title} {swapped}"
        )


if __name__ == "__main__":
    main()
