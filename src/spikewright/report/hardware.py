# SPDX-License-Identifier: Apache-2.0
"""Cycles that an exported network took in a simulation of its Verilog, beside ticks."""

import dataclasses
from pathlib import Path

from spikewright.errors import ConfigError, FileFormatError
from spikewright.files import parse_json, read_text
from spikewright.report.latency import Hardware
from spikewright.report.read import Measured

__all__ = ["with_hardware"]

_SAME = ("model", "method", "statistics_digest")


def with_hardware(measured: Measured, path: Path) -> Measured:
    """Add the cycles that a manifest tells to what was measured.

    Args:
        measured: One evaluation.
        path: The manifest of ``export --to verilog --simulate``.

    Raises:
        FileFormatError: If the file is no such manifest.
        ConfigError: If it is of another network, or there are several results.
    """
    wanted = "the manifest.json of export --to verilog --simulate"
    try:
        data = parse_json(read_text(path, wanted))
        found, cycles = data["simulation"], data["simulation"]["cycles"]
        hardware = Hardware(
            mean=float(cycles["mean"]),
            least=int(cycles["least"]),
            most=int(cycles["most"]),
            samples=int(found["samples"]),
            lanes=int(data["lanes"]),
            engine=str(data["engine"]),
            simulator=str(found["simulator"]),
        )
        steps, provenance = int(data["steps"]), dict(data["provenance"])
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path}: expected {wanted}, got another file ({error}).") from error
    if measured.compares or len(measured.provenance) != 1:
        raise ConfigError("--hardware: expected one evaluation to add cycles to, got several.")
    record, T = next(iter(measured.provenance.values())), measured.runs[-1].result.steps
    other = [f"{n} {provenance.get(n)!r}" for n in _SAME if provenance.get(n) != record.get(n)]
    other += [f"{steps} steps"] if steps != T else []
    if other:
        raise ConfigError(
            f"{path}: expected the network of the result, got {', '.join(other)}. Export the "
            "network that was evaluated."
        )
    return dataclasses.replace(measured, hardware=hardware)
