# SPDX-License-Identifier: Apache-2.0
"""In which order cells go over texts, whoever runs them, and what is read of their states."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from spikewright.recurrent.cells import Layout

__all__ = ["READINGS", "Step", "go_over", "read"]

Step = Callable[[int, tuple[Tensor, ...]], tuple[Tensor, ...]]
"""Runs the cell of a number on (x, states …), "active *", and returns the states after it."""


def go_over(
    layout: Layout,
    x: Float[Tensor, "batch length inputs"],
    lengths: Int64[Tensor, " batch"],
    step: Step,
) -> Float[Tensor, "batch length features"]:
    """Run texts token by token through all layers; only texts that still have a token are stepped.

    Args:
        layout: Of the cells.
        x: What the first layer is given.
        lengths: Tokens of each text, at least 1.
        step: Runs one cell.

    Returns:
        The last layer's states after every token, of a bidirectional one those of both cells side
        by side; zeros behind the end of a text.
    """
    for layer in range(layout.layers):
        first = layer * layout.directions
        found = x.new_zeros(*x.shape[:2], layout.directions * layout.hidden)
        for way in range(layout.directions):
            own = found[:, :, way * layout.hidden : (way + 1) * layout.hidden]
            states = x.new_zeros(layout.states, len(x), layout.hidden)
            for t in range(int(lengths.max())):
                active = (lengths > t).nonzero().squeeze(1)
                at = lengths[active] - 1 - t if way else torch.full_like(active, t)
                after = step(first + way, (x[active, at], *states[:, active]))
                for state, value in zip(states, after, strict=True):
                    state[active] = value
                own[active, at] = after[0]
        x = found
    return x


def read(
    name: str,
    layout: Layout,
    outputs: Float[Tensor, "batch length features"],
    lengths: Int64[Tensor, " batch"],
) -> Float[Tensor, "batch features"]:
    """Return what a head reads of the last layer's states.

    Args:
        name: Of :data:`READINGS`.
        layout: Of the cells.
        outputs: What :func:`go_over` returned.
        lengths: Tokens of each text.
    """
    if name in ("last", "end"):
        end = outputs[torch.arange(len(outputs)), lengths - 1]
        backwards = outputs[:, 0, layout.hidden :]
        return end if name == "end" else torch.cat([end[:, : layout.hidden], backwards], dim=1)
    inside = (torch.arange(outputs.shape[1]) < lengths.unsqueeze(1)).unsqueeze(2)
    if name == "mean":
        return (outputs * inside).sum(1) / inside.sum(1)
    return outputs.masked_fill(~inside, -torch.inf).amax(1)


READINGS = ("last", "mean", "max", "end")
"""``"last"``: each cell's state after its last token, `h_n` of the last layer; ``"mean"`` and
``"max"`` over the tokens; ``"end"``: the outputs at the last token, where the cell that reads from
the end has read one."""
