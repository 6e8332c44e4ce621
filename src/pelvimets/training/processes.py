"""The processes of one training: one, or several started by ``torchrun`` or SLURM."""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import cuda, distributed

from pelvimets.errors import PelvimetsError

_LONGEST_WAIT = timedelta(days=2)
T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those that train together.

    Attributes:
        rank: Number of this one, from 0.
        world: How many there are.
        local: How many of them are on one machine.
    """

    rank: int = 0
    world: int = 1
    local: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that prepares, writes and prints."""
        return self.rank == 0

    @property
    def machines(self) -> int:
        """How many machines there are."""
        return self.world // self.local


def launched() -> Processes:
    """What the launcher says of this process; a lone one without a launcher."""
    environment = cluster()
    if environment is None:
        return Processes()
    world = environment.world_size()
    if isinstance(environment, TorchElasticEnvironment):
        local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    else:
        local = max(1, world // int(os.environ.get("SLURM_NNODES", 1)))
    return Processes(environment.global_rank(), world, local)


def cluster() -> ClusterEnvironment | None:
    """Lightning's view of the launcher.

    SLURM's requeueing in the midst of an epoch is off: a run goes on from whole epochs.
    """
    with warnings.catch_warnings():  # a hint that srun is installed and was not used
        warnings.simplefilter("ignore")
        if TorchElasticEnvironment.detect():
            return TorchElasticEnvironment()
        if SLURMEnvironment.detect():
            return SLURMEnvironment(auto_requeue=False)
    return None


def first_alone(work: Callable[[], T]) -> T:
    """Do something on the first process while the others wait; all get its result.

    Raises:
        PelvimetsError: on all processes, if the first one raised it.
    """
    processes = launched()
    if processes.world == 1:
        return work()
    _meet(processes)
    waiting = distributed.new_group(backend="gloo", timeout=_LONGEST_WAIT)
    outcome: list[Any] = [None, None]
    if processes.first:
        try:
            outcome = [work(), None]
        except PelvimetsError as error:
            outcome = [None, error]
    distributed.broadcast_object_list(outcome, src=0, group=waiting)
    if outcome[1] is not None:
        raise outcome[1]
    result: T = outcome[0]
    return result


def gathered(items: list[T], processes: Processes) -> list[T]:
    """The items of all processes, in the order of their ranks."""
    if processes.world == 1:
        return items
    everyone: list[Any] = [None] * processes.world
    distributed.all_gather_object(everyone, items)
    return [item for theirs in everyone for item in theirs]


def _meet(processes: Processes) -> None:
    """Let the processes find each other; Lightning then uses the same connection."""
    environment = cluster()
    if distributed.is_initialized() or environment is None:
        return
    os.environ["MASTER_ADDR"] = environment.main_address
    os.environ["MASTER_PORT"] = str(environment.main_port)
    if cuda.is_available():
        cuda.set_device(environment.local_rank())
    distributed.init_process_group(
        "nccl" if cuda.is_available() else "gloo",
        rank=processes.rank,
        world_size=processes.world,
    )
    atexit.register(distributed.destroy_process_group)
