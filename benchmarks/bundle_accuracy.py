"""Accuracy of a bundle on unseen digital patients (in silico), the whole cascade.

    python -m benchmarks.bundle_accuracy [--bundle FOLDER] [--patients 20]

The patients come from seeds that no training uses; the figures of a bundle's model card
are made by the same steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pelvimets.model.bundle import load_segmenter
from pelvimets.training.measuring import measure_cascade


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, help="default: the shipped one")
    parser.add_argument("--patients", type=int, default=20, help="per sequence")
    arguments = parser.parse_args()
    segmenter = load_segmenter(arguments.bundle)
    print(f"{segmenter.name}, {arguments.patients} digital patients per sequence")
    for task, measures in measure_cascade(segmenter, arguments.patients).items():
        for name, value in measures.items():
            print(f"{task.value:8s} {name:32s} {value:.3f}")


if __name__ == "__main__":
    main()
