# SPDX-License-Identifier: Apache-2.0
"""``spikewright evaluate``: accuracy at every step, spikes, additions and latency, on data."""

from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.measuring import EVALUATION, EvaluationOptions

__all__ = ["evaluate"]


def evaluate(*, what: EvaluationOptions = EVALUATION, how: RunOptions = RUN) -> int:
    """Measure a spiking network: accuracy at every step, spikes, energy, latency.

    Outputs that are no class scores have an error against the original network instead of accuracy.

    Takes a saved network (--snn), or a model to convert on the fly (--model, --calibration).
    Ctrl-C ends it after the batch at hand; what is done by then is shown and written.
    Under torchrun, processes divide the inputs; the numbers are those of one process.

    Args:
        what: What is measured, and where it is written.
        how: Where it runs, and what every verb takes.
    """
    from functools import partial

    from spikewright.cli.distributed import distributed
    from spikewright.cli.evaluation_run import run

    return distributed(partial(run, what, how.place), how.terminal)
