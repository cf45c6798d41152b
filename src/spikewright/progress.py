# SPDX-License-Identifier: Apache-2.0
"""Progress of long work on the terminal; silent unless asked for."""

import signal
import threading
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from spikewright.errors import CalibrationError

__all__ = ["Interrupts", "track", "working"]


class Interrupts:
    """Let a loop finish its round when the user presses Ctrl-C, so that nothing is half counted.

    Use as a context; ``requested`` turns true at the first Ctrl-C, the second one interrupts at
    once. Outside the main thread Ctrl-C stays what it was.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None

    def __enter__(self) -> Self:
        """Take over Ctrl-C."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        """Give Ctrl-C back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def nothing_done(self, verb: str, unit: str = "batch") -> BaseException:
        """Return what to raise where nothing was done: the interrupt, or else that nothing came."""
        if self.requested:
            return KeyboardInterrupt()
        return CalibrationError(
            f"{verb}: expected at least one {unit}, got none. Check the loader."
        )

    def _on_interrupt(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def working(title: str, *, show: bool) -> Iterator[None]:
    """Show on standard error, if ``show``, that work of unknown length is going on.

    Args:
        title: What is being done.
        show: Whether to draw anything.
    """
    if not show:
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(title):
        yield


T_item = TypeVar("T_item")


def track(
    items: Iterable[T_item], title: str, *, show: bool, total: int | None = None
) -> Iterator[T_item]:
    """Iterate, with a progress bar on standard error if ``show``.

    Args:
        items: What to iterate over.
        title: What is being done.
        show: Whether to draw anything.
        total: How many items there are, where the iterable does not know.
    """
    if not show:
        yield from items
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    if total is None and isinstance(items, Sized):
        total = len(items)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        for item in items:
            yield item
            bar.advance(task)
