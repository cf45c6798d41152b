# SPDX-License-Identifier: Apache-2.0
"""What every neuron declares, so that a simulator can make fresh state for any of them and step it.

Neurons that spike while their input arrives are ``Stepping``: all that a simulator needs is their
``begin`` and ``step_``. Those that first take in whole trains are ``Accumulating``: they say which
codes' trains they emit and how.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from spikewright.codes import Code
from spikewright.shapes import Current, Potential, Spikes

__all__ = ["Accumulating", "Effort", "Firing", "Neuron", "State", "Stepping"]

State = dict[str, Any]
"""What a population carries from step to step: tensors "batch *neuron" by name."""


@runtime_checkable
class Neuron(Protocol):
    """Name, states and their initial values of one dynamics.

    Attributes:
        name: Public name.
        states: Initial value of each state a neuron carries from step to step.
    """

    name: ClassVar[str]
    states: ClassVar[Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Firing:
    """The constants of one population.

    Attributes:
        threshold: θ > 0 in the unit of the current; a number, or broadcastable with a value.
        v_init: Potential before the first step, in the same unit and forms.
        gamma: Γ ≥ 1, the most spikes that a neuron may send in one step.
        signed: Whether totals may be negative (an ON/OFF pair written as one neuron).
        wake: Steps before the input goes off, for neurons that have to know; None: it never does.
        leak: Share τ of the potential that is left after a step, in [0, 1]; 1 keeps all.
        seed: Where random numbers start, for neurons that draw any.
    """

    threshold: float | Tensor = 1.0
    v_init: float | Tensor = 0.0
    gamma: int = 1
    signed: bool = False
    wake: int | None = None
    leak: float = 1.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Effort:
    """The arithmetic of one neuron besides its synapses, as its equations write it.

    Attributes:
        comparisons: Comparisons a step.
        factor: What the potential is multiplied by every step; 1 for nothing.
        per_spike: Additions that a unit spike costs the neuron that sends it.
    """

    comparisons: int = 1
    factor: float = 1.0
    per_spike: int = 1


class Accumulating:
    """Base of neurons that have their whole input before they fire (temporal separation).

    A subclass gives ``name`` and ``fire_``, and where they differ ``states`` and ``emits``; it
    holds no state itself. Its potential has been accumulated, with pre-bias and function, when
    firing begins.

    Attributes:
        comparators: Thresholds that an unsigned neuron compares with in a step; signed ones have
            two in any case.
        codes: Kinds of codes whose trains it fires; any by default.
    """

    name: ClassVar[str]
    states: ClassVar[Mapping[str, float]] = {"v": 0.0}
    comparators: ClassVar[int] = 1
    codes: ClassVar[tuple[type, ...]] = (object,)

    @classmethod
    def emits(cls, code: Code) -> bool:
        """Tell whether its trains are those that a code writes."""
        return isinstance(code, cls.codes)

    @staticmethod
    def fire_(
        v: Potential, threshold: float | Tensor, code: Code, t: int, signed: bool, out: Spikes
    ) -> Spikes:
        """Fire step ``t`` of the train of v/θ.

        Args:
            v: Potential, "batch *neuron"; the neuron's own to overwrite from step 1 to the last.
            threshold: V_th > 0 in the unit of ``v``, scalar or broadcastable.
            code: The population's code.
            t: Step, from 1.
            signed: Whether the neurons are ON/OFF pairs written as one signed potential.
            out: Memory for the spikes, shape and type of ``v``.

        Returns:
            ``out``, holding the code's symbols of this step.
        """
        raise NotImplementedError


class Stepping:
    """Base of neurons that take in a current and may spike in every step.

    A subclass gives ``name``, ``states`` and ``step_``; it holds no state itself. The potential,
    if there is one, is the state ``"v"``.
    """

    name: ClassVar[str]
    states: ClassVar[Mapping[str, float]] = {"v": 0.0}

    @classmethod
    def begin(cls, like: Tensor, firing: Firing) -> State:
        """Return the state before the first step, shaped like a current "batch *neuron"."""
        state: State = {name: torch.full_like(like, value) for name, value in cls.states.items()}
        if "v" in state:
            state["v"].add_(firing.v_init)
        return state

    @classmethod
    def effort(cls, firing: Firing) -> Effort:
        """Return what a step costs: a threshold (two if signed), and a subtraction a spike."""
        return Effort(comparisons=2 if firing.signed else 1)

    @staticmethod
    def step_(state: State, current: Current, firing: Firing, out: Spikes) -> Spikes:
        """Advance one step.

        Args:
            state: Overwritten.
            current: Weighted input of this step, "batch *neuron", bias included. Not changed.
            firing: The population's constants.
            out: Memory for the spikes, shape and type of ``current``; it may be the same memory,
                so take in the current before writing.

        Returns:
            ``out``, holding unit spikes: whole numbers.
        """
        raise NotImplementedError
