# SPDX-License-Identifier: Apache-2.0
"""The verbs: glue between the rooms, no mathematics."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikewright.calibration.collect import Collector, inputs_of, read_inputs
from spikewright.diagnosis import Diagnosis
from spikewright.diagnosis import diagnose as diagnose_network
from spikewright.diagnosis.suggestions import Suggestion
from spikewright.errors import CalibrationError, ConfigError, VerificationError
from spikewright.evaluation import Result
from spikewright.evaluation import evaluate as measure
from spikewright.graph import (
    Graph,
    Inspection,
    capture,
    channel_axes,
    find_activations,
    fold_batch_norm,
    inspect_graph,
    normalise,
    ops,
    place_curves,
    place_sites,
    simplify,
)
from spikewright.graph.batch import element_count, sizes
from spikewright.graph.calls import required_arguments
from spikewright.graph.equality import check_rewritten
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.graph.original import evaluation_mode, layer_by_layer, unwrapped
from spikewright.methods import MethodConfig, Prepared, configure
from spikewright.network import SpikingNetwork
from spikewright.network.twin import AgainstOriginal, check_equality, compare_original
from spikewright.progress import track, working
from spikewright.simulators import Verification
from spikewright.simulators import simulator as simulator_of
from spikewright.simulators import verify as verify_network
from spikewright.tasks import Task

__all__ = ["apply", "calibrate", "convert", "diagnose", "evaluate", "inspect", "simulate", "verify"]

CHECKED_ELEMENTS = 4_000_000
"""Elements of the largest value over the inputs on which conversions are checked."""

KEPT_INPUTS = 512
"""Calibration inputs that are kept, at most, for whoever runs the spiking network on them."""

KEPT_ELEMENTS = 48_000_000
"""Numbers in them at most: 192 MB."""

Batches = Iterable[Any] | Tensor
SimulatorName = Literal["collapsed", "timefold", "reference"]


def inspect(
    model: nn.Module,
    example: Any,  # noqa: ANN401 - as the model takes it
    *,
    encode_input: bool = False,
    analog_relays: Sequence[str] = (),
    functions: Literal["unit", "few-spikes"] = "unit",
    progress: bool = False,
) -> Inspection:
    """Tell, without data, what would become of a model.

    Args:
        model: The trained network; it is not changed.
        example: One input batch, ``"batch *feature"``; its values do not matter. A tuple holds
            several inputs, a dictionary keyword arguments.
        encode_input: Whether the input would enter as spikes.
        analog_relays: Relays that would stay analog.
        functions: How functions of one potential would be computed; see the layered methods.
        progress: Whether to show that the model is being captured, which may take a minute.

    Returns:
        Every operator with its class: spiking, relay, gate, analog, refused.

    Raises:
        UnsupportedModuleError: If the model cannot even be captured.
    """
    graph = _folded(_captured(model, example, progress=progress))
    return inspect_graph(
        graph,
        encode_input=encode_input,
        analog_relays=analog_relays,
        few_spikes=functions == "few-spikes",
    )


def calibrate(
    model: nn.Module,
    calibration: Batches,
    *,
    example: Any = None,  # noqa: ANN401 - as the model takes it
    progress: bool = False,
) -> Prepared:
    """Capture a model and observe its values on calibration data.

    Args:
        model: The trained network; it is not changed.
        calibration: Tensors or (input, target) pairs, or one tensor; a few hundred inputs that
            are preprocessed as in training. A model of several inputs gets them as a tuple or as
            a dictionary of keyword arguments, alone or in such a pair.
        example: One input batch to capture with, as the model takes it (a tensor, a tuple of
            inputs, a dictionary); the first calibration batch by default.
        progress: Whether to show a progress bar.

    Returns:
        All that a method needs; pass it to :func:`convert` as often as you like.

    Raises:
        CalibrationError: If the data are empty, of another kind, or hold NaN or infinity.
        ShapeError: If their shape changes or does not fit the model.
        UnsupportedModuleError: If the model cannot be taken, or its weights hold NaN.
        VerificationError: If what was captured does not compute what the model returns, or a pass
            has changed it; the first such operator is named.
    """
    batches = _batches(calibration)
    if example is None:
        first = next(batches, None)
        if first is None:
            raise CalibrationError(
                "calibration: expected at least one batch, got none. An iterator can be read only "
                "once; pass a list or a DataLoader."
            )
        example = _example_of(model, first)
        batches = chain([first], batches)
    captured = _captured(model, example, progress=progress)
    with working("preparing the model", show=progress):
        graph = _folded(captured)
        placed = place_sites(graph)
        collector = Collector(placed, channel_axes(placed))
    total, kept = _length(calibration), list[tuple[Tensor, ...]]()
    for index, batch in enumerate(track(batches, "calibrating", show=progress, total=total)):
        collector.add(batch, index)
        inputs = as_inputs(read_inputs(captured, batch, f"calibration batch {index}")[0])
        elements = max(1, sum(x[:1].numel() for x in inputs))
        most = min(KEPT_INPUTS, max(2, KEPT_ELEMENTS // elements))
        left = most - sum(len(k[0]) for k in kept)
        if left > 0:
            kept.append(tuple(x[:left].to("cpu", copy=True) for x in inputs))
    statistics = collector.statistics()
    inputs = tuple(map(torch.cat, zip(*kept, strict=True)))
    checked = _checked_inputs(placed, len(inputs[0]))
    few = tuple(x[:checked] for x in inputs)
    return Prepared(
        title=type(unwrapped(model)).__name__,
        graph=graph,
        statistics=statistics,
        signed_inputs=collector.signed_inputs,
        inputs=inputs,
        captured=captured,
        checked=checked,
        difference=check_rewritten(captured, placed, few, _results(model, captured, few)),
    )


def _example_of(model: nn.Module, batch: Any) -> Any:  # noqa: ANN401 - whatever a loader yields
    """Return the model's own arguments from a first batch: all of it, or what stands first."""
    if isinstance(batch, Mapping):
        return batch
    if isinstance(batch, (tuple, list)) and batch:
        count = required_arguments(unwrapped(model))
        if count > 1 and len(batch) >= count and isinstance(batch[0], Tensor):
            return tuple(batch[:count])
        if isinstance(batch[0], Mapping | tuple | list):
            return batch[0]
    return inputs_of(batch)


def _checked_inputs(graph: Graph, available: int) -> int:
    """Return on how many inputs conversions are checked: two or more, a small batch."""
    largest = max(element_count(n.shape) for n in graph)
    return min(available, max(2, min(16, CHECKED_ELEMENTS // max(1, largest))))


def _results(model: nn.Module, graph: Graph, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the outputs of the model itself, in the order of the graph's."""
    own = unwrapped(model)
    with layer_by_layer():
        found = graph.results.flatten_any(runner(own, graph)(inputs))
    if found is None:
        raise VerificationError(
            f"{type(own).__name__}: expected results nested as they were when the model was "
            "captured, got others. What it returns must not depend on the input's values."
        )
    return tuple(t.to("cpu") for t in found)


def convert(
    model: nn.Module | Prepared,
    method: str | MethodConfig = "spikeconverter",
    *,
    calibration: Batches | None = None,
    example: Any = None,  # noqa: ANN401 - see calibrate
    progress: bool = False,
    **options: Any,  # noqa: ANN401 - the method's own settings
) -> SpikingNetwork:
    """Turn a trained network into a spiking one.

    Args:
        model: The trained network (not changed), or what :func:`calibrate` returned.
        method: A method's name or its settings.
        calibration: See :func:`calibrate`; needed unless ``model`` is calibrated.
        example: See :func:`calibrate`.
        progress: Whether to show a progress bar.
        **options: The method's settings, e.g. ``T=8``.

    Returns:
        A new network.

    Raises:
        UnknownNameError: If no method has this name.
        ConfigError: If a setting is unknown or out of range, or data are given twice.
        CalibrationError: If calibration data are missing or unfit; see :func:`calibrate`.
        UnsupportedModuleError: Listing everything in the model that cannot be taken.
        VerificationError: If the converted network with exact neurons would not compute the
            model (the equality law, see docs/architecture.md), naming the first operator.

    Example:
        >>> import torch, spikewright as sw
        >>> from torch.nn import Linear, ReLU, Sequential
        >>> model = Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
        >>> snn = sw.convert(model, T=8, calibration=torch.rand(64, 4))
        >>> snn.timing().latency_ticks
        16
    """
    config = configure(method, **options)
    if isinstance(model, Prepared):
        if calibration is not None:
            raise ConfigError(
                "convert: the model is calibrated already, got calibration data as well. "
                "Leave them out."
            )
        return model.convert(config, progress=progress)
    if calibration is None:
        raise CalibrationError(
            "convert: expected calibration data, got none. Pass a few hundred inputs as "
            "calibration=loader."
        )
    prepared = calibrate(model, calibration, example=example, progress=progress)
    return prepared.convert(config, progress=progress)


def evaluate(
    snn: SpikingNetwork,
    loader: Batches,
    *,
    reference: Callable[..., Any] | None = None,
    task: Task | str | None = None,
    code_lengths: Sequence[int] | None = None,
    simulator: SimulatorName | None = None,
    counting: bool = True,
    examples: int = 0,
    limit: int | None = None,
    progress: bool = False,
) -> Result:
    """Measure accuracy at every step, agreement with the ANN, spikes, additions and latency.

    A task says what the outputs are worth. Class scores are decided from (accuracy and agreement);
    of other outputs the relative error to the ANN's is measured, of integers the share of equal
    elements, unless ``task`` says more: ``spikewright.Detection(decode=…, classes=…)`` has the
    average precision of boxes, ``spikewright.Segmentation(classes=…)`` the mean IoU of pixels.

    Args:
        snn: The converted network.
        loader: Tensors or (input, target) pairs; targets are read as the task wants them: class
            numbers, annotations, maps of class numbers, or not at all.
        reference: The original network, or a function of the input, run on the same inputs, with
            outputs like the network's in any nesting; a network is not changed.
        task: What the network is for: a task, ``"classification"`` or ``"outputs"``; by default
            classification for outputs (batch, classes), else outputs.
        code_lengths: Evaluate the network converted again at each of these T, on the same inputs.
        simulator: ``"reference"`` (tick by tick), or the fast one of the network's schedule, which
            is the default: ``"collapsed"`` (layered) or ``"timefold"`` (synchronous).
        counting: Whether spikes and additions are counted.
        examples: How many of the first inputs to look at closely, for the report's pictures.
        limit: Use only the first so many inputs.
        progress: Whether to show a progress bar.

    Returns:
        The result; ``print(result.table())``. Ctrl-C finishes the batch at hand and returns what
        is done so far, marked as interrupted.

    Raises:
        ConfigError: If ``code_lengths`` is asked of a network read from a file, which holds one
            code length only, or a setting is out of range, or the network's schedule has no such
            simulator, or task, targets or reference do not fit the outputs.
        CalibrationError: If there is no data, or it holds NaN or infinity.
        ShapeError: If an input has another shape than the network takes.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: expected at least 1 input, got {limit}.")
    networks = [snn] if code_lengths is None else at_lengths(snn, code_lengths)
    total = _length(loader)
    batches = _limited(_batches(loader), limit)
    return measure(
        networks,
        track(batches, "evaluating", show=progress, total=total if limit is None else None),
        reference=None if reference is None else runner(reference, snn.graph),
        task=task,
        simulator=simulator,
        counting=counting,
        examples=examples,
    )


def at_lengths(snn: SpikingNetwork, code_lengths: Sequence[int]) -> list[SpikingNetwork]:
    """Convert a network again at other code lengths, from the same statistics.

    Raises:
        ConfigError: If the network was read from a file or rounded to integers.
    """
    if snn.source is None:
        raise ConfigError(
            "code_lengths: expected a network that convert() has just returned, got one from "
            "a file or "
            f"an integer one, which holds T={snn.T} only. Convert the model again for other "
            "lengths."
        )
    if not code_lengths:
        raise ConfigError("code_lengths: expected at least one T, got none.")
    prepared, config = snn.source.prepared, snn.source.config
    return [
        snn
        if getattr(config, "T", snn.T) == T
        else prepared.convert(dataclasses.replace(config, T=T))
        for T in dict.fromkeys(code_lengths)
    ]


def diagnose(
    snn: SpikingNetwork,
    loader: Batches,
    *,
    reference: nn.Module | None = None,
    simulator: SimulatorName | None = None,
    limit: int | None = None,
    progress: bool = False,
) -> Diagnosis:
    """Find out, layer by layer, where the difference to the ANN comes from.

    Args:
        snn: The converted network, in floating point.
        loader: Tensors or (input, …) pairs.
        reference: The original network, needed for a converted one that was read from a file;
            it is not changed.
        simulator: See :func:`evaluate`.
        limit: Use only the first so many inputs.
        progress: Whether to show a progress bar.

    Returns:
        Every layer's error by cause; ``print(diagnosis.table())`` ends with what to do about it.
        Ctrl-C finishes the batch at hand and returns what is done so far, marked as interrupted.

    Raises:
        ConfigError: If the original network is missing or another model, the network is an integer
            one, a setting is out of range, or the schedule has no such simulator.
        CalibrationError: If there is no data, or it holds NaN or infinity.
        ShapeError: If an input has another shape than the network takes.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: expected at least 1 input, got {limit}.")
    original = _original(snn, reference, progress=progress)
    batches = _limited(_batches(loader), limit)
    total = None if limit is not None else _length(loader)
    return diagnose_network(
        snn,
        track(batches, "diagnosing", show=progress, total=total),
        simulator=simulator,
        reference_graph=original,
    )


def apply(snn: SpikingNetwork, suggestion: Suggestion) -> SpikingNetwork:
    """Convert a network again as a diagnosis suggests, from the same statistics.

    Args:
        snn: The network that was diagnosed; it is not changed.
        suggestion: One of ``diagnosis.suggestions``.

    Returns:
        A new network. Where the suggestion names the network's own method, that method's other
        settings are kept; another method has its defaults.

    Raises:
        ConfigError: If the network was read from a file or rounded to integers, or the method
            refuses the settings.
        UnknownNameError: If no method has this name.

    Example:
        >>> import torch, spikewright as sw
        >>> from torch.nn import Linear, ReLU, Sequential
        >>> x, model = torch.rand(64, 4), Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
        >>> snn = sw.convert(model, "burst", T=4, calibration=x)
        >>> first = sw.diagnose(snn, x).suggestions[0]
        >>> first.text, float(sw.apply(snn, first).sites["1/relu"].pre_bias)
        ('v_init=0.5', 0.5)
    """
    if snn.source is None:
        raise ConfigError(
            "apply: expected a network that convert() has just returned, got one from a file or "
            "an integer one, which cannot be converted again. Convert the model again."
        )
    prepared, config = snn.source.prepared, snn.source.config
    own = suggestion.method == config.name
    settings = configure(config if own else suggestion.method, **suggestion.changes)
    network: SpikingNetwork = prepared.convert(settings)
    return network


def _original(snn: SpikingNetwork, reference: nn.Module | None, *, progress: bool = False) -> Graph:
    """Return the original network with its sites placed as in the converted one."""
    if reference is not None:
        graph = _folded(_captured(reference, _blank(snn.graph), progress=progress))
    elif snn.source is not None:
        graph = snn.source.prepared.graph
    else:
        raise ConfigError(
            "diagnose: expected the original network, got a converted one that was read from a "
            "file or rounded to integers, which does not hold it. Pass reference=model."
        )
    placed = place_sites(graph, encode_input=snn.input != "analog", analog_relays=snn.analog_relays)
    return place_curves(placed) if any(n.op == ops.CURVE for n in snn.graph) else placed


def verify(
    snn: SpikingNetwork,
    x: Inputs | Mapping[str, Any],
    *,
    reference: nn.Module | None = None,
    progress: bool = False,
) -> Verification:
    """Prove on a few inputs that the simulators compute the same spikes, and the original network.

    The second is the equality law: with neurons that send exact values the converted graph must
    compute the original model. It is checked against what the network was converted from, or
    against ``reference``; rounding to integers changes weights on purpose, so integer networks
    are not held to it.

    Args:
        snn: The converted network; an integer one must agree bit for bit.
        x: Inputs, "batch *feature", a tuple of all inputs, or a dictionary of keyword arguments.
        reference: The original network, for a converted one that was read from a file.
        progress: Whether to show what is being done.

    Returns:
        What was found; ``.agrees``, ``print(.table())``.

    Raises:
        ShapeError: If the input has another shape than the network takes.
    """
    given = snn.check_input(x)
    original = _against_original(snn, given, reference, progress)
    with working("running both simulators", show=progress):
        return verify_network(snn, given, original)


def _against_original(
    snn: SpikingNetwork, x: Inputs, reference: nn.Module | None, progress: bool
) -> AgainstOriginal:
    """Check the equality law on some inputs, or say why that cannot be done."""
    if snn.integer:
        return AgainstOriginal(None, said="integer weights are rounded on purpose")
    if snn.prepared_by:
        return _before_preparation(snn, x)
    if reference is not None:
        captured = _captured(reference, _blank(snn.graph), progress=progress)
    elif snn.source is not None and snn.source.prepared.captured is not None:
        captured = snn.source.prepared.captured
    else:
        return AgainstOriginal(
            None, said="the network was read from a file; give the original as reference"
        )
    return compare_original(snn, captured, _original(snn, reference), x)


def _before_preparation(snn: SpikingNetwork, x: Inputs) -> AgainstOriginal:
    """Check a network whose weights were changed on purpose: without that, and with it."""
    by = ", ".join(snn.prepared_by)
    if snn.source is None or snn.source.prepared.captured is None:
        return AgainstOriginal(
            None,
            said=f"its weights were changed on purpose ({by}) and it was read from a file; verify "
            "what convert() has just returned",
        )
    prepared, config = snn.source.prepared, snn.source.config
    plain = prepared.convert(dataclasses.replace(config, prepare="none"))
    found = compare_original(plain, prepared.captured, config.placed(prepared), x)
    if not found.agrees:
        return found
    try:
        check_equality(snn, snn.source.changed, x)
    except VerificationError as error:
        return AgainstOriginal(False, said=f"after preparation ({by}): {error}")
    return dataclasses.replace(found, said=f"before its weights were changed on purpose ({by})")


def simulate(
    snn: SpikingNetwork,
    x: Inputs | Mapping[str, Any],
    *,
    simulator: SimulatorName | None = None,
) -> Any:  # noqa: ANN401 - as the model
    """Run a batch through the network and return what the model returns.

    Args:
        snn: The converted network.
        x: Input, "batch *feature", a tuple of all inputs, or a dictionary of keyword arguments.
        simulator: See :func:`evaluate`; the spikes are the same whichever it is.

    Returns:
        All outputs after the last step, nested as the model nests them, e.g. class scores "batch
        class"; as ``snn(x)`` does with the fastest simulator.

    Raises:
        ConfigError: If the network's schedule has no such simulator.
        ShapeError: If the input has another shape than the network takes.
    """
    given = snn.check_input(x)
    with torch.no_grad():
        return snn.graph.results.build(simulator_of(snn, simulator)(given))


def _captured(
    model: nn.Module,
    example: Any,  # noqa: ANN401 - as the model takes it
    *,
    progress: bool = False,
) -> Graph:
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model: expected a torch.nn.Module, got {type(model).__name__}.")
    with working("capturing the model", show=progress):
        return capture(model, example)


def _folded(captured: Graph) -> Graph:
    """Return a captured graph in the few forms that the methods know."""
    return find_activations(fold_batch_norm(normalise(simplify(captured))))


def _blank(graph: Graph) -> Any:  # noqa: ANN401 - as the model takes it
    """Return arguments of a call with two samples of zeros."""
    zeros = [torch.zeros(sizes(shape, 2)) for shape in graph.input_shapes]
    args, kwargs = graph.arguments.build(zeros)
    return kwargs if kwargs and not args else args


def _length(data: Batches) -> int | None:
    return len(data) if isinstance(data, Sized) and not isinstance(data, Tensor) else None


def _batches(data: Batches) -> Iterator[Any]:
    return iter([data]) if isinstance(data, Tensor) else iter(data)


def _limited(batches: Iterator[Any], limit: int | None) -> Iterator[Any]:
    left = limit
    for batch in batches:
        if left is None:
            yield batch
            continue
        size = _size(batch)
        yield batch if size <= left else _first(batch, left)
        left -= min(size, left)
        if left == 0:
            return


def _size(batch: Any) -> int:  # noqa: ANN401 - whatever a loader yields
    """Return how many inputs a batch holds: as many as its first tensor has rows."""
    while not isinstance(batch, Tensor):
        inner = list(batch.values()) if isinstance(batch, Mapping) else batch
        nested = isinstance(inner, tuple | list) and bool(inner)
        batch = inner[0] if nested else inputs_of(batch)
    return int(batch.shape[0])


def _first(batch: Any, count: int) -> Any:  # noqa: ANN401 - whatever a loader yields
    """Return the first inputs of a batch, with what stands beside them."""
    if isinstance(batch, Tensor):
        return batch[:count]
    if isinstance(batch, Mapping):
        return {k: v[:count] if isinstance(v, Tensor) else v for k, v in batch.items()}
    if not isinstance(batch, tuple | list):
        return batch
    inputs, *beside = batch
    return (
        _first(inputs, count),
        *(b[:count] if isinstance(b, Tensor) else b for b in beside),
    )


def runner(model: Callable[..., Any], graph: Graph | None = None) -> Callable[[Inputs], Any]:
    """Return a model or function as one that runs in evaluation mode, without gradients.

    Inputs go to the device of its parameters, and to half precision if it has that; the model is
    not changed.

    Args:
        model: The model, or a function of the same arguments.
        graph: What it was captured as, which knows how its arguments hold the inputs.
    """
    module = model if isinstance(model, nn.Module) else nn.Module()
    first = next(module.parameters(), None)
    half = first is not None and first.dtype in (torch.float16, torch.bfloat16)

    def moved(x: Tensor) -> Tensor:
        if first is None:
            return x
        return x.to(first.device, first.dtype if half and x.is_floating_point() else None)

    def run(x: Inputs) -> Any:  # noqa: ANN401 - whatever the user's function returns
        inputs = [moved(value) for value in as_inputs(x)]
        args, kwargs = (inputs, {}) if graph is None else graph.arguments.build(inputs)
        with evaluation_mode(module), torch.no_grad():
            return model(*args, **kwargs)

    return run
