# SPDX-License-Identifier: Apache-2.0
"""What a network can be exported to: one function a target, each writes files into a folder."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.exports.c import c_source
from spikewright.exports.folder import write_json, write_tensors
from spikewright.exports.vectors import golden_vectors
from spikewright.exports.verilog import LANES, Simulation, simulated, verilog_source
from spikewright.graph.ir import Inputs
from spikewright.integers.lowering import lower
from spikewright.integers.program import IntegerProgram
from spikewright.integers.step import lower_step
from spikewright.network import SpikingNetwork

__all__ = ["TARGETS", "Hardware", "Subject", "Target"]


@dataclass(frozen=True)
class Hardware:
    """How a network becomes Verilog.

    Attributes:
        lanes: Channels that are computed at once, at most.
        engine: ``"layer"`` or ``"shared"``.
        simulate: Whether it is run in Verilator.
    """

    lanes: int = LANES
    engine: str = "layer"
    simulate: bool = False


@dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
        network: The network.
        x: Inputs for golden vectors, if there are any.
        hardware: How it becomes Verilog.
    """

    network: SpikingNetwork
    x: Inputs | None = None
    hardware: Hardware = field(default_factory=Hardware)

    @cached_property
    def program(self) -> IntegerProgram:
        """The program of a layered network in integers."""
        return lower(self.network)


@dataclass(frozen=True)
class Target:
    """A form in which a network leaves.

    Attributes:
        name: Its name, as ``--to`` takes it.
        write: Writes the files and returns facts for the manifest.
        products: Whether it can say products of two values.
        integer: Whether it takes networks in integers.
        of_program: Whether it is made from the integer program; else from the network itself.
    """

    name: str
    write: Callable[[Subject, Path], Mapping[str, Any]]
    integer: bool = True
    of_program: Callable[[SpikingNetwork], bool] = lambda network: True
    products: bool = False

    def check(self, program: IntegerProgram) -> None:
        """Refuse what this form cannot say of a program.

        Raises:
            UnsupportedModuleError: If there is any; all of it is listed.
        """
        places = [f"{o.place} ({o.name})" for o in program.of_kind("product")]
        if places and not self.products:
            able = " or ".join(t.name for t in TARGETS.values() if t.products)
            raise UnsupportedModuleError(
                f"export to {self.name}: expected layers, pooling and sums, got products of two "
                f"values: {'; '.join(places)}. Export to {able}."
            )


def _layered(network: SpikingNetwork) -> bool:
    return network.schedule.name == "layered"


def _integers(subject: Subject, folder: Path) -> Mapping[str, Any]:
    """The program itself."""
    write_json(folder / "program.json", subject.program.to_dict())
    write_tensors(folder / "tensors.safetensors", subject.program.tensors)
    return {}


def _vectors(subject: Subject, folder: Path) -> Mapping[str, Any]:
    """The program, and what everything in it must be for some inputs."""
    if subject.x is None:
        raise ConfigError("export: expected inputs for golden vectors, got none. Pass inputs=.")
    _integers(subject, folder)
    vectors = golden_vectors(subject.network, subject.program, subject.x)
    write_tensors(folder / "vectors.safetensors", vectors)
    return {
        "samples": len(next(iter(vectors.values()))),
        "values": sum(v.numel() for n, v in vectors.items() if not n.startswith("input/")),
    }


def _c(subject: Subject, folder: Path) -> Mapping[str, Any]:
    """One file of C99."""
    source = c_source(subject.program)
    (folder / "network.c").write_text(source.text, encoding="utf-8")
    return {"ram_bytes": source.ram_bytes, "flash_bytes": source.flash_bytes, **source.facts}


def _onnx(subject: Subject, folder: Path) -> Mapping[str, Any]:
    """One ONNX model: of whole trains, or of one step of a synchronous network."""
    from spikewright.exports.onnx_model import OPSET, onnx_model
    from spikewright.exports.onnx_step import onnx_step

    facts: dict[str, Any] = {"opset": OPSET}
    if _layered(subject.network):
        model = onnx_model(subject.program)
    else:
        program = lower_step(subject.network)
        model = onnx_step(program, subject.network)
        states = [i for i in model.graph.input if i.type.tensor_type.elem_type != 1]
        facts |= {"steps": subject.network.steps, "awake": subject.network.awake}
        facts |= {"states": [s.name for s in states], "not_exported": list(program.tail)}
    (folder / "network.onnx").write_bytes(model.SerializeToString())
    return {**facts, "outputs": [output.name for output in model.graph.output]}


def _verilog(subject: Subject, folder: Path) -> Mapping[str, Any]:
    """Verilog, its tables and a bench."""
    settings, vectors = subject.hardware, dict[str, Tensor]()
    source = verilog_source(subject.program, settings.lanes, settings.engine)
    if settings.simulate:
        if subject.x is None:
            raise ConfigError("export: expected inputs to simulate, got none. Pass inputs=.")
        vectors = golden_vectors(subject.network, subject.program, subject.x)
    for name, text in source.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if not settings.simulate:
        return source.facts
    with tempfile.TemporaryDirectory() as place:
        simulation = Simulation(source, Path(place))
        return {**source.facts, "simulation": simulated(subject.program, simulation, vectors)}


def _nir(subject: Subject, folder: Path) -> Mapping[str, Any]:
    """One NIR graph."""
    from spikewright.exports.nir_model import nir_model, write_nir

    model = nir_model(subject.network)
    write_nir(folder / "network.nir", model.graph)
    return model.facts


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        t.name: t
        for t in (
            Target("vectors", _vectors, products=True),
            Target("integers", _integers, products=True),
            Target("c", _c),
            Target("onnx", _onnx, of_program=_layered),
            Target("verilog", _verilog),
            Target("nir", _nir, integer=False, of_program=lambda network: False),
        )
    }
)
"""Every target by its name."""
