# SPDX-License-Identifier: Apache-2.0
"""Several processes that ``torchrun`` started: who is who, what is whose, one error for all.

In one process every function here changes nothing.
"""

import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Dataset, Subset

from spikewright.errors import SpikewrightError

__all__ = [
    "ProcessError",
    "count",
    "exchange",
    "joined",
    "one_error",
    "rank",
    "shard",
    "share",
    "stoppable",
    "total",
]

T_value = TypeVar("T_value")


class ProcessError(SpikewrightError, RuntimeError):
    """A process has died, cannot be reached, or was told to stop.

    Args:
        text: The message.
        rank: The number of that process.
    """

    def __init__(self, text: str, rank: int | None = None) -> None:
        super().__init__(text)
        self.rank = rank


def rank() -> int:
    """Return the number of this process, 0 if it is alone."""
    return dist.get_rank() if _several() else 0


def count() -> int:
    """Return how many processes work together."""
    return dist.get_world_size() if _several() else 1


@contextmanager
def joined(device: torch.device, wait: timedelta | None = None) -> Iterator[None]:
    """Meet the other processes if ``torchrun`` started this one and nobody has done so yet.

    Args:
        device: Where the tensors are that will be exchanged.
        wait: How long one process may wait for another, torch's own limit if None. It matters
            only for a process that hangs or whose machine is gone: one that ends closes its
            connections, and the others know at once. The first process then says whom it has given
            up, and all others that they have lost the first one.
    """
    mine = dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized()
    if mine:
        if wait is not None and os.environ["RANK"] != "0":
            # The first process waits for one after the other, and they all wait for it.
            wait = wait * int(os.environ["WORLD_SIZE"])
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=wait)
    try:
        yield
    finally:
        if mine:
            dist.destroy_process_group()


def share(chosen: Tensor) -> Tensor:
    """Return this process's part of a batch: every n-th item, nothing added to make parts equal."""
    return chosen[rank() :: count()]


def shard(items: Dataset[Any]) -> Subset[Any]:
    """Return this process's part of a set: every n-th item, nothing added to make parts equal.

    Args:
        items: A set with a length.

    Returns:
        Items rank, rank + n, rank + 2n, …; none if there are too few.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> len(shard(TensorDataset(torch.zeros(7, 2))))
        7
    """
    length = len(items)  # type: ignore[arg-type]  # map-style, but torch declares no __len__
    return Subset(items, range(rank(), length, count()))


def total(values: Tensor) -> Tensor:
    """Return the sum over all processes."""
    if _several():
        values = values.clone()
        dist.all_reduce(values)
    return values


def exchange(mine: T_value) -> list[T_value]:
    """Give every process what each of them has; all must call it.

    Ctrl-C waits until it is over, and so does SIGTERM inside :func:`stoppable`.

    Args:
        mine: What this one has; it is pickled.

    Returns:
        One value a process, in the order of their numbers.

    Raises:
        ProcessError: If a process has died or cannot be reached.

    Example:
        >>> exchange("alone")
        ['alone']
    """
    if not _several():
        return [mine]
    held = [signal.SIGINT]
    if signal.getsignal(signal.SIGTERM) is _stop:
        held.append(signal.SIGTERM)
    with _held(held) as came:
        values: list[T_value] = _collect(mine) if rank() == 0 else _hand_in(mine)
    if signal.SIGTERM in came:
        _stop()
    return values


@contextmanager
def one_error() -> Iterator[None]:
    """Let all processes fail with the same error if one of them fails inside; all must enter.

    Nothing inside may wait for other processes: those that have failed do not answer.

    Raises:
        SpikewrightError: What one of them raised, with its number unless all say the same.
        KeyboardInterrupt: If one was interrupted.
        RuntimeError: If one failed in a way that is nobody's mistake but the program's.
        ProcessError: If a process has died or cannot be reached.
    """
    own: BaseException | None = None
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not _several():
            raise
        own = error
    told = exchange(None if own is None else _told(own))
    failed = {number: failure for number, failure in enumerate(told) if failure is not None}
    if not failed:
        return
    texts = {None if failure is None else failure.text for failure in told}
    if own is not None and len(texts) == 1:
        raise own
    # One that was told to stop has only heard of what happened elsewhere.
    first = min(failed, key=lambda n: (failed[n].kind is ProcessError, n))
    raise failed[first].error(first) from own


@contextmanager
def stoppable() -> Iterator[None]:
    """Make SIGTERM an error; ``torchrun`` sends it to all processes when one of them has ended.

    After an error SIGTERM is ignored, so that the process can still say what was wrong.

    Raises:
        ProcessError: If SIGTERM comes.
    """
    if not _several() or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except BaseException:
        before = signal.SIG_IGN
        raise
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@dataclass(frozen=True)
class _Failure:
    """An error on its way to another process."""

    kind: type[BaseException]
    text: str
    trace: str

    def error(self, number: int) -> BaseException:
        """Return it as an error of process ``number``."""
        whose = "" if self.kind is ProcessError else f"process {number} of {count()}: "
        error = self.kind(f"{whose}{self.text}")
        error.add_note(self.trace)
        return error


def _told(error: BaseException) -> _Failure:
    kept = isinstance(error, SpikewrightError | MemoryError | KeyboardInterrupt)
    return _Failure(
        kind=type(error) if kept else RuntimeError,
        text=str(error) if kept else f"{type(error).__name__}: {error}",
        trace="".join(traceback.format_exception(error)).rstrip(),
    )


def _collect(mine: T_value) -> list[T_value]:
    """Take what all others have, in the order of their numbers, and give the list to all."""
    values = [mine]
    for other in range(1, count()):
        try:
            values.append(_receive(other))
        except ProcessError as error:
            for waiting in range(1, other):
                with suppress(ProcessError):
                    _send(error.rank, waiting)
            raise
    for other in range(1, count()):
        _send(values, other)
    return values


def _hand_in(mine: T_value) -> list[T_value]:
    """Give the first process what this one has, and take from it what all have."""
    _send(mine, 0)
    values = _receive(0)
    if isinstance(values, int):  # no values, but the number of the process that is lost
        raise _lost(values)
    found: list[T_value] = values
    return found


def _send(value: object, other: int) -> None:
    try:
        dist.send_object_list([value], other)
    except RuntimeError as error:  # every backend raises a kind of its own
        raise _lost(other) from error


def _receive(other: int) -> Any:  # noqa: ANN401 - whatever was sent
    box = [None]
    try:
        dist.recv_object_list(box, other)
    except RuntimeError as error:  # as above
        raise _lost(other) from error
    return box[0]


def _lost(other: int) -> ProcessError:
    return ProcessError(
        f"process {other} of {count()} died or cannot be reached; nothing was written. "
        "Start it again.",
        other,
    )


@contextmanager
def _held(numbers: list[signal.Signals]) -> Iterator[list[int]]:
    """Let signals wait; say afterwards which came."""
    came: list[int] = []
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.signal(n, lambda number, _: came.append(number)) for n in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _stop(*_: object) -> None:
    raise ProcessError(
        f"process {rank()} of {count()} was told to stop (SIGTERM), as torchrun does when another "
        "one has ended; nothing was written. Start it again.",
        rank(),
    )


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
