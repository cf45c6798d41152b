# SPDX-License-Identifier: Apache-2.0
"""What every code offers, so that neurons, simulators and scale rules need not know which it is.

A code turns a number into a train of symbols on the wire, one per time step, and back. All codes
measure numbers in *units*: the weight that the receiver gives the last step of the train.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor

from spikewright.codes.tally import Tally

__all__ = ["Code"]


@runtime_checkable
class Code(Protocol):
    """A frozen description of a code; see ``Radix`` for what each member means in one of them.

    Attributes:
        name: Public name.
        greedy: Whether a train is written greedily, the largest step weight first, as an
            inverse-LIF neuron emits it.
        holds: Whether the receiver keeps the weights that are switched on and adds their sum to its
            potential in every step, instead of adding a weight for each spike.
        both_signs: Whether the train of a value may hold spikes of both signs.
        pool_base: Base in which the max-pool gate reads a train as a number that orders like its
            value.
    """

    name: ClassVar[str]
    greedy: ClassVar[bool]
    holds: ClassVar[bool]
    both_signs: ClassVar[bool]
    pool_base: ClassVar[float]

    @property
    def T(self) -> int:
        """Nominal number of time steps, before an extra step."""
        ...

    @property
    def steps(self) -> int:
        """Number of symbols in a train."""
        ...

    @property
    def k(self) -> float:
        """Ratio of the weights of successive steps, which is the receiver's inflation per step.

        0 where they have no ratio: every symbol enters with the weight of its step.
        """
        ...

    @property
    def weights(self) -> tuple[float, ...]:
        """What the receiver multiplies the symbol of each step with, in units."""
        ...

    @property
    def max_value(self) -> float:
        """Largest decoded value S, in units."""
        ...

    def encode(self, target: Tensor, signed: bool = False) -> Tensor:
        """Return the train of a target in units: shape ``(steps, *target.shape)``."""
        ...

    def decode(self, train: Tensor) -> Tensor:
        """Return the value of a train in units: shape ``train.shape[1:]``."""
        ...

    def quantise_(self, target: Tensor, signed: bool = False) -> Tensor:
        """Overwrite a target with ``decode(encode(target, signed))`` and return it."""
        ...

    def count(self, n: Tensor, signed: bool = True) -> Tensor:
        """Return the number of spikes in the train of each decoded value."""
        ...

    def tally(self, signed: bool = True, alike: Sequence[Tensor] | None = None) -> Tally:
        """Return what sums ``count`` of a population's decoded trains over inputs, empty.

        Args:
            signed: As in ``count``.
            alike: Numbers of each neuron, "*neuron"; neurons that have equal ones in all of these
                need not be told apart. None: all are.
        """
        ...

    def prefix(self, n: Tensor, t: int) -> Tensor:
        """Return what the first ``t`` symbols of the train of each decoded value carry."""
        ...

    def levels(self, limit: int) -> tuple[float, ...] | None:
        """Return every value of ``quantise_`` in ascending order, None if more than ``limit``."""
        ...

    def share(self, t: int) -> float:
        """Return the share of a constant current that has entered after ``t`` steps."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        ...

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Code":
        """Build the code from what ``to_dict`` wrote."""
        ...
