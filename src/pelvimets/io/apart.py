"""One piece of work in a process of its own, that can be stopped and may die."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from pelvimets.io.workers import fault_of

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOK_S = 0.2
_END_S = 5.0


class StoppedError(Exception):
    """The work was stopped from outside."""


class DiedError(Exception):
    """The process ended without a result, most likely for lack of memory."""


class FailedError(Exception):
    """The work failed unexpectedly; the message says where."""


def apart(
    work: Callable[[Item], Result], item: Item, stopped: Callable[[], bool] = lambda: False
) -> Result:
    """Do work in a new process that ends with this one.

    Args:
        work: A function of a module, as it is sent to the other process.
        item: Can be sent likewise, and the result back.
        stopped: Asked now and then whether to give up.

    Raises:
        StoppedError, DiedError, FailedError: if there is no result.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, work, item), daemon=True)
    process.start()
    theirs.close()
    try:
        while not ours.poll(_LOOK_S):
            if stopped():
                raise StoppedError
        fine, answer = ours.recv()
    except EOFError as error:
        raise DiedError from error
    finally:
        _end(process)
        ours.close()
    if not fine:
        raise FailedError(answer)
    return answer  # type: ignore[no-any-return]


def _end(process: Any) -> None:
    process.join(0 if process.exitcode is None else _END_S)
    if process.exitcode is None:
        process.terminate()
        process.join(_END_S)
    if process.exitcode is None:
        process.kill()
        process.join()


def _answer(pipe: Connection, work: Callable[[Any], Any], item: Any) -> None:
    from pelvimets.io.workers import end_with_parent

    end_with_parent()
    try:
        pipe.send((True, work(item)))
    except Exception as error:
        pipe.send((False, fault_of(error)))
