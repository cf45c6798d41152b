# SPDX-License-Identifier: Apache-2.0
"""A verb in all processes that ``torchrun`` started, of which only the first one speaks."""

import warnings
from collections.abc import Callable
from datetime import timedelta

import torch

from spikewright.cli.exit_codes import DEFECT, INTERRUPTED, MISUSE
from spikewright.cli.terminal import Terminal
from spikewright.errors import SpikewrightError
from spikewright.processes import ProcessError, joined, rank, stoppable

__all__ = ["WAIT", "distributed"]

WAIT = timedelta(hours=6)
"""How much later than another a process may finish its part. One that dies is noticed at once."""


def distributed(verb: Callable[[Terminal], int], terminal: Terminal) -> int:
    """Run a verb; the processes other than the first one do so in silence.

    Args:
        verb: Takes the terminal of its process, and returns the exit code. Collective.
        terminal: That of the first process.

    Returns:
        The exit code of this process, which is that of a run alone.

    Raises:
        SpikewrightError: What ends the verb, in the first process; in the second one if the first
            one has died.
    """
    with joined(torch.device("cpu"), WAIT):
        if rank() == 0:
            with stoppable():
                return verb(terminal)
        with warnings.catch_warnings(action="ignore"):
            try:
                with stoppable():
                    return verb(Terminal(quiet=True))
            except ProcessError as error:
                if (rank(), error.rank) == (1, 0):
                    raise
                return MISUSE
            except KeyboardInterrupt:
                return INTERRUPTED
            except SpikewrightError:
                return MISUSE
            except Exception:  # the first process has it too, and tells
                return DEFECT
