# SPDX-License-Identifier: Apache-2.0
"""Activations to train with, so that the network is one that spikes can carry.

In the forward direction a staircase is :func:`spikewright.graph.staircase.quantised`, bit for bit,
so that a trained network converts to what was trained. Backwards floor counts as the identity (a
straight-through gradient).
"""

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from spikewright.errors import ConfigError
from spikewright.graph.staircase import MAX_LEVELS

__all__ = ["QCFS", "ClipFloor", "SignedSteps", "SiteActivation", "ThresholdReLU"]

_BEFORE_ZERO = -torch.finfo(torch.float32).tiny


class SiteActivation(nn.Module):
    """What the neurons of one site compute during training.

    Args:
        cap: θ > 0, the top, in the unit of the site's input.
        learned: Whether θ is trained: then it is a parameter, else a buffer.

    Raises:
        ConfigError: If the cap is not a finite number above zero.
    """

    name: ClassVar[str]
    signed: ClassVar[bool] = False
    cap: Tensor

    def __init__(self, cap: float = 1.0, *, learned: bool = False) -> None:
        super().__init__()
        if not (math.isfinite(cap) and cap > 0.0):
            raise ConfigError(f"{self.name}.cap: expected a finite number above 0, got {cap}.")
        value = torch.tensor(float(cap))
        if learned:
            self.cap = nn.Parameter(value)
        else:
            self.register_buffer("cap", value)

    @property
    def learned(self) -> bool:
        """Whether θ is trained."""
        return isinstance(self.cap, nn.Parameter)

    def extra_repr(self) -> str:
        """Return the settings for ``print(module)``."""
        return f"cap={float(self.cap.detach()):.4g}{' (learned)' if self.learned else ''}"


class _Staircase(SiteActivation):
    """A site activation with levels; ``offset`` is added to the level before flooring."""

    offset: ClassVar[float]

    def __init__(self, levels: int, cap: float = 1.0, *, learned: bool = False) -> None:
        super().__init__(cap, learned=learned)
        if not 1 <= levels <= MAX_LEVELS:
            raise ConfigError(
                f"{self.name}.levels: expected 1..{MAX_LEVELS}, got {levels}. 8 is a common choice."
            )
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        """Apply the staircase to the input of the site, "batch *neuron"."""
        trains = torch.is_grad_enabled() and (x.requires_grad or self.cap.requires_grad)
        if trains and not torch.compiler.is_compiling():
            bottom = -1.0 if self.signed else 0.0
            y: Tensor = _Steps.apply(x, self.cap, self.levels, self.offset, bottom)  # type: ignore[no-untyped-call]
            return y
        y = torch.floor(x / self.cap * self.levels + self.offset) / self.levels
        return y.clamp(-1.0 if self.signed else 0.0, 1.0) * self.cap

    def extra_repr(self) -> str:
        """Return the settings for ``print(module)``."""
        return f"levels={self.levels}, {super().extra_repr()}"


class ClipFloor(_Staircase):
    """CASC's activation: a = θ·clip(⌊Q·x/θ⌋/Q, 0, 1), θ fixed.

    The gradient passes where 0 ≤ x ≤ θ.

    Args:
        levels: Q, the number of levels above zero.
        cap: θ. The paper has 1; a network that is fine-tuned needs that of its own values.

    References:
        CASC, 2024: the activation floor(Q·clip(x, 0, 1))/Q. θ other than 1 is ours.

    Example:
        >>> ClipFloor(4)(torch.tensor([-1.0, 0.24, 0.25, 0.9, 7.0])).tolist()
        [0.0, 0.0, 0.25, 0.75, 1.0]
    """

    name: ClassVar[str] = "casc"
    offset: ClassVar[float] = 0.0

    def __init__(self, levels: int, cap: float = 1.0) -> None:
        super().__init__(levels, cap)


class QCFS(_Staircase):
    """Quantisation clip-floor-shift: a = θ·clip(⌊L·x/θ + ½⌋/L, 0, 1), θ learned.

    With u = x/θ and floor taken for the identity backwards, da/dx = 1 where 0 ≤ x ≤ θ, else 0, and
    da/dθ = a/θ - u where 0 ≤ x ≤ θ, 1 above, 0 below.

    Args:
        levels: L.
        cap: θ to start from.

    References:
        T. Bu et al., Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking
        neural networks, ICLR 2022, equations 8 and 9; the gradient is that of the official code,
        which clips first.

    Example:
        >>> with torch.no_grad():
        ...     QCFS(4, 2.0)(torch.tensor([-1.0, 0.24, 0.25, 0.9, 7.0])).tolist()
        [0.0, 0.0, 0.5, 1.0, 2.0]
    """

    name: ClassVar[str] = "qcfs"
    offset: ClassVar[float] = 0.5

    def __init__(self, levels: int, cap: float = 1.0) -> None:
        super().__init__(levels, cap, learned=True)


class SignedSteps(_Staircase):
    """A relay's activation: a = θ·clip(⌊Q·x/θ + ½⌋/Q, -1, 1), θ fixed or learned.

    Stands where a signed value has to become spikes between two weighted layers. Rounding, because
    an ON/OFF pair of neurons treats both signs alike. The gradient is that of :class:`QCFS`, with
    -θ ≤ x ≤ θ. Ours; the papers have no such values.

    Args:
        levels: Q, the number of levels of either sign.
        cap: θ.
        learned: Whether θ is trained.

    Example:
        >>> SignedSteps(4)(torch.tensor([-3.0, -0.3, -0.1, 0.3, 0.9])).tolist()
        [-1.0, -0.25, 0.0, 0.25, 1.0]
    """

    name: ClassVar[str] = "signed-steps"
    signed: ClassVar[bool] = True
    offset: ClassVar[float] = 0.5


class ThresholdReLU(SiteActivation):
    """Threshold ReLU: a = clip(x, 0, θ), θ fixed or learned.

    Written θ·clip(x/θ, 0, 1). The gradient is the exact one.

    Args:
        cap: θ.
        learned: Whether θ is trained; the paper takes it from the trained network.

    References:
        S. Deng, S. Gu, Optimal conversion of conventional artificial neural networks to spiking
        neural networks, ICLR 2021.

    Example:
        >>> ThresholdReLU(2.0)(torch.tensor([-1.0, 0.5, 7.0])).tolist()
        [0.0, 0.5, 2.0]
    """

    name: ClassVar[str] = "threshold-relu"

    def forward(self, x: Tensor) -> Tensor:
        """Clip the input of the site, "batch *neuron"."""
        return nn.functional.hardtanh(x / self.cap, 0.0, 1.0) * self.cap


class _Steps(torch.autograd.Function):
    """θ·clip(⌊L·x/θ + φ⌋/L, low, 1) with floor taken for the identity backwards."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - autograd's context
        x: Tensor,
        cap: Tensor,
        levels: int,
        offset: float,
        low: float,
    ) -> Tensor:
        theta = float(cap)
        y = x / theta if theta != 1.0 else x * 1.0
        y.mul_(levels)
        if offset:
            y.add_(offset)
        y.floor_().div_(levels).clamp_(low, 1.0)
        if theta != 1.0:
            y.mul_(theta)
        ctx.save_for_backward(x, cap, *((y,) if ctx.needs_input_grad[1] else ()))
        ctx.low = low
        return y

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401 - autograd's context
        grad: Tensor,
    ) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, cap, *rest = ctx.saved_tensors
        theta = float(cap)
        # hardtanh_backward excludes its bounds; their neighbours include them.
        above = _next_above(theta, x.dtype)
        below = -above if ctx.low else _BEFORE_ZERO
        inside = torch.ops.aten.hardtanh_backward.default(grad, x, below, above)
        threshold = None
        if rest:
            wide = torch.promote_types(cap.dtype, torch.float32)
            total = _dot(grad, rest[0], wide) - _dot(inside, x, wide)
            threshold = (total / theta).to(cap.dtype)
        return inside, threshold, None, None, None


def _next_above(number: float, dtype: torch.dtype) -> float:
    """Return the least number above another in the precision that values are compared in."""
    wide = np.float64 if dtype == torch.float64 else np.float32
    return float(np.nextafter(wide(number), wide(np.inf)))


def _dot(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """Return Σ a·b; without a temporary where both lie in memory in one way."""
    if a.dtype == dtype and a.numel():
        flat = [t.permute(0, 2, 3, 1) if t.ndim == 4 else t for t in (a, b)]
        for pair in ((a, b), flat):
            if all(t.is_contiguous() for t in pair):
                return torch.dot(pair[0].reshape(-1), pair[1].reshape(-1))
    return (a * b).sum(dtype=dtype)
