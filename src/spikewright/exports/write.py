# SPDX-License-Identifier: Apache-2.0
"""The verb: a network in integers leaves as a folder of files, whole or not at all."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikewright import __version__
from spikewright.errors import ConfigError, unknown_name
from spikewright.exports.folder import new_folder, write_manifest
from spikewright.exports.targets import TARGETS, Hardware, Subject
from spikewright.exports.verilog import LANES
from spikewright.graph.ir import Inputs
from spikewright.integers.program import IntegerProgram
from spikewright.network import SpikingNetwork

__all__ = ["SAMPLES", "Exported", "export"]

SAMPLES = 20
"""Inputs of golden vectors: one can miss a weight that is off by one, 20 missed none tried."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        target: What it was exported to.
        program: The program that it was made from; None if from the network itself.
        manifest: What ``manifest.json`` says.
    """

    folder: Path
    target: str
    program: IntegerProgram | None
    manifest: dict[str, Any]

    def table(self) -> str:
        """Return the files and the memory that the network takes, as text."""
        rows = [f"{n:<24}{f['bytes']:>12,} bytes" for n, f in self.manifest["files"].items()]
        if "ram_bytes" in self.manifest:
            ram, flash = self.manifest["ram_bytes"], self.manifest["flash_bytes"]
            rows += ["", f"RAM {ram:,} bytes, flash {flash:,} bytes (tables, without code)"]
        if "simulation" in self.manifest:
            found, cycles = self.manifest["simulation"], self.manifest["simulation"]["cycles"]
            rows += [
                "",
                f"{cycles['mean']:,.0f} cycles an inference (mean of {found['samples']}; "
                f"{cycles['least']:,} to {cycles['most']:,}), {found['words']:,} words equal",
            ]
        if self.program is not None:
            rows += self._program(self.program)
        if tail := self.manifest["not_exported"]:
            rows.append(f"not exported, behind the read-outs: {'; '.join(tail)}")
        return "\n".join(rows)

    def _program(self, program: IntegerProgram) -> list[str]:
        memory = program.memory()
        return [
            "",
            f"{len(program.operations)} operations, T = {program.steps}, "
            f"{program.ticks} ticks from input to decision",
            f"weights, biases, thresholds: {memory['parameter_bytes']:,} bytes",
            f"trains alive at once: {memory['live_train_bits']:,} bits",
            f"widest register: {max(o.bits for o in program.operations)} bits",
        ]


def export(
    snn: SpikingNetwork,
    folder: str | os.PathLike[str],
    *,
    to: str,
    inputs: Inputs | Iterable[Any] | None = None,
    samples: int = SAMPLES,
    lanes: int = LANES,
    engine: str = "layer",
    simulate: bool = False,
) -> Exported:
    """Write a network for other tools; docs/exports.md says what is in the files.

    Args:
        snn: A network that ``to_integer()`` returned: layered schedule, radix code, k = 2. For
            ``"nir"`` a synchronous one in floating point.
        folder: A folder that does not exist yet.
        to: ``"vectors"`` (the program, and every spike and potential for some inputs),
            ``"integers"`` (the program alone), ``"c"`` (one C99 file), ``"onnx"`` (integer
            operators; with the extra ``onnx``), ``"verilog"`` or ``"nir"`` (with the extra
            ``nir``).
        inputs: For golden vectors: inputs "batch *feature", or batches as a loader gives them, of
            which the first ``samples`` are taken.
        samples: How many inputs.
        lanes: For Verilog: channels that a layer computes at once, at most.
        engine: For Verilog: ``"layer"`` (every layer has a machine of its own) or ``"shared"``
            (one computes all layers in turn).
        simulate: For Verilog: run the inputs in Verilator, compare every train and read-out with
            the reference, and write the cycles that an inference takes to the manifest.

    Returns:
        What was written.

    Raises:
        UnknownNameError: If there is no such target or engine.
        ConfigError: If the network is of another kind, inputs are missing or out of range, the
            folder exists, or Verilator is missing.
        VerificationError: If a simulation differs from the reference.
        UnsupportedModuleError: If an operator has no form there; all are listed.
        FileFormatError: If it cannot be written; nothing is left behind.
    """
    if to not in TARGETS:
        raise unknown_name("export: target", to, TARGETS)
    target = TARGETS[to]
    x = None if inputs is None else _first(inputs, samples)
    if simulate and to != "verilog":
        raise ConfigError(f"simulate: expected the target verilog, got {to}. Leave it out.")
    subject = Subject(snn, x, Hardware(lanes, engine, simulate))
    program = subject.program if target.of_program(snn) else None
    if program is not None:
        target.check(program)
    path = Path(folder)
    with new_folder(path) as place:
        facts = target.write(subject, place)
        manifest = write_manifest(
            place,
            {
                "format": "spikewright.export",
                "version": 1,
                "target": to,
                "spikewright": __version__,
                "provenance": dict(snn.provenance),
                **(_of_program(program) if program else {}),
                **facts,
            },
        )
    return Exported(path, to, program, manifest)


def _of_program(program: IntegerProgram) -> dict[str, Any]:
    return {
        "steps": program.steps,
        "memory": program.memory(),
        "not_exported": list(program.tail),
    }


def _first(inputs: Inputs | Iterable[Any], samples: int) -> Inputs:
    """Return the first inputs of a tensor, of several, or of batches with or without labels."""
    if samples < 1:
        raise ConfigError(f"samples: expected at least 1, got {samples}.")
    if isinstance(inputs, Tensor):
        return inputs[:samples]
    if isinstance(inputs, tuple):
        return tuple(value[:samples] for value in inputs)
    found: list[Tensor] = []
    for batch in islice(inputs, samples):
        found.append(batch[0] if isinstance(batch, tuple | list) else batch)
        if sum(map(len, found)) >= samples:
            break
    if not found:
        raise ConfigError("inputs: expected at least one, got none.")
    return torch.cat(found)[:samples]
