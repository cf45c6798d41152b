# SPDX-License-Identifier: Apache-2.0
"""Put together, to the last integer, what several processes have measured on parts of a set."""

from functools import reduce

from spikewright.evaluation.result import Result
from spikewright.processes import exchange

__all__ = ["gather"]


def gather(result: Result | None) -> Result | None:
    """Merge the results of all processes, in the order of their numbers; all must call it.

    Args:
        result: What this process has measured; None if its part is empty.

    Returns:
        The same on all processes: what one process would have measured on everything. None if
        every part is empty.

    Raises:
        ConfigError: If the results are of different networks or settings.
        ProcessError: If a process has died or cannot be reached.

    Example:
        This runs in as many processes as ``torchrun --nproc-per-node N`` starts, or in one.

        >>> import torch, spikewright as sw
        >>> from spikewright import processes
        >>> from torch.nn import Linear, ReLU, Sequential
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> x = torch.rand(65, 4, generator=torch.Generator().manual_seed(0))
        >>> items = TensorDataset(x, (x.sum(1) > 2).long())
        >>> snn = sw.convert(Sequential(Linear(4, 8), ReLU(), Linear(8, 2)), T=8, calibration=x)
        >>> with processes.joined(torch.device("cpu")):
        ...     part = processes.shard(items)
        ...     found = sw.evaluate(snn, DataLoader(part, 16)) if len(part) else None
        ...     result = gather(found)
        >>> result.lengths[0].samples
        65
    """
    parts = [part for part in exchange(result) if part is not None]
    return reduce(Result.merge, parts) if parts else None
