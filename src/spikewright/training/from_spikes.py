# SPDX-License-Identifier: Apache-2.0
"""Go on training where a converted network is: its scales and prepared weights are the start."""

from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.network import SpikingNetwork
from spikewright.training.half_steps import add_half_steps
from spikewright.training.network import TrainableNetwork
from spikewright.training.normalised import named
from spikewright.training.settings import ActivationSettings

__all__ = ["trainable"]


def trainable(network: SpikingNetwork) -> TrainableNetwork:
    """Return a network in training that computes what a CASC network settles on.

    Weights of a converted network are in units of its populations, so that the top of every
    activation is 1, as in the paper; what preparation or ``adapt`` has changed is in them. Where a
    neuron starts at half its threshold, half a level goes into the bias in front, as in
    :func:`conversion_ready`; where no bias leads to a population alone, nothing is added there.

    Args:
        network: Converted by ``casc`` from a model that was not trained with levels; it is not
            changed.

    Returns:
        A new network in training mode, whose outputs come one after the other.

    Raises:
        ConfigError: If it was converted by another method, from levels that were trained, or with
            another initial potential than ½.

    Example:
        >>> import torch, spikewright
        >>> from torch.nn import Linear, ReLU, Sequential
        >>> x = torch.randn(64, 4)
        >>> model = Sequential(Linear(4, 8), ReLU(), Linear(8, 2))
        >>> snn = spikewright.convert(model, "casc", T=4, calibration=x, prepare="refit")
        >>> sorted(trainable(snn).settings.items())[:2]
        [('activation', 'casc'), ('levels', 4)]
    """
    if network.schedule.counting != "rest":
        raise ConfigError(
            "trainable: expected a network converted by casc, got one with the "
            f"{network.schedule.name} schedule. Convert with casc, or train the model itself."
        )
    nodes = [n for n in network.graph if n.op in (ops.RECTIFY, ops.RELAY)]
    if any("levels" in n.kwargs for n in nodes) or any(
        float(network.sites[n.name].pre_bias) != 0.5 for n in nodes
    ):
        raise ConfigError(
            "trainable: expected a network whose levels were not trained and that starts at "
            "v_init=0.5, got another one. Train the network that it was converted from."
        )
    levels = max(network.sites[n.name].code.T for n in nodes)
    settings = ActivationSettings(activation="casc", levels=levels, per_channel=True)
    graph = named(network.graph)
    sites = {n.name: settings.site(n, 1.0).to(graph.dtype) for n in nodes}
    state = dict(graph.params)
    made = TrainableNetwork(graph, sites, state, dict.fromkeys(state, True), settings.to_dict())
    add_half_steps(graph, made)
    return made
