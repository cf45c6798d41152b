# SPDX-License-Identifier: Apache-2.0
"""The spiking network that a verb works on: read from a file, or converted on the fly."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikewright import api
from spikewright.cli.items import CPU, Items, batches, describe
from spikewright.cli.method import method_config
from spikewright.cli.options import (
    ConversionOptions,
    DataOptions,
    ModelOptions,
    NetworkOptions,
    ReferenceOptions,
    given,
)
from spikewright.cli.sources import open_calibration, open_data, open_model, require_runs
from spikewright.cli.terminal import Terminal
from spikewright.errors import ConfigError
from spikewright.graph.batch import sizes
from spikewright.network import SpikingNetwork, load
from spikewright.simulators import simulator
from spikewright.tasks.form import wanted_of

__all__ = ["Subject", "convert_model", "original", "subject"]


@dataclass(frozen=True)
class Subject:
    """A spiking network and where it comes from.

    Attributes:
        snn: The network.
        model: The original one, if it was converted just now.
        calibration: The inputs it was calibrated on just now.
    """

    snn: SpikingNetwork
    model: nn.Module | None = None
    calibration: Items | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return sizes(self.snn.graph.input_shapes[0])[1:]

    def inputs(self, spec: str, options: DataOptions) -> Items:
        """Open the set of ``--data``, whose inputs must be what the network takes."""
        return open_data(
            spec,
            "--data",
            options,
            shape=self.shape,
            shape_from="the network",
            recorded=self.snn.provenance.get("preprocess"),
        )


def subject(options: NetworkOptions, terminal: Terminal, place: torch.device) -> Subject:
    """Read the network of ``--snn``, or convert the one of ``--model``.

    Args:
        options: Which network, and how it is converted.
        terminal: Where notes and progress go.
        place: Where its tensors will lie.

    Raises:
        ConfigError: If neither or both are given, or options for converting along with ``--snn``;
            see also :func:`convert_model`.
        FileFormatError: If the file is missing, damaged, or something else.
    """
    if options.snn is None:
        if options.model.model is None:
            raise ConfigError(
                "--snn, --model: expected a network, got none. Give a saved one with --snn FILE, "
                "or a model to convert with --model SPEC --calibration SPEC."
            )
        return convert_model(options, terminal, place)
    parts = (options.model, options.calibration, options.method)
    if names := [name for part in parts for name in given(part)]:
        raise ConfigError(
            f"--snn: expected a converted network alone, got also {', '.join(names)}, "
            f"{'which says' if len(names) == 1 else 'which say'} how to convert. "
            "Leave out the one or the other."
        )
    return Subject(load(options.snn).to(place))


def convert_model(options: ConversionOptions, terminal: Terminal, place: torch.device) -> Subject:
    """Convert the model that the options name, as :func:`subject` does; cheap checks come first.

    Raises:
        ConfigError: If an option is missing or out of range.
        CalibrationError: If no calibration data are named, or they do not fit.
        UnsupportedModuleError: If the model cannot be converted.
    """
    config = method_config(options.method)
    network = open_model(options.model, terminal, place=place)
    items = open_calibration(options.calibration, options.images, options.model.shape)
    snn = api.convert(
        network,
        config,
        calibration=batches(items, options.images, place),
        progress=terminal.progress,
    )
    about = describe(items)
    record = {"calibration": about["name"], "preprocess": about["preprocess"]}
    snn = dataclasses.replace(snn, provenance={**snn.provenance, **record})
    return Subject(snn, network, items)


def original(
    found: Subject, options: ReferenceOptions, terminal: Terminal, place: torch.device = CPU
) -> nn.Module | None:
    """Return the model of ``--reference``, or else the one that was converted, if any.

    Args:
        found: The spiking network.
        options: Which model.
        terminal: Where notes go.
        place: Where its tensors will lie.

    Raises:
        ConfigError: If weights are given without a model, or the model does not take the
            network's inputs or has other outputs.
    """
    model = ModelOptions(model=options.reference, weights=options.reference_weights)
    if model.model is None:
        if model.weights is not None:
            raise ConfigError(
                "--reference-weights: expected --reference SPEC with it, got none. Name the model."
            )
        return found.model
    reference = open_model(model, terminal, "--reference-weights", place=place)
    returned = require_runs(reference, found.shape, f"--reference {model.model}")
    wanted = wanted_of(returned, f"--reference {model.model}")
    with torch.no_grad():
        expected = simulator(found.snn)(found.snn.check_input(torch.zeros(2, *found.shape)))
    if not wanted.fits(expected):
        raise ConfigError(
            f"--reference {model.model}: expected {_shapes(expected)} outputs, got "
            f"{_shapes(wanted.values)}. Name the original model."
        )
    return reference


def _shapes(outputs: Sequence[Tensor]) -> str:
    """Write the shapes of outputs without the batch."""
    return ", ".join(str(tuple(value.shape[1:])) for value in outputs)
