# SPDX-License-Identifier: Apache-2.0
"""Preparation: what is done to a network's weights and scales, without labels, before it spikes.

Steps are found by public name, one a file, and can be combined; ``steps()`` lists them.
"""

from typing import Any

from spikewright.codes.lookup import Lookup, registered
from spikewright.preparation.base import Step as Step
from spikewright.preparation.bias import Bias as Bias
from spikewright.preparation.choose import MOST_INPUTS as MOST_INPUTS
from spikewright.preparation.choose import Preparation as Preparation
from spikewright.preparation.choose import read_steps
from spikewright.preparation.choose import ways_of as ways_of
from spikewright.preparation.draft import Draft as Draft
from spikewright.preparation.judge import best_way as best_way
from spikewright.preparation.reconstruct import Reconstruct as Reconstruct
from spikewright.preparation.refit import Refit as Refit
from spikewright.preparation.result import with_draft as with_draft
from spikewright.preparation.run import prepare as prepare
from spikewright.preparation.scales import Scales as Scales
from spikewright.preparation.sensitivity import sensitivity as sensitivity

ENTRY_POINTS = "spikewright.preparation"


def steps() -> Lookup[type[Step]]:
    """Return every known step: the files of this package and those of entry points.

    Raises:
        ConfigError: If an entry point names something else than a step, or a name is taken.
    """
    return registered("preparation", __name__, __path__, Step, ENTRY_POINTS, Step)


def preparation_of(given: Any) -> Preparation:  # noqa: ANN401 - a user's
    """Return a setting as ``"none"``, ``"auto"`` or steps.

    Args:
        given: One of those, a step's name, a step, its dictionary, or several of these.

    Raises:
        UnknownNameError: If there is no such step.
        ConfigError: If it is something else.
    """
    if given in ("none", "auto"):
        return str(given)
    return read_steps(given, steps()) or "none"
