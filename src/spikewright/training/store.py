# SPDX-License-Identifier: Apache-2.0
"""The folder of a training run: when its checkpoints are written, and whether they are its own."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spikewright.errors import ConfigError, FileFormatError
from spikewright.training import processes
from spikewright.training.checkpoint import BEST, LAST, Checkpoint, read, write

__all__ = ["Store"]

Make = Callable[[], Checkpoint]


class Store:
    """Checkpoints of one run in one folder; of several processes only the first one writes.

    Args:
        folder: Made if missing.
        seconds: Time between two checkpoints within an epoch.

    Raises:
        FileFormatError: If the folder cannot be made.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self._written = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileFormatError(
                f"{folder}: expected a folder for checkpoints, could not make one "
                f"({error.strerror}). Name another."
            ) from error

    def resumed(self, facts: Mapping[str, Any]) -> Checkpoint | None:
        """Return the checkpoint to go on from, None if there is none.

        Args:
            facts: What the run is that wants to go on.

        Raises:
            ConfigError: If the folder holds another run.
            FileFormatError: If its checkpoint cannot be read.
        """
        last = self._folder / LAST
        if not last.exists():
            return None
        checkpoint = read(last)
        _check_same(checkpoint.run, facts, last)
        return checkpoint

    def step(self, make: Make) -> None:
        """Write a checkpoint if the last one is old enough."""
        if time.monotonic() - self._written >= self._seconds:
            self.save(make)

    def save(self, make: Make) -> None:
        """Write a checkpoint now."""
        if processes.rank() == 0:
            write(self._folder / LAST, make())
        self._written = time.monotonic()

    def save_best(self, make: Make) -> None:
        """Write the best network so far."""
        if processes.rank() == 0:
            write(self._folder / BEST, make())


def _check_same(there: Mapping[str, Any], here: Mapping[str, Any], path: Path) -> None:
    """Refuse to go on from a checkpoint of another run."""
    differ = [
        f"{name} {there.get(part, {}).get(name)!r}, not {value!r}"
        for part in ("config", "activation")
        for name, value in here[part].items()
        if there.get(part, {}).get(name) != value
    ]
    differ += [
        f"{there.get(name)} {name}, not {here[name]}"
        for name in ("images", "processes")
        if there.get(name) != here[name]
    ]
    before = there.get("objective", {"name": "classification"})  # older ones do not say
    if before != here["objective"]:
        differ.append(f"objective {before}, not {here['objective']}")
    if not differ and there.get("digest") != here["digest"]:
        differ = ["another network"]
    if differ:
        raise ConfigError(
            f"{path}: expected a checkpoint of this run, got one with {'; '.join(differ)}. "
            "Name another folder, or start anew (resume=False, --anew) to replace it."
        )
