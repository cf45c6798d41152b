# SPDX-License-Identifier: Apache-2.0
"""Golden vectors: what every wire and every potential must be for some inputs, tick by tick.

They come from the reference simulator, not from the program, so whoever replays the program and
finds them has checked both.
"""

import torch
from torch import Tensor

from spikewright.errors import ConfigError
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.integers.program import IntegerProgram, Operation, smallest
from spikewright.network import SpikingNetwork
from spikewright.simulators import LayeredReference
from spikewright.simulators.layered import Membranes

__all__ = ["golden_vectors", "quantised"]


def golden_vectors(
    network: SpikingNetwork, program: IntegerProgram, x: Inputs
) -> dict[str, Tensor]:
    """Run inputs tick by tick and keep everything.

    Args:
        network: The network in integers.
        program: Its program.
        x: Inputs, "batch *feature".

    Returns:
        ``input/NAME``: the inputs in floating point; ``integers/NAME``: what an input becomes,
        "batch *value"; ``spikes/NAME``: every population and gate, "batch step *neuron";
        ``potential/NAME``: what a population has taken in when it begins to fire, without its
        pre-bias, and what a read-out has at the end, "batch *neuron".

    Raises:
        ConfigError: If an input leaves the range that the program's sums are bounded for.
        ShapeError: If the inputs do not fit the network.
    """
    x = network.check_input(x)
    by_name = dict(zip(network.graph.inputs, as_inputs(x), strict=True))
    found = {f"input/{name}": value.contiguous() for name, value in by_name.items()}
    for operation in program.of_kind("input"):
        value = quantised(program, operation, by_name[operation.settings["source"]])
        found[f"integers/{operation.name}"] = _small(value)
    reference = LayeredReference(network)
    state, trains = Membranes(entered={}), dict[str, list[Tensor]]()

    def watch(name: str, t: int, spikes: Tensor) -> None:
        trains.setdefault(name, []).append(spikes.to(torch.int8))

    for _ in reference.ticks(x, state, watch):
        pass
    batch = reference.plan.batch
    for name, train in trains.items():
        value = torch.stack([batch[name].first(spikes) for spikes in train], 1)
        found[f"spikes/{name}"] = value.reshape(*value.shape[:2], *program[name].shape)
    entered = {**(state.entered or {}), **{r: state.v[r] for r in reference.plan.readouts}}
    for name, v in entered.items():
        own = batch[name].first(v).reshape(-1, *program[name].shape)
        whole = program[name].kind != "encode"
        found[f"potential/{name}"] = _small(own.to(torch.int64)) if whole else own.contiguous()
    return {name: value.contiguous() for name, value in found.items()}


def quantised(program: IntegerProgram, operation: Operation, x: Tensor) -> Tensor:
    """Return the whole numbers that an input becomes, int64, "batch *value".

    Args:
        program: The program.
        operation: Its operation of kind ``input``.
        x: The input, "batch *feature".

    Raises:
        ConfigError: If one does not fit into the bits of the input.
    """
    flat = x.double().flatten(1)
    index = program.tensor(operation, "index")
    if index is not None:
        flat = torch.where(index.flatten() < 0, 0.0, flat[:, index.flatten().clamp(min=0)])
    value = flat.reshape(len(x), *operation.shape)
    for i in range(len(operation.tensors)):
        gain = program.tensor(operation, f"gain{i}")
        value = value if gain is None else value * gain
    whole = value.round()
    most = 1 << (operation.settings["bits"] - 1)
    outside = int(((whole < -most) | (whole >= most)).sum())
    if outside:
        raise ConfigError(
            f"export: input {operation.settings['source']!r}: expected values of at most "
            f"{operation.settings['bits']} bits, from {-most} to {most - 1} steps, got {outside} "
            f"outside (up to {float(whole.abs().max()):.0f}). Clip the inputs to the range that "
            "calibration saw, or calibrate with inputs like these."
        )
    return whole.to(torch.int64)


def _small(value: Tensor) -> Tensor:
    return value.to(smallest(value))
