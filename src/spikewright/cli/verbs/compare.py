# SPDX-License-Identifier: Apache-2.0
"""``spikewright compare``: many methods at many T on one model, same images, same calibration."""

from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.measuring import COMPARISON, ComparisonOptions

__all__ = ["compare"]


def compare(*, what: ComparisonOptions = COMPARISON, how: RunOptions = RUN) -> int:
    """Compare conversion methods at several T on one model: accuracy, additions, latency.

    For example: spikewright compare --model digits-cnn --weights w.safetensors
    --calibration digits-train --data digits-test --methods burst tsc@4,8 --T 8,32

    Methods whose network does not depend on T are run once, at the largest T.
    Ctrl-C ends it after the batch at hand; with --store the same command goes on
    from there.

    Args:
        what: What is compared, and where it is written.
        how: Where it runs, and what every verb takes.
    """
    from spikewright.cli.comparison import run

    return run(what, how)
