"""Where patients are worked on: this machine, or a cluster behind a Dask scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pelvimets.io.workers import Jobs

ClusterOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers do it, as tcp://HOST:8786."),
]


def workers(jobs: int, cluster: str | None) -> Jobs:
    """Patients at a time on this machine, or the cluster."""
    if cluster is None:
        return jobs
    from pelvimets.io.workers import Cluster

    return Cluster(cluster)
