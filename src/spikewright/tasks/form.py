# SPDX-License-Identifier: Apache-2.0
"""What a network's outputs are, and what the original's are beside them.

The one place that decides which figures mean something: decisions for class scores, errors for
everything else (``answers.py`` adds them up).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikewright.errors import ConfigError
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.simulators import Simulator, class_scores

__all__ = ["SCORES", "Form", "Wanted", "form_of", "wanted_of"]

SCORES = "class scores"
"""What outputs are called from which classes are decided."""


@dataclass(frozen=True)
class Form:
    """What the outputs of a network are.

    Attributes:
        text: In words: ``"class scores"``, or what they are instead.
        classes: How many classes there are; 0 where the outputs are no class scores.
    """

    text: str
    classes: int = 0

    @classmethod
    def of(cls, outputs: Sequence[Tensor], inputs: int) -> "Form":
        """Tell what outputs are, from those of so many inputs.

        Example:
            >>> Form.of([torch.rand(5, 3)], 5), Form.of([torch.rand(5, 1)], 5)
            (Form(text='class scores', classes=3), Form(text='one number an input', classes=0))
            >>> Form.of([torch.ones(5, 2, 4).long()], 5).text, Form.of([torch.rand(5)] * 3, 5).text
            ('integers (batch, 2, 4)', '3 outputs')
        """
        scores = class_scores(outputs, inputs)
        if scores is not None:
            return cls(SCORES, scores.shape[1])
        if len(outputs) != 1:
            return cls(f"{len(outputs)} outputs")
        (value,) = outputs
        kind = "numbers" if value.is_floating_point() else "integers"
        kind = "true or false" if value.dtype == torch.bool else kind
        if not value.ndim or len(value) != inputs:
            return cls(f"{kind} that do not start with the batch")
        if math.prod(value.shape[1:]) == 1:
            return cls("one number an input" if kind == "numbers" else f"{kind}, one an input")
        return cls(f"{kind} ({', '.join(['batch', *map(str, value.shape[1:])])})")


def form_of(simulator: Simulator, x: Inputs) -> Form:
    """Tell what the outputs of a network are, by a run of two inputs up to its first step.

    Args:
        simulator: Runs it.
        x: Inputs, "batch *feature", in its type and on its device.
    """
    few = tuple(value[:2] for value in as_inputs(x))
    with torch.no_grad():
        outputs = next(iter(simulator.over_time(few)))
    return Form.of(simulator.network.samples_first(outputs), len(few[0]))


@dataclass(frozen=True)
class Wanted:
    """What the original network returned for a batch: its tensors in order, however nested.

    Attributes:
        names: What they are called, by their places in what was returned.
        values: The tensors.
    """

    names: tuple[str, ...]
    values: tuple[Tensor, ...]

    def cut(self, sizes: Sequence[int]) -> list["Wanted"]:
        """Cut it as the batch was cut; a batch that is whole stays whole.

        Raises:
            ConfigError: If a tensor has not one row for each input of several parts.
        """
        if len(sizes) == 1:
            return [self]
        if any(not v.ndim or len(v) != sum(sizes) for v in self.values):
            raise _mismatch(f"outputs of {sum(sizes)} inputs", self.values)
        parts = zip(*(torch.split(v, list(sizes)) for v in self.values), strict=True)
        return [Wanted(self.names, tuple(part)) for part in parts]

    def fits(self, outputs: Sequence[Tensor]) -> bool:
        """Tell whether number and shapes are those of a network's outputs."""
        return [v.shape for v in self.values] == [o.shape for o in outputs]

    def check(self, outputs: Sequence[Tensor]) -> None:
        """Refuse what does not stand beside the network's outputs one by one.

        Raises:
            ConfigError: If number or shapes differ.
        """
        if not self.fits(outputs):
            raise _mismatch(f"outputs as the network's, {_shapes(outputs)}", self.values)


def wanted_of(returned: Any, where: str = "reference") -> Wanted:  # noqa: ANN401 - a user's
    """Take the tensors out of what a model or function returned, in any nesting.

    What else is in it (None, numbers) is left out.

    Args:
        returned: What it returned.
        where: Who returned it, for the message.

    Raises:
        ConfigError: If there is no tensor.

    Example:
        >>> found = wanted_of({"scores": torch.rand(2, 3), "boxes": [torch.rand(2, 4), None]})
        >>> found.names
        ('scores', 'boxes.0')
    """
    found = [
        (path, leaf)
        for path, leaf in pytree.tree_flatten_with_path(returned)[0]
        if isinstance(leaf, Tensor)
    ]
    if not found:
        raise ConfigError(
            f"{where}: expected outputs, got {type(returned).__name__} without a tensor. Pass "
            "the original network, or a function that returns its outputs."
        )
    # True and false as 1 and 0 can be compared with either, and have a largest value.
    values = (leaf.byte() if leaf.dtype == torch.bool else leaf for _, leaf in found)
    return Wanted(tuple(_name(path) for path, _ in found), tuple(values))


def _name(path: Sequence[Any]) -> str:
    """Write where a tensor stood: "output" alone, "output 0" in a tuple, "boxes.0" in a mapping."""
    parts = [
        str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path
    ]
    text = ".".join(parts)
    return text if any(not part.isdigit() for part in parts) else f"output {text}".rstrip()


def _shapes(values: Sequence[Tensor]) -> str:
    """Write shapes one behind the other; of very many the first ones."""
    shown = ", ".join(str(tuple(v.shape)) for v in values[:6])
    return f"{shown}, … ({len(values)} of them)" if len(values) > 6 else shown


def _mismatch(expected: str, got: Sequence[Tensor]) -> ConfigError:
    return ConfigError(
        f"reference: expected {expected}, got {_shapes(got)}. Pass the original network, or a "
        "function that returns its outputs."
    )
