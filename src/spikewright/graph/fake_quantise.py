# SPDX-License-Identifier: Apache-2.0
"""Fake quantisation as arithmetic, so that torch.export can take networks of quantised training.

``torch.fake_quantize_per_tensor_affine`` and its sisters have no form that torch.export can trace,
and the modules of ``torch.ao.quantization`` ask their buffers what to do. While a model is
captured, the functions are written out and the modules do what their buffers say now:

    y = (clip(round(x / s) + z, qmin, qmax) - z) · s
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["elementary_quantisers", "fake_quantised"]


def fake_quantised(
    x: Tensor,
    scale: Tensor | float,
    zero_point: Tensor | int,
    quant_min: int,
    quant_max: int,
) -> Tensor:
    """Round to the levels of a quantiser, in elementary operators.

    Args:
        x: Values of any shape.
        scale: s > 0, the height of a level, broadcastable with ``x``.
        zero_point: z, the level that stands for 0, broadcastable with ``x``.
        quant_min: The lowest level.
        quant_max: The highest level.

    Returns:
        The same shape; ties go to the even level.

    Example:
        >>> fake_quantised(torch.tensor([-1.0, 0.24, 0.26, 9.0]), 0.5, 0, 0, 3).tolist()
        [0.0, 0.0, 0.5, 1.5]
    """
    zero = zero_point.to(x.dtype) if isinstance(zero_point, Tensor) else zero_point
    level = (x * (1.0 / scale)).round() + zero
    return (level.clamp(quant_min, quant_max) - zero) * scale


def _per_channel(
    x: Tensor, scale: Tensor, zero_point: Tensor, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    sizes = [1] * x.ndim
    sizes[axis] = -1
    zero = zero_point.reshape(sizes)
    return fake_quantised(x, scale.reshape(sizes), zero, quant_min, quant_max)


_WRITTEN_OUT: Mapping[Any, Callable[..., Tensor]] = {
    torch.fake_quantize_per_tensor_affine: fake_quantised,
    torch.fake_quantize_per_channel_affine: _per_channel,
}


class _WrittenOut(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401 - any function of torch
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what it returns
        return _WRITTEN_OUT.get(func, func)(*args, **(kwargs or {}))


@contextmanager
def elementary_quantisers(model: nn.Module) -> Iterator[None]:
    """Let a model quantise in elementary operators; everything is as before afterwards.

    Modules of ``torch.ao.quantization`` use the scale and zero point that they have, and observe
    nothing.

    Args:
        model: The network.
    """
    from torch.ao.quantization.fake_quantize import FakeQuantizeBase

    changed = [m for m in model.modules() if isinstance(m, FakeQuantizeBase)]
    try:
        for module in changed:
            enabled = bool(module.fake_quant_enabled[0])
            module.__dict__["forward"] = partial(_quantise, module) if enabled else _leave
        with _WrittenOut():
            yield
    finally:
        for module in changed:
            module.__dict__.pop("forward", None)


def _leave(x: Tensor) -> Tensor:
    return x


def _quantise(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - FakeQuantize
    observer = module.activation_post_process
    low, high = int(observer.quant_min), int(observer.quant_max)
    if module.scale.numel() > 1 or module.is_per_channel:
        return _per_channel(x, module.scale, module.zero_point, int(module.ch_axis), low, high)
    scale, zero = module.scale.reshape(()), module.zero_point.reshape(())
    return fake_quantised(x, scale, zero, low, high)
