# SPDX-License-Identifier: Apache-2.0
"""What may be said of a network's outputs: classes are decided from class scores only."""

from collections.abc import Sequence

from torch import Tensor

__all__ = ["class_scores", "decided", "difference"]


def class_scores(outputs: Sequence[Tensor], inputs: int) -> Tensor | None:
    """Return the outputs if they are class scores, from which a class can be decided.

    Class scores are the one output of a network, floating, "batch class", of at least two classes.
    Of anything else the place of the largest value says nothing: of one value it is always the
    same, of class numbers it is that of an input, of several outputs nobody knows which decides.

    Args:
        outputs: The network's.
        inputs: Of how many inputs.

    Example:
        >>> import torch
        >>> class_scores([torch.rand(4, 3)], 4) is None, class_scores([torch.rand(4, 1)], 4) is None
        (False, True)
    """
    if len(outputs) != 1:
        return None
    (scores,) = outputs
    shaped = scores.ndim == 2 and len(scores) == inputs and scores.shape[1] > 1
    return scores if shaped and scores.is_floating_point() else None


def decided(outputs: Sequence[Tensor], inputs: int) -> Tensor | None:
    """Return the class of each input, "batch"; None where outputs are no class scores."""
    scores = class_scores(outputs, inputs)
    return None if scores is None else scores.argmax(1)


def difference(value: Tensor, wanted: Tensor) -> Tensor:
    """Return value − wanted in float64; 0 where both are the same infinity or no number.

    Example:
        >>> import torch
        >>> inf, nan = float("inf"), float("nan")
        >>> difference(torch.tensor([1.5, inf, nan, 1.0]), torch.tensor([1.0, inf, nan, inf]))
        tensor([0.5000, 0.0000, 0.0000,   -inf], dtype=torch.float64)
    """
    same = (value == wanted) | (value.isnan() & wanted.isnan())
    return (value.double() - wanted.double()).masked_fill(same, 0.0)
