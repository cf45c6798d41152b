# SPDX-License-Identifier: Apache-2.0
"""The text around an evaluation: what was measured on what, what a word means, what is left out."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from spikewright.energy import Energy, verdict
from spikewright.energy.energy_text import energy_text, memory_text
from spikewright.evaluation import Result
from spikewright.network import SpikingNetwork

__all__ = ["COMPARED", "CONVENTIONS", "data_text", "evaluation", "fit", "preprocessing"]

WIDTH = 80
_SYNAPSES = (
    "An addition is one spike arriving at one neuron through one synapse, exact at borders and "
    "strides. A multiply-add (MAC) is one weight times one value, padding left out. Biases, gates "
    "and the neurons' own arithmetic are counted apart and "
)
CONVENTIONS = textwrap.fill(
    _SYNAPSES + "priced in energies; delay lines and the way of spikes across a chip are not.",
    width=WIDTH,
)
COMPARED = textwrap.fill(
    _SYNAPSES + "stand in the file that -o writes; spikewright report prices them.", width=WIDTH
)


def evaluation(
    result: Result,
    snn: SpikingNetwork,
    data: Mapping[str, Any],
    energies: Sequence[Energy],
    *,
    layers: bool = False,
) -> str:
    """Return the whole report of an evaluation, at most 80 columns wide.

    Args:
        result: What was measured.
        snn: The network it was measured on; of several code lengths, the one converted first.
        data: What :func:`spikewright.cli.items.describe` says of the inputs.
        energies: What an input costs on the longest code.
        layers: Whether to add a table per layer.
    """
    head = [
        snn.summary(),
        f"  calibrated  on {snn.provenance.get('calibration_samples', 0):,} inputs"
        + _of(snn.provenance.get("calibration")),
        data_text(data),
    ]
    if data["preprocess"] is not None:
        head.append(f"  images      {preprocessing(data['preprocess'])}")
    said = verdict(result.lengths[-1], result.reference_accuracy, energies)
    blocks = [
        "\n".join(head),
        "\n".join(textwrap.fill(sentence, WIDTH, subsequent_indent="  ") for sentence in said),
        result.table(layers=layers),
        energy_text(energies),
        memory_text(result.lengths[-1]),
        CONVENTIONS,
    ]
    return fit("\n\n".join(blocks))


def data_text(data: Mapping[str, Any]) -> str:
    """Write the line on the inputs, of which :func:`spikewright.cli.items.describe` tells."""
    part = "" if data["samples"] == data["of"] else f" {data['samples']:,} of its"
    return f"  data        {data['name']},{part} {data['of']:,} inputs"


def fit(text: str, width: int = WIDTH) -> str:
    """Break the lines that are too long, and indent what is broken off.

    Example:
        >>> print(fit("  latency  40 ticks; one input every 8 ticks", 20))
          latency  40 ticks;
            one input every
            8 ticks
    """
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        short = len(line) <= width
        lines += [line] if short else textwrap.wrap(line, width, subsequent_indent=indent)
    return "\n".join(lines)


def preprocessing(settings: Mapping[str, Any]) -> str:
    """Write how images became inputs in a line or two.

    Example:
        >>> preprocessing({"size": 32, "mean": [0.5], "std": [0.25], "channels": "L", "scale": 0.5})
        'L, size 32, v·0.5, mean 0.5, std 0.25'
    """
    size = settings.get("size")
    parts = [
        str(settings.get("channels", "RGB")),
        "" if settings.get("crop") is None else f"crop {settings['crop']:g}",
        ""
        if size is None
        else f"size {size if isinstance(size, int) else 'x'.join(map(str, size))}",
        f"v·{settings.get('scale', 1):.4g}",
        _moments("mean", settings.get("mean", [0.0]), 0.0),
        _moments("std", settings.get("std", [1.0]), 1.0),
    ]
    text = ", ".join(part for part in parts if part)
    return textwrap.fill(text, width=66).replace("\n", "\n" + " " * 14)


def _moments(name: str, values: list[float], neutral: float) -> str:
    if all(value == neutral for value in values):
        return ""
    return f"{name} {' '.join(f'{value:g}' for value in values)}"


def _of(name: str | None) -> str:
    return "" if name is None else f" of {name}"
