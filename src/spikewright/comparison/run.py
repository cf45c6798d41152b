# SPDX-License-Identifier: Apache-2.0
"""The verb ``compare``: measure what is not measured yet, in an order that can be resumed."""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from spikewright import __version__, api
from spikewright.comparison.cells import Ann, Cell
from spikewright.comparison.entries import DEFAULT_T, Entry, Run, entries_of, runs_of
from spikewright.comparison.identity import identity
from spikewright.comparison.inputs import Inputs, add_tensor
from spikewright.comparison.original import Original, decisions_of, form_of, undecided
from spikewright.comparison.result import Comparison
from spikewright.comparison.store import SCHEMA, Store, damaged
from spikewright.errors import FileFormatError
from spikewright.evaluation import evaluate
from spikewright.methods import MethodConfig, Prepared
from spikewright.methods.base import versions
from spikewright.progress import Interrupts, track
from spikewright.tasks import Classification, Task, task_for

__all__ = ["compare"]

_Sources = dict[nn.Module | None, tuple[Prepared, Mapping[str, Any]]]
"""The calibrated networks of a comparison, and what their cells depend on: the common one at None,
and those that entries bring."""


def compare(
    model: nn.Module,
    methods: Sequence[str | MethodConfig | Entry],
    *,
    calibration: Iterable[Any] | Tensor,
    data: Iterable[Any] | Tensor,
    T: Sequence[int] = DEFAULT_T,
    task: Task | str | None = None,
    limit: int | None = None,
    store: str | Path | None = None,
    progress: bool = False,
) -> Comparison:
    """Compare many methods at many T on one checkpoint: same images, same calibration.

    An anytime method is converted and run once, at its largest T; others once for each T. With a
    store, every finished cell is kept in ``store/cells``, and a later call with the same settings,
    model, calibration and data reads it instead of measuring again.

    Models whose outputs are no class scores have an error instead of accuracy, and labels that come
    with their inputs are not read, unless a task says what they are for.

    Args:
        model: The trained network; it is not changed.
        methods: Names, texts as :func:`parse_entry` reads them, settings, or entries.
        calibration: See :func:`spikewright.calibrate`.
        data: Inputs with labels, the same in every pass (no shuffling).
        T: Time steps of the methods that have none of their own.
        task: What the network is for; see :func:`spikewright.evaluate`.
        limit: Use only the first so many inputs.
        store: Folder of finished cells.
        progress: Whether to show progress bars.

    Returns:
        The outcome; ``print(comparison.table())``. Ctrl-C ends it after the batch at hand: the cell
        at work is dropped, finished ones are kept, and the outcome is marked as interrupted.

    Raises:
        ConfigError: If a setting, T or label is wrong (found before any work), or the data change
            from pass to pass.
        UnknownNameError: If a method or option is not known.
        UnsupportedModuleError: If a method cannot take the model.
        CalibrationError: If data are missing, or hold NaN or infinity.
        FileFormatError: If the file of a finished cell is damaged.

    Example:
        >>> import torch, spikewright as sw
        >>> from torch.nn import Linear, ReLU, Sequential
        >>> model, x = Sequential(Linear(4, 8), ReLU(), Linear(8, 3)), torch.rand(64, 4)
        >>> found = sw.compare(model, ["burst", "tsc@4"], calibration=x, data=x, T=[2, 8])
        >>> [(row.label, row.T) for row in found.rows()]
        [('burst', 2), ('burst', 8), ('tsc', 4)]
    """
    entries = entries_of(methods, T)
    inputs = Inputs(data, limit)
    cells = Store(None if store is None else Path(store))
    prepared = api.calibrate(model, calibration, progress=progress)
    inputs.form = form_of(model, prepared)
    inputs.task = task_for(task, inputs.form)
    for _ in track(inputs, "reading data", show=progress, total=inputs.batches):
        pass  # sets the digest
    facts = _facts(model, prepared, inputs)
    ann = _original(model, inputs, cells, facts, progress)
    sources: _Sources = {None: (prepared, facts)}
    for entry in entries:
        if entry.model is not None:
            own = api.calibrate(entry.model, calibration, progress=progress)
            sources[entry.model] = (own, {**facts, **_model_facts(entry.model, own)})
    original = Original(ann, model)
    done, interrupted = _measure(entries, sources, original, inputs, cells, progress)
    return Comparison(
        entries=entries,
        ann=ann,
        cells=done,
        interrupted=interrupted,
        provenance={
            "title": prepared.title,
            "versions": versions(),
            "calibration_samples": prepared.statistics.samples,
            "samples": inputs.samples,
            **{k: v for k, v in facts.items() if k not in ("schema", "spikewright")},
        },
    )


def _measure(
    entries: Sequence[Entry],
    sources: _Sources,
    original: Original,
    inputs: Inputs,
    cells: Store,
    progress: bool,
) -> tuple[tuple[Cell, ...], bool]:
    """Return every finished cell in order, and whether the user stopped it."""
    runs = [run for entry in entries for run in runs_of(entry)]
    found: dict[tuple[str, int], Cell] = {}
    for run in runs:
        if (cell := _stored(cells, _parts(sources, run), run)) is not None:
            found[run.label, run.T] = cell
    with Interrupts() as interrupts:
        for number, run in enumerate(runs, start=1):
            if (run.label, run.T) in found:
                continue
            if interrupts.requested:
                break
            parts = _parts(sources, run)
            cell = _stored(cells, parts, run)  # measured just now under another label
            if cell is None:
                place = f"{number}/{len(runs)}"
                prepared, _ = sources[run.model]
                cell = _cell(run, prepared, original, inputs, place, progress, interrupts)
                if cell is None:
                    break
                cells.write(parts, cell.to_dict())
            found[run.label, run.T] = cell
    done = tuple(found[key] for run in runs if (key := (run.label, run.T)) in found)
    return done, len(done) < len(runs)


def _parts(sources: _Sources, run: Run) -> dict[str, Any]:
    """Return everything that a run's cell depends on."""
    return {**sources[run.model][1], "settings": run.config.to_dict(), "T": run.T}


def _cell(
    run: Run,
    prepared: Prepared,
    original: Original,
    inputs: Inputs,
    place: str,
    progress: bool,
    interrupts: Interrupts,
) -> Cell | None:
    """Convert and evaluate once; None if the user stopped it."""
    start = time.perf_counter()
    network = prepared.convert(run.config)
    converted = time.perf_counter()
    if interrupts.requested:
        return None
    title = f"{place} {run.label} T={run.T}"
    result = evaluate(
        [network],
        track(inputs, title, show=progress, total=inputs.batches),
        reference=original.again(),
        task=inputs.task,
    )
    if result.interrupted:
        return None
    return Cell(
        label=run.label,
        method=str(run.config.name),
        config=run.config.to_dict(),
        T=run.T,
        anytime=run.anytime,
        result=result.lengths[0],
        convert_s=converted - start,
        evaluate_s=time.perf_counter() - converted,
    )


def _stored(cells: Store, parts: Mapping[str, Any], run: Run) -> Cell | None:
    """Return the finished cell of a run, if there is one."""
    data = cells.read(parts)
    if data is None:
        return None
    try:
        return Cell.from_dict(data, run.label)
    except FileFormatError as error:
        raise damaged(cells.path(parts), f"another one: {error}") from error


def _original(
    model: nn.Module, inputs: Inputs, cells: Store, facts: Mapping[str, Any], progress: bool
) -> Ann:
    """Run the original network once over the data, or read what an earlier call found."""
    parts = {**facts, "settings": "ann"}
    data = cells.read(parts)
    if data is not None:
        try:
            return Ann.from_dict(data)
        except FileFormatError as error:
            raise damaged(cells.path(parts), f"another one: {error}") from error
    batches = track(inputs, "ANN", show=progress, total=inputs.batches)
    decides = inputs.task.name == Classification.name
    ann = decisions_of(model, batches) if decides else undecided(inputs.samples)
    cells.write(parts, ann.to_dict())
    return ann


def _facts(model: nn.Module, prepared: Prepared, inputs: Inputs) -> dict[str, Any]:
    """Return what every cell depends on, besides method and T."""
    kept = hashlib.sha256()
    for kept_inputs in prepared.inputs or ():
        add_tensor(kept, kept_inputs)
    return {
        "schema": SCHEMA,
        "spikewright": __version__,
        **_model_facts(model, prepared),
        "calibration_inputs": kept.hexdigest(),
        "data": inputs.digest,
        "limit": inputs.limit,
        "task": identity(inputs.task),
    }


def _model_facts(model: nn.Module, prepared: Prepared) -> dict[str, Any]:
    return {
        "model": _model_digest(model, prepared),
        "statistics": prepared.statistics.digest(),
    }


def _model_digest(model: nn.Module, prepared: Prepared) -> str:
    """Return SHA-256 of a model's weights and of what is computed with them.

    Weights alone do not tell two networks apart that differ in a stride or an activation.
    """
    sha = hashlib.sha256()
    graph = prepared.graph
    tensors = {**model.state_dict(), **{f"graph:{n}": t for n, t in graph.params.items()}}
    for name, tensor in sorted(tensors.items()):
        if isinstance(tensor, Tensor):  # a module may keep other state, too
            sha.update(f"{name}\0{tensor.dtype}{tuple(tensor.shape)}\0".encode())
            add_tensor(sha, tensor)
    plain = graph.to_dict()
    for node in plain["nodes"]:
        del node["source"]  # the same network in another file is the same
    sha.update(json.dumps(plain, sort_keys=True).encode())
    return sha.hexdigest()
