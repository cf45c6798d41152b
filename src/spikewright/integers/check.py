# SPDX-License-Identifier: Apache-2.0
"""Which networks have an integer program, and for every other one what stands in its way."""

from spikewright.codes import Radix
from spikewright.errors import ConfigError
from spikewright.network import Layered, SpikingNetwork
from spikewright.neurons.inverse_lif import InverseLIF

__all__ = ["check_network"]


def check_network(network: SpikingNetwork) -> Radix:
    """Return the one code of a network that a program can say.

    Raises:
        ConfigError: If it is not in integers, its schedule is not layered, or a population has
            another code than radix with k = 2, another one than the rest, another neuron or a
            function of its own.
    """
    if not isinstance(network.schedule, Layered):
        raise ConfigError(
            "integer program: expected a network with the layered schedule, got "
            f"{network.schedule.name}. Convert with the method spikeconverter."
        )
    firing = [network.sites[n.name] for n in network.spiking_nodes()]
    if not firing:
        raise ConfigError("integer program: expected populations that fire, got none.")
    for site in firing:
        code, where = site.code, f"integer program: population {site.name!r}"
        if not isinstance(code, Radix) or code.k != 2.0:
            got = f"{code.name}, k = {code.k:g}"
            raise ConfigError(f"{where}: expected radix trains with k = 2, got {got}. Use k=2.")
        if code != firing[0].code:
            raise ConfigError(
                f"{where}: expected trains of {firing[0].code.steps} steps as in the other "
                f"populations, got {code.steps}. Give all populations one code."
            )
        if site.neuron != InverseLIF.name:
            raise ConfigError(
                f"{where}: expected inverse-LIF neurons, got {site.neuron}. "
                "Convert with the method spikeconverter."
            )
        if not site.function.by_firing:
            raise ConfigError(
                f"{where}: expected a function that firing alone computes (ReLU, clip, identity), "
                f"got {site.function.name}. Use one of those."
            )
    if not network.integer:
        raise ConfigError(
            "integer program: expected a network in integers, got one in floating point. "
            "Round it first: snn.to_integer(), or convert --integer."
        )
    code = firing[0].code
    if not isinstance(code, Radix) or set(network.spans().values()) != {code.max_value}:
        raise ConfigError("integer program: expected stages as long as a train, got others.")
    return code
