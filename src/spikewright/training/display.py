# SPDX-License-Identifier: Apache-2.0
"""A progress bar that shows loss and the objective's figure; silent unless asked for."""

from types import TracebackType
from typing import Any, Self

__all__ = ["Display"]


class Display:
    """The bar of one epoch, on standard error; use as a context.

    Args:
        title: What is being done.
        figure: Name of the objective's figure.
        done: Steps done before.
        total: Steps of the epoch.
        show: Whether to draw anything.
    """

    def __init__(self, title: str, figure: str, done: int, total: int, *, show: bool) -> None:
        self._title, self._figure, self._done, self._total, self._show = (
            title,
            figure,
            done,
            total,
            show,
        )
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        """Draw the bar."""
        if not self._show:
            return self
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(
            self._title, total=self._total, completed=self._done, numbers=""
        )
        return self

    def advance(self, loss: float, good: float) -> None:
        """Count a step.

        Args:
            loss: Mean of the epoch so far.
            good: The figure of the epoch so far in percent.
        """
        if self._bar is not None:
            self._bar.update(
                self._task, advance=1, numbers=f"loss {loss:.3f}, {self._figure} {good:.1f} %"
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
