# SPDX-License-Identifier: Apache-2.0
"""Shapes of the field's quantities in words; enforced while the tests run, documentation elsewhere.

Within one function the same word stands for the same size, so a potential and its current must
agree, and a train has one axis, time, in front of its neurons.
"""

from jaxtyping import Float, Shaped
from torch import Tensor

__all__ = ["Current", "Decoded", "Potential", "Spikes", "Train"]

Potential = Float[Tensor, "*neuron"]
Current = Float[Tensor, "*neuron"]
Spikes = Float[Tensor, "*neuron"]
Decoded = Shaped[Tensor, "*neuron"]
Train = Shaped[Tensor, "steps *neuron"]
