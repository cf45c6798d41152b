# SPDX-License-Identifier: Apache-2.0
"""Networks in Verilog: words that differ from the golden vectors, cycles, and what yosys makes.

Run ``python benchmarks/hardware.py digits``, or ``resnet8`` with SPIKEWRIGHT_DATA set. It exports,
runs inputs in Verilator (an export whose words differ fails), and with ``--synthesis`` runs yosys
on every layer, for Lattice ECP5: no place and route, so no clock frequency.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import spikewright as sw
from spikewright.cli.demo_training import as_tensors, train
from spikewright.data import load_digits
from spikewright.exports import LANES

sys.path.insert(0, str(Path(__file__).parent))
from _data import case
from _machine import machine

CELLS = {
    "LUT": ("LUT4",),
    "carry": ("CCU2C",),
    "flip-flops": ("TRELLIS_FF",),
    "block RAM": ("DP16KD",),
    "distributed RAM": ("TRELLIS_DPR16X4",),
    "multipliers": ("MULT18X18D",),
}
"""What a table shows, as yosys names it."""


def network(name: str, T: int) -> tuple[sw.SpikingNetwork, Tensor]:
    """Return a network in integers, and its test inputs."""
    if name == "digits":
        x, y = as_tensors(load_digits("train"), torch.device("cpu"))
        model = train(x, y, 2, progress=False).model
        tests = as_tensors(load_digits("test"), torch.device("cpu"))[0]
        return sw.convert(model, T=T, calibration=x[:256]).to_integer(), tests
    own = case(name)
    snn = sw.convert(own.model, T=T, calibration=own.calibration(256)).to_integer()
    return snn, next(iter(own.test(20)))[0]


def synthesised(folder: Path, limit: int) -> dict[str, dict[str, int] | str]:
    """Run the script of every layer by itself; return cells by layer."""
    script = (folder / "synth.ys").read_text().splitlines()
    tops = [line.split()[-1] for line in script if line.startswith("synth_")]
    found: dict[str, dict[str, int] | str] = {}
    for top in tops:
        steps = (
            f"read_verilog -defer network.v; synth_ecp5 -top {top}; tee -q -o {top}.json stat -json"
        )
        try:
            subprocess.run(["yosys", "-q", "-p", steps], cwd=folder, check=True, timeout=limit)
        except subprocess.TimeoutExpired:
            found[top] = f"stopped after {limit} s"
            continue
        cells = json.loads((folder / f"{top}.json").read_text())["design"]["num_cells_by_type"]
        found[top] = {n: sum(cells.get(t, 0) for t in types) for n, types in CELLS.items()}
        print(top, found[top], flush=True)
    return found


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one network."""
    snn, x = network(name, options.steps)
    with tempfile.TemporaryDirectory() as place:
        folder = (options.output or Path(place)) / name
        done = sw.export(
            snn, folder, to="verilog", inputs=x, samples=options.samples, lanes=options.lanes,
            engine=options.engine, simulate=options.samples > 0,
        )  # fmt: skip
        found: dict[str, Any] = {"simulation": done.manifest.get("simulation")}
        print(name, json.dumps(found, indent=1), flush=True)
        if options.synthesis:
            layers = {f"layer{i}": m for i, m in enumerate(done.manifest["memories"])}
            print({n: (m["name"], m["kind"], m["shape"]) for n, m in layers.items()}, flush=True)
            found["layers"] = {n: m["name"] for n, m in layers.items()}
            found["cells"] = synthesised(folder, options.limit)
    return found


def main() -> None:
    """Print the numbers and, if asked, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", choices=["digits", "resnet8", "resnet20"])
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--lanes", type=int, default=LANES)
    parser.add_argument("--engine", choices=["layer", "shared"], default="layer")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--synthesis", action="store_true")
    parser.add_argument("--limit", type=int, default=420, help="seconds that a layer may take")
    parser.add_argument("--output", type=Path, help="folder in which the exports stay")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(machine())
    found = {name: measure(name, options) for name in options.networks}
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), **found}, indent=1))


if __name__ == "__main__":
    main()
