# SPDX-License-Identifier: Apache-2.0
"""The user's own model: looked at without its wrappers, run in evaluation mode, left as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["evaluation_mode", "layer_by_layer", "left_as_it_was", "unwrapped"]

_WRAPPERS = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "FullyShardedDataParallel": "module",
    "AveragedModel": "module",
    "OptimizedModule": "_orig_mod",
}
"""Classes of PyTorch that run another module, and the attribute that holds it."""


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside PyTorch's wrappers, however many there are."""
    while type(model).__module__.startswith("torch.") and type(model).__name__ in _WRAPPERS:
        model = getattr(model, _WRAPPERS[type(model).__name__])
    return model


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode; every module's own training flag comes back afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = False
        yield
    finally:
        for module, training in flags:
            module.training = training


@contextmanager
def layer_by_layer() -> Iterator[None]:
    """Hold off PyTorch's kernels that run a whole layer of a transformer at once.

    They would hide what is in it, and where a padding mask is given they return zeros, or fewer
    tokens, where the layers themselves return something else.
    """
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


@contextmanager
def left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Give every module its attributes back afterwards, with the contents of its containers.

    A forward that keeps values in attributes would otherwise keep those of the capture, which are
    no real tensors and cannot be copied or pickled.
    """
    held = [(module, dict(module.__dict__)) for module in model.modules()]
    contents = [
        (value, value.copy())
        for _, attributes in held
        for value in attributes.values()
        if isinstance(value, list | dict | set) and not isinstance(value, Tensor)
    ]
    try:
        yield
    finally:
        for module, attributes in held:
            module.__dict__.clear()
            module.__dict__.update(attributes)
        for container, content in contents:
            _refill(container, content)


def _refill(container: Any, content: Any) -> None:  # noqa: ANN401 - a list, dictionary or set
    container.clear()
    if isinstance(container, list):
        container.extend(content)
    else:
        container.update(content)
