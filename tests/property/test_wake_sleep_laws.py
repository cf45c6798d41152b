# SPDX-License-Identifier: Apache-2.0
"""Law 5: asleep, every neuron settles on what the quantised network computes, within a bound."""

from typing import Any

import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

import spikewright as sw
from spikewright.network import SpikingNetwork
from spikewright.simulators import SynchronousReference, Timefold, settle, verify
from tests.property.random_nets import Net, nets
from tests.property.test_synchronous_laws import same, trains

EXAMPLES = 6
PHASES = (Phase.explicit, Phase.generate)

CHOICES = st.fixed_dictionaries(
    {
        "T": st.integers(1, 9),
        "per_channel": st.booleans(),
        "v_init": st.sampled_from([0.0, 0.5]),
        # Not Max(): the largest calibration value would lie exactly on an edge.
        "scale": st.sampled_from([sw.MinError(), sw.Percentile(99.0)]),
    }
)


def converted(net: Net, chosen: dict[str, Any]) -> tuple[SpikingNetwork, Tensor]:
    """In double precision, where no sum of these networks is rounded across an edge by accident."""
    model, x = net.build()
    snn = sw.convert(model.double(), "casc", calibration=x.double(), **chosen)
    assert snn.dtype == torch.float64
    return snn, x.double()


def totals(found: dict[str, Tensor], network: SpikingNetwork) -> dict[str, Tensor]:
    return {n.name: found[n.name].sum(0) for n in network.spiking_nodes()}


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(nets(), CHOICES, st.booleans())
def test_every_neuron_settles_on_the_quantised_value(
    net: Net, chosen: dict[str, Any], integer: bool
) -> None:
    network, x = converted(net, chosen)
    network = network.to_integer() if integer else network
    x = network.check_input(x)
    found = trains(Timefold(network), x)
    at_rest = settle(network, x)
    assert same(totals(found, network), at_rest.counts)
    outputs = Timefold(network)(x)
    for output, wanted in zip(outputs, at_rest.outputs, strict=True):
        assert torch.allclose(output, wanted, rtol=1e-12, atol=1e-9)


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(nets(), CHOICES, st.integers(1, 9))
def test_both_simulators_send_the_same_spikes(net: Net, chosen: dict[str, Any], chunk: int) -> None:
    network, x = converted(net, chosen)
    network = network.to_integer()
    x = network.check_input(x[:4])
    assert verify(network, x).agrees
    ticked = trains(SynchronousReference(network), x)
    for folded in (trains(Timefold(network), x), trains(Timefold(network, chunk=chunk), x)):
        for name, train in folded.items():
            length = min(len(train), len(ticked[name]))  # who stops when is the simulator's choice
            assert torch.equal(train[:length], ticked[name][:length])
            assert not bool(train[length:].any())
            assert not bool(ticked[name][length:].any())
