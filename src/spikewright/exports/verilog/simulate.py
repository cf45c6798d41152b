# SPDX-License-Identifier: Apache-2.0
"""The network in Verilator: words and cycles of every input."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikewright.errors import ConfigError, VerificationError
from spikewright.exports.verilog.file import VerilogSource
from spikewright.exports.verilog.words import hex_words
from spikewright.integers.program import IntegerProgram

__all__ = ["Simulation", "simulated"]

_FLAGS = (
    *("-CFLAGS", "-std=c++20 -fcoroutines", "-O3", "--unroll-count", "1", "-Wno-fatal"),
    *("--top-module", "bench"),
)


class Simulation:
    """A compiled bench, which reads its tables when it starts.

    Args:
        source: The network.
        folder: An empty folder to work in, or one that does not exist.

    Raises:
        ConfigError: If there is no Verilator, or it does not compile.
    """

    def __init__(self, source: VerilogSource, folder: Path) -> None:
        self.folder, self.memories = folder, source.facts["memories"]
        verilator = shutil.which("verilator")
        if verilator is None:
            raise ConfigError(
                "simulate: expected verilator on the path, got none. Install it (apt install "
                "verilator g++ make), or export without a simulation."
            )
        folder.mkdir(exist_ok=True)
        self.write(source)
        command = [verilator, "--binary", *_FLAGS, "--Mdir", "obj", "network.v", "bench.v"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if run.returncode:
            raise ConfigError(
                f"simulate: expected verilator to compile the network, got {run.stderr[-500:]!r}."
            )

    def write(self, source: VerilogSource) -> None:
        """Write the files, which may be those of other tables than were compiled."""
        for name, text in source.files.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[int]]:
        """Run numbers "sample *value" of every input.

        Returns:
            The numbers of all memories, "sample value", and the cycles of each sample.
        """
        count = len(next(iter(inputs.values())))
        rows = [
            text
            for k in range(count)
            for m in self.memories
            if m["name"] in inputs
            for text in _rows(m, inputs[m["name"]][k].flatten())
        ]
        (self.folder / "in.txt").write_text("".join(rows), encoding="utf-8")
        run = subprocess.run(
            ["./obj/Vbench"], cwd=self.folder, check=True, capture_output=True, text=True
        )
        cycles = [int(line.split()[1]) for line in run.stdout.splitlines() if "cycles" in line]
        found = (self.folder / "out.txt").read_text(encoding="utf-8").split()
        per, values, start = len(found) // max(1, len(cycles)), {}, 0
        for m in self.memories:
            texts = [t for k in range(count) for t in found[k * per + start :][: m["rows"]]]
            values[m["name"]] = _numbers(m, texts).reshape(count, -1)
            start += m["rows"]
        return values, cycles


def simulated(
    program: IntegerProgram, simulation: Simulation, vectors: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Run the inputs of golden vectors, and compare every train and read-out.

    Args:
        program: The program.
        simulation: What was made of it.
        vectors: What ``golden_vectors`` returned.

    Returns:
        ``samples``, ``words`` that were compared, ``cycles`` (``mean``, ``least``, ``most`` of an
        inference, inputs not loaded) and ``simulator``, for the manifest.

    Raises:
        VerificationError: If a word differs.
    """
    weights = 1 << torch.arange(program.steps - 1, -1, -1)

    def total(train: Tensor) -> Tensor:
        found: Tensor = torch.tensordot(train.long(), weights, ([1], [0]))
        return found.flatten(1)

    expected = {
        **{n.removeprefix("spikes/"): total(v) for n, v in vectors.items() if "spikes/" in n},
        **{o.name: vectors[f"potential/{o.name}"].flatten(1) for o in program.of_kind("readout")},
    }
    inputs = {o.name: vectors[f"integers/{o.name}"] for o in program.of_kind("input")}
    inputs |= {o.name: expected[o.name] for o in program.of_kind("encode")}
    found, cycles = simulation.run(inputs)
    wrong = [n for n, v in expected.items() if not torch.equal(found[n], v.long())]
    if wrong:
        raise VerificationError(
            f"simulate: expected the words of the reference, got others of {', '.join(wrong)}. "
            "This is a mistake of the export; please report it."
        )
    version = subprocess.run(["verilator", "--version"], capture_output=True, text=True, check=True)
    return {
        "samples": len(cycles),
        "words": sum(v.numel() for v in expected.values()),
        "cycles": {
            "mean": sum(cycles) / len(cycles),
            "least": min(cycles),
            "most": max(cycles),
        },
        "simulator": " ".join(version.stdout.split()[:2]),
    }


def _rows(memory: Mapping[str, Any], numbers: Tensor) -> list[str]:
    """Write the numbers of a memory as rows, in hexadecimal digits."""
    lanes, channels = memory["lanes"], memory["channels"]
    words = torch.zeros(-(-channels // lanes) * lanes, numbers.numel() // channels).long()
    sign = (numbers < 0).long() << (memory["bits"] - 1)
    words[:channels] = (numbers.abs() + sign).reshape(channels, -1)
    return hex_words(words.T.reshape(-1, lanes).tolist(), memory["bits"]).splitlines(True)


def _numbers(memory: Mapping[str, Any], rows: Sequence[str]) -> Tensor:
    """Read the numbers of a memory from rows of samples: channel after channel."""
    lanes, bits, channels = memory["lanes"], memory["bits"], memory["channels"]
    size = -(-lanes * bits // 8)
    data = b"".join(int(row, 16).to_bytes(size, "little") for row in rows)
    flat = np.unpackbits(np.frombuffer(data, np.uint8).reshape(-1, size), 1, bitorder="little")
    split = flat[:, : lanes * bits].reshape(-1, lanes, bits).astype(np.int64)
    words = (split << np.arange(bits)).sum(-1)
    top = 1 << (bits - 1)
    if memory["sign"] == "top bit":
        words = np.where(words >= top, top - words, words)
    elif memory["sign"] == "complement":
        words = np.where(words >= top, words - 2 * top, words)
    blocks = -(-channels // lanes)
    places = memory["rows"] // blocks
    whole: Tensor = torch.from_numpy(words).reshape(-1, places, blocks * lanes)
    return whole[:, :, :channels].transpose(1, 2)
