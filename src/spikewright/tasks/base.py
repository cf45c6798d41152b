# SPDX-License-Identifier: Apache-2.0
"""What a network is for: how targets are read, decisions made, and scored beside the original's.

A task stands beside the simulators: they tell of outputs after every step, it says what these are
worth. What has been found so far is an *account* (:class:`Answers`), which parts of an evaluation
fill one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.network import SpikingNetwork
from spikewright.tasks.form import Form, Wanted
from spikewright.tasks.part_score import PartScore
from spikewright.tasks.scene import Scene
from spikewright.tasks.series import Series

__all__ = ["Answers", "Beside", "Tally", "Task"]


@dataclass(frozen=True)
class Beside:
    """What a batch's answers are held against.

    Attributes:
        target: What the task has made of the labels, one an input; None without any.
        wanted: What the original network returned, if it was run.
        labelled: Whether labels came with the inputs, whatever they are.
    """

    target: Any = None
    wanted: Wanted | None = None
    labelled: bool = False

    def cut(self, sizes: Sequence[int]) -> list["Beside"]:
        """Cut it as the batch was cut."""
        if len(sizes) == 1:
            return [self]
        alone = [None] * len(sizes)
        targets = alone if self.target is None else _split(self.target, sizes)
        wanted = alone if self.wanted is None else self.wanted.cut(sizes)
        return [Beside(t, w, self.labelled) for t, w in zip(targets, wanted, strict=True)]


def _split(target: Any, sizes: Sequence[int]) -> list[Any]:  # noqa: ANN401 - a tensor or a list
    if isinstance(target, Tensor):
        return list(torch.split(target, list(sizes)))
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [target[end - size : end] for end, size in zip(ends, sizes, strict=True)]


@runtime_checkable
class Tally(Protocol):
    """What a task has found, as far as figures are made of the whole and not added up."""

    @property
    def series(self) -> tuple[Series, ...]:
        """The figures, computed from everything."""
        ...

    @property
    def parts(self) -> tuple[PartScore, ...]:
        """The figures of parts of it after the last step, if there are such."""
        ...

    def scene(self, index: int) -> Scene | None:
        """Return what was found in one input, if that can be drawn over it.

        Args:
            index: Its place among those seen, from 0.
        """
        ...

    def merge(self, other: Any) -> Self:  # noqa: ANN401 - another one of its kind
        """Add what another part of the same evaluation has found."""
        ...


@runtime_checkable
class Answers(Protocol):
    """Sums over inputs of what may be said of one kind of outputs."""

    @property
    def reference(self) -> tuple[int, int]:
        """Right decisions of the original network, and labelled inputs that it was run on."""
        ...

    def watch(self, size: int, beside: Beside) -> Callable[[int, Sequence[Tensor]], None]:
        """Begin some inputs.

        Args:
            size: How many.
            beside: What their answers are held against.

        Returns:
            To be called after each step of the read-out with its number, from 0, and the outputs;
            raises ConfigError if they are not what the original network returned.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """Return what was found, as fields of ``LengthResult``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a network is for.

    Attributes:
        name: Public name.
    """

    name: ClassVar[str] = ""

    def target(self, given: Any, form: Form, inputs: int, index: int) -> Any:  # noqa: ANN401 - whatever a loader yields
        """Read what stands beside a batch.

        Args:
            given: What the loader yields, None for nothing.
            form: What the outputs are.
            inputs: How many inputs there are.
            index: Number of the batch, for messages.

        Returns:
            One target an input, as a tensor or a list; None if there is none to be read.

        Raises:
            ConfigError: If it is nothing that the task can read.
        """
        raise NotImplementedError

    def check(self, form: Form) -> None:
        """Refuse outputs that the task can say nothing about.

        Raises:
            ConfigError: If there is no way to decide from them.
        """

    def answers(self, network: SpikingNetwork, form: Form) -> Answers:
        """Return an empty account for the answers of a network."""
        raise NotImplementedError

    def digest(self, target: Any) -> bytes:  # noqa: ANN401 - what `target` returned
        """Return bytes that are the same for the same targets only, however they are batched."""
        if isinstance(target, Tensor):
            flat = target.detach().to("cpu").contiguous().reshape(-1)
            return flat.view(torch.uint8).numpy().tobytes()
        return repr(target).encode()


def no_decisions(steps: int) -> dict[str, Any]:
    """Return the fields of ``LengthResult`` on decisions where none are counted."""
    zeros = (0,) * steps
    return {"labelled": 0, "correct": zeros, "compared": 0, "agree": zeros}


def refuse(task: str, form: Form, expected: str) -> ConfigError:
    """Return the error for outputs that a task cannot decide from."""
    return ConfigError(
        f"task: expected {expected} for {task}, got {form.text}. Leave the task out to have the "
        "outputs compared with the ANN's."
    )
