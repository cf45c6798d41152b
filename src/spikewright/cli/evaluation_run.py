# SPDX-License-Identifier: Apache-2.0
"""What ``spikewright evaluate`` does once its options are read, in one process or in several."""

import dataclasses
import json

import torch
from torch import nn

from spikewright import api
from spikewright.cli.files import check_output, write
from spikewright.cli.items import Items, batches, classes_of, describe, part, spread
from spikewright.cli.measuring import EvaluationOptions
from spikewright.cli.networks import original, subject
from spikewright.cli.report import evaluation
from spikewright.cli.task import check_task, task_of
from spikewright.cli.terminal import Terminal, command
from spikewright.data import loader
from spikewright.energy.energy import energy_of
from spikewright.energy.energy_model import choose_models
from spikewright.energy.memory import memory_of
from spikewright.errors import CalibrationError, ConfigError
from spikewright.evaluation.gather import gather
from spikewright.evaluation.rasters import Example
from spikewright.network import SpikingNetwork
from spikewright.processes import one_error, rank
from spikewright.tasks import Task

__all__ = ["EXAMPLES", "run"]

EXAMPLES = 4
"""Inputs that are looked at closely for the report, if a result is written."""


def run(what: EvaluationOptions, place: torch.device, terminal: Terminal) -> int:
    """Measure this process's part of the data; the first process writes and prints the whole.

    Raises:
        ConfigError: If an option is missing or out of range; see also
            :func:`spikewright.api.evaluate`.
        ProcessError: If another process has died; nothing is written then.
    """
    network, lengths, output, examples = what.network, what.lengths, what.output, what.examples
    with one_error():
        if what.data is None:
            raise ConfigError("--data: expected inputs to measure on, got none. Name a data set.")
        if lengths is not None and network.snn is not None:
            raise ConfigError(
                "--lengths: expected --model, got --snn. A saved network holds one code length; "
                "convert the model again."
            )
        models = choose_models(what.energy or None)
        if examples is not None and examples < 0:
            raise ConfigError(f"--examples: expected 0 or more, got {examples}. Raise it.")
        if output is not None and rank() == 0:
            check_output(output, force=what.force)
        check_task(what.task)
        if what.by_class and what.task.decode is None:
            raise ConfigError(
                "--by-class: expected with --decode, which finds boxes, got none. Leave it out."
            )
        if lengths:
            longest = dataclasses.replace(network.method, T=max(lengths))
            network = dataclasses.replace(network, method=longest)
        found = subject(network, terminal, place)
        items = spread(found.inputs(what.data, network.images), what.limit, "--limit")
        ann = original(found, what.reference, terminal, place)
        task = task_of(what.task, classes_of(items))
    measured = None
    with one_error():
        mine = part(items)
        if mine is not None:
            measured = api.evaluate(
                found.snn,
                batches(mine, network.images, place),
                reference=ann,
                task=task,
                code_lengths=lengths,
                simulator=what.simulator,
                progress=terminal.progress,
            )
    result = gather(measured)
    if result is None:
        raise CalibrationError("--data: expected at least one input, got none. Check the set.")
    if rank() == 0:
        looked = (EXAMPLES if output is not None else 0) if examples is None else examples
        if looked:
            seen = _look(found.snn, items, looked, ann, task)
            result = dataclasses.replace(result, examples=seen)
        energies = [energy_of(result.lengths[-1], m) for m in models]
        report = {
            **result.to_dict(),
            "energy": [e.to_dict() for e in energies],
            "memory": memory_of(result.lengths[-1]).to_dict(),
            "data": describe(items),
        }
        text = evaluation(result, found.snn, describe(items), energies, layers=what.layers)
        if what.by_class:
            text += f"\n\n{result.class_table()}"
        try:
            if output is not None:
                write(output, json.dumps(report, indent=1) + "\n")
                page = command("report", output)
                terminal.note(f"result written to {output}; this makes a page of it: {page}")
        finally:  # what was measured is told even if it could not be written
            terminal.result(text, report)
    return 130 if result.interrupted else 0


def _look(
    snn: SpikingNetwork,
    items: Items,
    count: int,
    ann: nn.Module | None,
    task: Task | str | None,
) -> tuple[Example, ...]:
    """Run some inputs once more, in this process alone, so that nothing depends on the others."""
    chosen = spread(items, count, "--examples")
    size, of = describe(chosen)["samples"], len(items)  # type: ignore[arg-type]  # as in sources
    (batch,) = loader(chosen, size)
    result = api.evaluate(snn, [batch], reference=ann, task=task, counting=False, examples=size)
    return tuple(
        dataclasses.replace(e, index=i * of // size) for i, e in enumerate(result.examples)
    )
