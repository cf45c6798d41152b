# SPDX-License-Identifier: Apache-2.0
"""A batch in parts: what one operator writes is still in the processor's cache for the next."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.simplify import element_count
from spikewright.network import SpikingNetwork

__all__ = ["equal_parts", "join", "joinable", "split_for_cache"]


def split_for_cache(network: SpikingNetwork, x: Tensor, elements: int) -> tuple[Tensor, ...]:
    """Cut a batch into equal parts with so many elements of an average population, on CPUs.

    A network whose outputs cannot be joined again, because inputs do not come first, is not cut.
    """
    if x.device.type != "cpu" or not joinable(network):
        return (x,)
    sites = [element_count(n.shape) for n in network.graph if ops.kind(n) == "site"]
    return equal_parts(x, elements * len(sites) // max(1, sum(sites)))


def joinable(network: SpikingNetwork) -> bool:
    """Tell whether all outputs start with the batch."""
    shapes = [network.graph[name].shape for name in network.graph.outputs]
    return all(shape and shape[0] is None and None not in shape[1:] for shape in shapes)


def equal_parts(x: Tensor, largest: int) -> tuple[Tensor, ...]:
    """Cut a batch into as few parts of (nearly) equal size as have at most ``largest`` inputs."""
    if x.shape[0] == 0:
        return (x,)
    return torch.tensor_split(x, -(-x.shape[0] // max(1, largest)))


def join(parts: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Put the outputs of a batch's parts together."""
    return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))
