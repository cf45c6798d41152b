# SPDX-License-Identifier: Apache-2.0
"""The collapsed network on bytes: its integer program, trains decoded as 8-bit numbers.

Populations whose whole input is layers and wires of bytes never leave bytes. What else there is
(averages, read-outs, layers with wide weights) is computed in float64 as everywhere, exactly.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.graph.batch import is_plain
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.graph.program import Program
from spikewright.integers import IntegerProgram, NoForm, Operation, lower
from spikewright.network import SpikingNetwork
from spikewright.simulators.int8 import kernels
from spikewright.simulators.int8.firing import fused
from spikewright.simulators.int8.operations import Operations, Run
from spikewright.simulators.int8.terms import Unfused, sum_of

__all__ = ["Engine"]

Observe = Callable[[str, Tensor], None]


class Engine:
    """A compiled network; holds no state of a run.

    Args:
        network: A network in integers, layered schedule.
        outputs: Values to return instead of the network's outputs: populations, gates, read-outs.

    Attributes:
        slow: Layers and populations that run in float64, with the reason.

    Raises:
        NoForm: If the network, or this processor, has no such form; the text says why.
    """

    def __init__(self, network: SpikingNetwork, outputs: Sequence[str] | None = None) -> None:
        self.program = program = _program(network)
        graph = network.graph
        self._wanted = tuple(outputs or [o.name for o in program.of_kind("readout")])
        kept = [o for o in program.operations if o.is_train or o.kind == "readout"]
        if any(name not in {o.name for o in kept} for name in self._wanted):
            raise NoForm("values are asked for that a program does not name")
        if not all(is_plain(graph[o.name].shape) for o in kept):
            raise NoForm("the batch is not the first axis everywhere")
        self._tail = (
            Program(graph, given=(*self._wanted, *graph.inputs)) if outputs is None else None
        )
        self._inputs = graph.inputs
        self._operations = Operations(program, self._find_bytes())
        self.slow = self._operations.slow
        self._steps = self._plan()

    def _find_bytes(self) -> dict[str, int]:
        """Return the values that are bytes, and how many sides they have."""
        found: dict[str, int] = {}
        for o in self.program.operations:
            if o.is_train or (
                o.kind in ("gather", "concat", "reshape") and all(i in found for i in o.inputs)
            ):
                found[o.name] = 2 if o.low < 0 else 1
            if o.kind == "max" and o.inputs[0] not in found:
                raise NoForm(f"{o.place}: a maximum of other values than trains")
        return found

    def _plan(self) -> list[tuple[Operation, Run, tuple[str, ...]]]:
        """Say of every value that is needed what computes it, and what is dropped behind it."""
        runs: dict[str, tuple[Run, tuple[str, ...]]] = {}
        for o in self.program.of_kind("fire"):
            try:
                found = sum_of(self.program, o, self._operations.readable)
            except Unfused as error:
                self.slow[o.name] = str(error)
                continue
            reads = tuple(dict.fromkeys(t.source for t in found.terms))
            runs[o.name] = (fused(self.program, o, found), reads)
        needed = set(self._wanted) | {o.name for o in self.program.operations if o.is_train}
        order = []
        for o in reversed(self.program.operations):
            if o.name not in needed:
                continue
            if o.name not in runs:
                runs[o.name] = (self._operations.run_of(o), o.inputs)
            needed.update(runs[o.name][1])
            order.append(o)
        last: dict[str, str] = {}
        for o in order:  # from the end
            for name in runs[o.name][1]:
                last.setdefault(name, o.name)
        return [
            (
                o,
                runs[o.name][0],
                tuple(n for n, at in last.items() if at == o.name and n not in self._wanted),
            )
            for o in reversed(order)
        ]

    def __call__(self, x: Inputs, observe: Observe | None = None) -> tuple[Tensor, ...]:
        """Run a batch.

        Args:
            x: Inputs in the network's type, "batch *feature".
            observe: Called for every population and gate with its decoded trains.

        Raises:
            OutOfRange: If an input leaves its range.
        """
        given = dict(zip(self._inputs, as_inputs(x), strict=True))
        env: dict[str, Tensor] = {f"source/{name}": value for name, value in given.items()}
        for o, run, drop in self._steps:
            env[o.name] = run(env)
            if observe is not None and o.is_train:
                observe(o.name, self._operations.number(env, o.name))
            for name in drop:
                del env[name]
        found = [self._operations.number(env, name) for name in self._wanted]
        return tuple(found) if self._tail is None else self._tail(*found, *given.values())


def _program(network: SpikingNetwork) -> IntegerProgram:
    """Return a network's program, if this machine runs one on bytes."""
    if network.device.type != "cpu":
        raise NoForm("the network is not on the processor")
    if missing := kernels.missing():
        raise NoForm(missing)
    try:
        program = lower(network)
    except (ConfigError, UnsupportedModuleError) as error:
        raise NoForm(str(error).removeprefix("integer program: ")) from error
    if program.steps > 8:
        raise NoForm(f"trains have {program.steps} steps, bytes hold 8")
    return program
