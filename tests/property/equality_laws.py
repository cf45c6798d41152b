# SPDX-License-Identifier: Apache-2.0
"""What must hold for every random model; ``benchmarks/random_models.py`` tries thousands."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import spikewright as sw
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.methods import configure
from spikewright.network.twin import twin_outputs
from tests.property.random_graphs import RandomModel, draw

TWIN = 2e-4
"""Allowed between twin and model, of the largest value of an output: float32 in another order."""

FINE = 0.05
"""Allowed between a network and its integers of 14 bits, of an output's norm."""

NEAR = {"spikeconverter": 0.02, "burst": 0.6, "casc": 0.6}
"""Allowed between spikes and model, of an output's norm, on inputs that calibration saw."""


@dataclass(frozen=True)
class Outcome:
    """What came of a model: ``refused`` says why, empty if it was converted."""

    refused: str = ""


def check(seed: int, most: int = 4) -> Outcome:
    """Convert a random model and check every law on it.

    Args:
        seed: Which model.
        most: How large; see ``draw``.

    Raises:
        AssertionError: If the network does not compute the model.
    """
    model = draw(seed, most).eval()
    data = model.data(24, seed)
    method, T = "spikeconverter", 14 + seed % 3
    try:
        prepared = sw.calibrate(model, [data] if len(data) > 1 else data[0])
        options = {"input": "encoded"} if seed % 10 == 3 else {"per_channel": seed % 4 != 2}
        snn = prepared.convert(configure(method, T=T, **options))
    except UnsupportedModuleError as error:
        return Outcome(str(error))
    fresh = [5, 3] if model.batchless else [5, 1]
    for batch in fresh:
        _equal_twin(model, snn, model.data(batch, seed + 1))
    few = tuple(x[:7] for x in data)
    _near(model, snn, few, NEAR[method])
    two = tuple(x[:2] for x in data)
    one = two if len(two) > 1 else two[0]
    if seed % 3 == 1:
        assert sw.verify(snn, one).agrees, "the simulators disagree"
    if seed % 10 == 2:
        sw.evaluate(snn, [one], counting=True)
    if seed % 20 == 4:
        _whole(snn, one, model.reach(*two))
    for other, steps in (("burst", 64), ("casc", 32)):
        if seed % 20 == {"burst": 5, "casc": 15}[other]:
            network = prepared.convert(configure(other, T=steps))
            _equal_twin(model, network, model.data(3, seed + 1))
            assert network(*few) is not None
            sw.evaluate(network, [one], counting=True)
    return Outcome()


def _leaves(out: object) -> list[Tensor]:
    return pytree.tree_leaves(out)


def _whole(snn: sw.SpikingNetwork, x: Tensor | tuple[Tensor, ...], reach: float) -> None:
    """Check that integers agree bit for bit, and that fine ones are near the network."""
    try:
        whole, fine = snn.to_integer(), snn.to_integer(weight_bits=14, input_bits=14)
    except ConfigError:
        return
    assert sw.verify(whole, x).agrees, "the simulators of the integer network disagree"
    given = x if isinstance(x, tuple) else (x,)
    for own, other in zip(_leaves(snn(*given)), _leaves(fine(*given)), strict=True):
        size = max(float(own.norm()), 0.1 * reach * own.numel() ** 0.5, 1e-6)
        gap = float((own - other).norm()) / size
        assert gap < FINE, f"integers of 14 bits differ by {gap:.2g}"


def _equal_twin(model: RandomModel, snn: sw.SpikingNetwork, data: tuple[Tensor, ...]) -> None:
    with torch.no_grad():
        wanted, reach = _leaves(model(*data)), model.reach(*data)
    found = twin_outputs(snn, snn.check_input(data if len(data) > 1 else data[0]))
    assert len(wanted) == len(found)
    for own, other in zip(wanted, found, strict=True):
        assert own.shape == other.shape, f"shape {tuple(other.shape)}, not {tuple(own.shape)}"
        size = max(float(own.abs().max()), 0.01 * reach, 1e-6)
        gap = float((own - other).abs().max()) / size
        assert gap < TWIN, f"the twin differs by {gap:.2g} for a batch of {len(data[0])}"


def _near(
    model: RandomModel, snn: sw.SpikingNetwork, data: tuple[Tensor, ...], limit: float
) -> None:
    with torch.no_grad():
        wanted, reach = model(*data), model.reach(*data)
    found = snn(*data)
    assert pytree.tree_structure(found) == pytree.tree_structure(wanted), "nested otherwise"
    for own, other in zip(_leaves(wanted), _leaves(found), strict=True):
        assert own.shape == other.shape, f"shape {tuple(other.shape)}, not {tuple(own.shape)}"
        size = max(float(own.norm()), 0.1 * reach * own.numel() ** 0.5, 1e-6)
        gap = float((own - other).norm()) / size
        assert gap < limit, f"spikes differ by {gap:.2g}"
