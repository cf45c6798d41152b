# SPDX-License-Identifier: Apache-2.0
"""Where a verb computes: on which device, with how many threads; checked before any work."""

import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from spikewright.cli.option_values import Whole
from spikewright.cli.options import COMMON, CommonOptions
from spikewright.cli.terminal import Terminal
from spikewright.errors import ConfigError
from spikewright.text import counted

if TYPE_CHECKING:
    import torch

__all__ = ["RUN", "MachineOptions", "RunOptions", "used"]

_MACHINE = Group("Machine", sort_key=8)


@Parameter(name="*", group=_MACHINE)
@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """What every verb takes that runs a network."""

    device: Annotated[str | None, Parameter(metavar="NAME")] = None
    """What computes: cpu, cuda, cuda:1 or another name that torch has; under torchrun cuda is each
    process's own. [default: cpu]"""
    threads: Whole = None
    """Threads that compute on the CPU. [default: torch's own choice, one a core]"""

    @property
    def place(self) -> "torch.device":
        """Where tensors lie.

        Raises:
            ConfigError: If the name is none of a device, or torch cannot compute there.
        """
        import torch

        name = "cpu" if self.device is None else self.device
        try:
            found = torch.device(name)
            if found.type == "cuda" and found.index is None and "LOCAL_RANK" in os.environ:
                found = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            # Statistics and trained levels are summed in double precision.
            float(torch.ones(1, dtype=torch.float64, device=found) + 1)
        except Exception as error:  # each kind of device fails in its own way
            reason = textwrap.shorten(str(error), 80, placeholder=" …").rstrip(".")
            raise ConfigError(
                f"--device {name}: expected a device that computes here ({_devices()}), got none "
                f"({reason}). Name another, or leave it out."
            ) from error
        return found

    def describe(self) -> dict[str, str | int]:
        """Return what a measured time depends on, as JSON-able data."""
        import torch

        return {"device": str(self.place), "threads": torch.get_num_threads()}

    def __str__(self) -> str:
        """Return the same in words, e.g. ``"cpu, 2 threads"``."""
        facts = self.describe()
        return f"{facts['device']}, {counted(int(facts['threads']), 'thread')}"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every verb takes that runs a network: a machine, and what all of them take."""

    machine: MachineOptions = MachineOptions()
    common: CommonOptions = COMMON

    @property
    def place(self) -> "torch.device":
        """Where tensors lie; see :class:`MachineOptions`."""
        return self.machine.place

    @property
    def terminal(self) -> Terminal:
        """Return where results and progress go."""
        return self.common.terminal


RUN = RunOptions()
"""What the verbs get where nothing is given."""


@contextmanager
def used(arguments: dict[str, Any]) -> Iterator[None]:
    """Set the machine up for one verb, and put back what it was afterwards.

    Args:
        arguments: Those of the verb; without :class:`RunOptions` among them nothing is done.

    Raises:
        ConfigError: If a device or a number of threads cannot be had.
    """
    run = next((a for a in arguments.values() if isinstance(a, RunOptions)), None)
    if run is None:
        yield
        return
    options = run.machine
    cores = os.cpu_count() or 1
    if options.threads is not None and not 1 <= options.threads <= cores:
        raise ConfigError(
            f"--threads: expected 1 to {cores}, as many as this machine has cores, got "
            f"{options.threads}. Correct it."
        )
    import torch

    place = options.place
    if place.type == "cuda":
        torch.cuda.set_device(place)  # what processes exchange goes through it
    before = torch.get_num_threads()
    try:
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        yield
    finally:
        torch.set_num_threads(before)


def _devices() -> str:
    """Return the devices that torch sees here."""
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return "cpu"
    count = torch.accelerator.device_count()
    return ", ".join(["cpu", *(f"{found.type}:{i}" for i in range(count))])
