# SPDX-License-Identifier: Apache-2.0
"""Progress of long work on the terminal; silent unless asked for."""

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

__all__ = ["track"]

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
