# SPDX-License-Identifier: Apache-2.0
"""Neurons: the dynamics that emit trains, one per file, as pure functions on tensors.

``NEURONS`` finds their declarations (name, states and initial values) by public name.
"""

from spikewright.codes.lookup import Lookup, discover
from spikewright.neurons.base import Neuron as Neuron
from spikewright.neurons.inverse_lif import InverseLIF as InverseLIF
from spikewright.neurons.max_gate import StreamingMaxGate as StreamingMaxGate

NEURONS: Lookup[type[Neuron]] = discover("neuron", __name__, __path__, Neuron)  # type: ignore[type-abstract]
