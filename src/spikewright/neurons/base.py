# SPDX-License-Identifier: Apache-2.0
"""What every neuron declares, so that a simulator can make fresh state for any of them."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

__all__ = ["Neuron"]


@runtime_checkable
class Neuron(Protocol):
    """Name, states and their initial values of one dynamics.

    Attributes:
        name: Public name.
        states: Initial value of each state a neuron carries from step to step.
    """

    name: ClassVar[str]
    states: ClassVar[Mapping[str, float]]
