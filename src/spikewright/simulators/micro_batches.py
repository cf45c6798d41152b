# SPDX-License-Identifier: Apache-2.0
"""A batch in parts: what one operator writes is still in the processor's cache for the next."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spikewright.graph import ops
from spikewright.graph.batch import element_count
from spikewright.graph.batch import join as join_value
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import SpikingNetwork

__all__ = ["equal_parts", "join", "split_for_cache"]


def split_for_cache(network: SpikingNetwork, x: Inputs, elements: int) -> tuple[Inputs, ...]:
    """Cut a batch into equal parts with so many elements of an average population, on CPUs."""
    if as_inputs(x)[0].device.type != "cpu":
        return (x,)
    sites = [element_count(n.shape) for n in network.graph if ops.kind(n) == "site"]
    return equal_parts(x, elements * len(sites) // max(1, sum(sites)))


def equal_parts(x: Inputs, largest: int) -> tuple[Inputs, ...]:
    """Cut a batch into as few parts of (nearly) equal size as have at most ``largest`` inputs."""
    batch = as_inputs(x)[0].shape[0]
    if batch == 0:
        return (x,)
    count = -(-batch // max(1, largest))
    if isinstance(x, Tensor):
        return torch.tensor_split(x, count)
    return tuple(zip(*(torch.tensor_split(one, count) for one in x), strict=True))


def join(network: SpikingNetwork, parts: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Put the outputs of a batch's parts together, wherever they hold the batch."""
    if len(parts) == 1:
        return parts[0]
    shapes = [network.graph[name].shape or () for name in network.graph.outputs]
    return tuple(
        join_value(found, shape)
        for found, shape in zip(zip(*parts, strict=True), shapes, strict=True)
    )
