"""A job of NVFLARE by which sites train one network together; images stay where they are.

    python docs/federated/job.py bones --sites 3 --epochs 60 --export JOB
    python docs/federated/job.py bones --simulate COHORTS --epochs 60 -o RUNS

The first writes the job, for the administrator to submit; each site has PELVIMETS_COHORT and
PELVIMETS_RUN in the environment of its client. The second runs it on this machine, with each
cohort in the folder COHORTS as a site. More arguments go to 'pelvimets train' at each site.
"""

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.fuel.utils.constants import FrameworkType
from nvflare.job_config.api import FedJob
from nvflare.job_config.script_runner import ScriptRunner

from pelvimets.model_development.train import run_settings
from pelvimets.requests.train import TrainRequest
from pelvimets.training.federated import rounds_of

SITE = Path(__file__).with_name("site.py")
PLACES = ("--data", "$PELVIMETS_COHORT", "-o", "$PELVIMETS_RUN")


def job_of(sites: dict[str, list[str]], count: int, rounds: int, python: str) -> FedJob:
    """A mean of all sites in each round; arguments for each site by name, or for all."""
    job = FedJob(name="pelvimets", min_clients=count)
    job.to_server(FedAvg(num_clients=count, num_rounds=rounds))
    for name, words in sites.items():
        runner = ScriptRunner(
            script=str(SITE),
            script_args=shlex.join(words),
            launch_external_process=True,
            command=f"{python} -u",
            framework=FrameworkType.RAW,
        )
        if name:
            job.to(runner, name)
        else:
            job.to_clients(runner)
    return job


def rounds_for(task: str, epochs: int | None, settings: Path | None) -> int:
    """As many rounds as a site's training has validations, and one."""
    request = TrainRequest(task, Path("-"), Path("-"), epochs=epochs, settings=settings)
    return rounds_of(run_settings(request))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["bones", "lesions"])
    parser.add_argument("--sites", type=int, default=3, help="how many must take part")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--settings", type=Path, help="the same file for all sites")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--export", type=Path)
    where.add_argument("--simulate", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs"))
    given, more = parser.parse_known_args()
    rounds = rounds_for(given.task, given.epochs, given.settings)
    words = [given.task, *more]
    words += [] if given.epochs is None else ["--epochs", str(given.epochs)]
    if given.export is not None:
        words += [] if given.settings is None else ["--settings", f"custom/{given.settings.name}"]
        job = job_of({"": [*words, *PLACES]}, given.sites, rounds, "python3")
        job.export_job(str(given.export))
        if given.settings is not None:  # travels with the job
            shutil.copy(given.settings, given.export / job.name / "app" / "custom")
        return
    words += [] if given.settings is None else ["--settings", str(given.settings.absolute())]
    cohorts = sorted(p for p in given.simulate.absolute().iterdir() if p.is_dir())
    runs = given.out.absolute()
    sites = {c.name: [*words, "--data", str(c), "-o", str(runs / c.name)] for c in cohorts}
    job = job_of(sites, len(sites), rounds, sys.executable)
    failed = job.simulator_run(str(runs / ".nvflare"), clients=list(sites), threads=len(sites))
    if failed:
        raise SystemExit(f"The job failed; its logs lie in {runs / '.nvflare'}")


if __name__ == "__main__":
    main()
