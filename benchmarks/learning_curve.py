"""What more patients and more time would buy, and what an anatomy never seen costs (in silico).

    python -m benchmarks.learning_curve [--out build/learning_curve] [--minutes 3] [--threads 2]

The bone network learns on the coarse grid for the same minutes from 6 to 384 digital patients,
then for a half and twice the time; and from one anatomy alone, measured on the other. Each run
is kept in ``OUT`` and not made again; ``OUT/learning_curve.md`` holds the tables.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.architectures import Budget, first_patients, settings_of, store, train, validated

VALIDATION = 8
SOURCES = ("mesh", "ct")


@dataclass(frozen=True)
class Run:
    """One training: how many patients of which anatomies, measured on which, for how long."""

    patients: int
    minutes: float
    learned: tuple[str, ...] = SOURCES
    measured: tuple[str, ...] = SOURCES

    @property
    def name(self) -> str:
        anatomies = f"{'+'.join(self.learned)}_on_{'+'.join(self.measured)}"
        return f"{self.patients}_{self.minutes:g}min_{anatomies}"


def by_patients(minutes: float) -> list[Run]:
    return [Run(n, minutes) for n in (6, 24, 96, 384)]


def by_time(minutes: float) -> list[Run]:
    return [Run(384, minutes * factor) for factor in (0.5, 1.0, 2.0)]


def by_anatomy(minutes: float) -> list[Run]:
    return [Run(96, minutes, learned, ("ct",)) for learned in (SOURCES, ("mesh",))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/learning_curve"))
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    tables = {
        "patients": by_patients(arguments.minutes),
        "minutes": by_time(arguments.minutes),
        "anatomies learned": by_anatomy(arguments.minutes),
    }
    lines = []
    for title, runs in tables.items():
        lines += [f"| {title} | steps | DSC, DWI | DSC, T1 |", "|---|---|---|---|"]
        for run in runs:
            lines.append(row(title, run, result(run, arguments.out, arguments.threads)))
        lines.append("")
    text = "\n".join(lines)
    (arguments.out / "learning_curve.md").write_text(text, encoding="utf-8")
    print(text)


def row(title: str, run: Run, found: dict[str, Any]) -> str:
    first = {
        "patients": f"{run.patients}",
        "minutes": f"{run.minutes:g}",
        "anatomies learned": f"{' and '.join(run.learned)}, measured on {', '.join(run.measured)}",
    }[title]
    return f"| {first} | {found['steps']} | {found['dice_dwi']:.3f} | {found['dice_t1']:.3f} |"


def result(run: Run, out: Path, threads: int) -> dict[str, Any]:
    kept = out / f"{run.name}.json"
    if not kept.is_file():
        print(f"{run.name} ...", flush=True)
        found = measured(run, out, threads)
        kept.write_text(json.dumps({**asdict(run), **found}, indent=2) + "\n", encoding="utf-8")
    loaded: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return loaded


def measured(run: Run, out: Path, threads: int) -> dict[str, Any]:
    import torch

    from pelvimets.model.variants import make_network
    from pelvimets.training.run import keep_freed_memory

    torch.set_num_threads(threads)
    keep_freed_memory()
    budget = Budget(run.minutes, None, run.patients, VALIDATION, "coarse", threads)
    settings = settings_of("unet", budget)
    learned, tested = (out / "+".join(names) for names in (run.learned, run.measured))
    draw(settings, learned, run.learned, run.patients, 0)
    draw(settings, tested, run.measured, 0, VALIDATION)
    torch.manual_seed(settings.seed)
    network = make_network(settings.network, *settings.task.channels)
    seconds = train(network, settings, first_patients(learned, budget))
    dice = validated(network, settings.network.multiple_of, settings, budget, tested)
    return {"steps": len(seconds), **dice}


def draw(
    settings: Any, folder: Path, sources: tuple[str, ...], patients: int, validation: int
) -> None:
    from pelvimets.model_development.samples import draw_pool
    from pelvimets.training.phantom_samples import validation_samples
    from pelvimets.training.pool import PhantomPool

    grid, intensity = settings.sample_grid, settings.intensity
    pool = PhantomPool(patients, simulated=0, sources=sources)
    draw_pool(folder / "samples/train", grid, intensity, pool)
    kept = store(folder, "validation")
    if len(kept.names()) < 2 * validation:
        for sample in validation_samples(validation, grid, intensity, sources):
            kept.write(sample)


if __name__ == "__main__":
    main()
