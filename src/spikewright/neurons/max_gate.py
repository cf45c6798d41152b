# SPDX-License-Identifier: Apache-2.0
"""Max pooling of greedy trains while they stream, most significant step first.

Greedy trains order like their values, so the maximum of a window is known step by step: of the
inputs that agreed with the output so far, any that fires makes the output fire, and those that
stayed silent then drop out. The gate writes this without masks, through the network's own max
pool, and so holds for every kernel, stride, padding, dilation and ceil mode, overlapping or not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from spikewright.errors import ConfigError

__all__ = ["GateState", "StreamingMaxGate", "register_type", "step"]

GateState = tuple[Tensor, Tensor]

_EXACT = {torch.float32: 24, torch.float64: 53}


def step(
    state: GateState | None,
    spikes: Tensor,
    pool: Callable[[Tensor], Tensor],
    base: float = 1.0,
) -> tuple[Tensor, GateState]:
    """Pool the spikes of one step.

    p[t] = base·p[t-1] + s[t];  y[t] = maxpool(p[t]) - base·maxpool(p[t-1]);  p[0] = 0.

    y is then the greedy train of the maximum of each window's values, at every step.

    Args:
        state: What the previous step returned, None at the first; its memory is used again.
        spikes: Input spikes of this step, "batch *map", floating: any whole numbers for base 1;
            symbols {0, 1}, or {-1, 0, 1} with one sign for all steps of an element. Not changed.
        pool: The network's max pool; every window must hold an input (one that lies wholly in
            padding is -inf in the network itself).
        base: The code's ``pool_base``: 2 for greedy trains, 1 for sums.

    Returns:
        Output spikes "batch *pooled" and the state for the next step.

    Example:
        >>> train = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]])  # 5 and 3
        >>> state, pooled = None, []
        >>> for spikes in train:
        ...     y, state = step(state, spikes, lambda p: p.amax(-1, keepdim=True), 2.0)
        ...     pooled.append(int(y))
        >>> pooled
        [1, 0, 1]
    """
    if state is None:
        pooled = pool(spikes)
        return pooled.clone(), (spikes.clone(), pooled)
    prefix, pooled_before = state
    torch.add(spikes, prefix, alpha=base, out=prefix)
    pooled = pool(prefix)
    return torch.sub(pooled, pooled_before, alpha=base, out=pooled_before), (prefix, pooled)


@dataclass(frozen=True, kw_only=True)
class StreamingMaxGate:
    """What a simulator must keep for a max-pool gate: two registers, zero at the start.

    Attributes:
        name: Public name.
        states: Initial value of each register: ``prefix`` has the shape of the input,
            ``pooled_prefix`` that of the output.
    """

    name: ClassVar[str] = "streaming-max"
    states: ClassVar[Mapping[str, float]] = MappingProxyType({"prefix": 0.0, "pooled_prefix": 0.0})

    step = staticmethod(step)


def register_type(steps: int, dtype: torch.dtype, base: float) -> torch.dtype:
    """Return in which type a register holds every train exactly: the given one, or float64.

    Args:
        steps: Symbols in a train.
        dtype: Floating type of the simulation.
        base: The code's ``pool_base``.

    Raises:
        ConfigError: If base^steps exceeds even what float64 holds exactly.

    Example:
        >>> register_type(24, torch.float32, 2.0), register_type(25, torch.float32, 2.0)
        (torch.float32, torch.float64)
    """
    for kind in (dtype, torch.float64):
        if base**steps <= 2.0 ** _EXACT.get(kind, 0):
            return kind
    raise ConfigError(
        f"register of a train: expected base^steps <= 2^{_EXACT[torch.float64]}, which is what "
        f"float64 holds exactly, got {base:g}^{steps}. Use fewer steps."
    )
