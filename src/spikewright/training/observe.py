# SPDX-License-Identifier: Apache-2.0
"""What calibration inputs do at the sites of a network that is to be trained."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from spikewright.calibration import Statistics
from spikewright.calibration.collect import Collector
from spikewright.graph import Graph, ops
from spikewright.training import processes

__all__ = ["observe"]


def observe(
    graph: Graph,
    calibration: Iterable[Any] | Tensor,
    axes: Mapping[str, int | None] | None = None,
) -> Statistics:
    """Run calibration data through a graph with sites and watch each.

    Several processes divide the batches among them and end up with the same statistics.

    Args:
        graph: The graph.
        calibration: Tensors or (input, target) pairs, or one tensor.
        axes: Site to the axis that runs over channels, where each is watched by itself. By default
            every site is watched as a whole.
    """
    if axes is None:
        axes = {n.name: None for n in graph if n.op in ops.SPIKING_OPS}
    collector = Collector(graph, axes)
    batches = iter([calibration] if isinstance(calibration, Tensor) else calibration)
    some = False
    for index, batch in enumerate(batches):
        if index % processes.count() == processes.rank():
            collector.add(batch, index)
            some = True
    return processes.merge_over_processes(collector.statistics() if some else None)
