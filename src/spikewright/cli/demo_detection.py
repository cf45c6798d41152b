# SPDX-License-Identifier: Apache-2.0
"""The demo of object detection: from scenes of digits to boxes from spikes, in two ways."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.data import Dataset

from spikewright import api, training
from spikewright.cli.demo_files import begin, store
from spikewright.cli.demo_text import block, listed
from spikewright.cli.items import batches, describe
from spikewright.cli.machine import MachineOptions
from spikewright.cli.options import DataOptions
from spikewright.cli.terminal import Terminal, command
from spikewright.cli.training_task import boxes_in
from spikewright.data import DetectionSet, pasted_digits
from spikewright.detection import AnchorFreeYolo, Annotations, CocoTruth, Detections
from spikewright.evaluation import Result
from spikewright.models.detection import casc_yolo_vgg16
from spikewright.network import SpikingNetwork
from spikewright.progress import track
from spikewright.simulators import settle
from spikewright.tasks import Detection
from spikewright.text import counted, number, percent, table

__all__ = ["Kept", "quantised_again", "run", "trained_detector"]

SCHEMA = "spikewright.demo.detection/1"
FILES = {
    "detector.safetensors": "weights of the original network",
    "snn.safetensors": "the spiking network, T = 8",
    "report.html": "the report, with pictures and boxes: open it in a browser",
    "result.json": "what was measured; `spikewright report` and others read it",
    "demo.json": "every number above",
    "summary.txt": "this text",
}
STRIDE, WIDTH, T = 8, 1 / 8, 8
SIDE, SCENES, TESTED, TICKED, EXAMPLES = 64, 3000, 200, 8, 3
PASTED: dict[str, Any] = {"most": 9, "scales": (1.5, 2.6)}
BOX_WEIGHT = 2.0  # most of the work is to tell the digits apart
BATCH = 16
RATE, TUNING_RATE, TUNING_EPOCHS = 3e-3, 2e-3, 2
RECIPE = training.TrainConfig(batch_size=BATCH, optimizer="adamw", clip_grad=50.0)
SEED = 0
OBJECTIVE = training.Detection(stride=STRIDE, box_weight=BOX_WEIGHT)

OPENING = """\
Spikewright demo: object detection. It trains a small detector on pictures with
handwritten digits at random places, turns it into a spiking network, and holds
the boxes of both beside the true ones. Takes about three minutes on two cores."""


class Kept(Dataset[tuple[Tensor, Annotations]]):
    """A data set whose items are drawn once and kept."""

    def __init__(self, items: DetectionSet, progress: bool) -> None:
        numbers = track(range(len(items)), "drawing scenes", show=progress)
        self.items = [items[i] for i in numbers]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Annotations]:
        return self.items[index]


def run(
    folder: Path, epochs: int, terminal: Terminal, *, force: bool, machine: MachineOptions
) -> int:
    """Train, convert, measure, quantise, convert without loss, write; return the exit code.

    It takes and refuses what :func:`spikewright.cli.demo_run.run` does; ``epochs`` are passes over
    the scenes.
    """
    said, tell = begin(folder, FILES, SCHEMA, epochs, terminal, force=force)
    tell(OPENING)
    start, place, shown = time.perf_counter(), machine.place, terminal.progress
    scenes = Kept(pasted_digits("train", SCENES, size=SIDE, seed=SEED, **PASTED), shown)
    held_out = pasted_digits("test", TESTED, size=SIDE, seed=SEED + 1, **PASTED)
    test = list(batches(held_out, DataOptions(batch_size=BATCH), place))
    truth = CocoTruth([a for _, given in test for a in given], held_out.classes)
    trained = trained_detector(scenes, epochs, place, progress=shown)
    model = casc_yolo_vgg16(len(held_out.classes), WIDTH, stride=STRIDE)
    model.load_state_dict(trained.model.weights())
    model.to(place).eval()
    ann = truth.score(list(boxes_in(model, test, STRIDE))).ap50
    tell(_training(trained, model, ann))

    calibration = torch.stack([x for x, _ in scenes.items[:64]]).to(place)
    task = Detection(decode=AnchorFreeYolo(stride=STRIDE), classes=held_out.classes)
    snn = api.convert(model, "spikeconverter", T=T, calibration=calibration, progress=shown)
    result = api.evaluate(snn, test, reference=model, task=task, examples=EXAMPLES, progress=shown)
    tell(_measurement(result, snn))

    quantised = quantised_again(model, scenes, calibration, progress=shown)
    exact = quantised.model.double()
    lossless = api.convert(exact, "casc", T=T, calibration=[calibration.double()])
    found = _at_rest(exact, lossless, test, truth)
    few = [(x[:TICKED].double(), given[:TICKED]) for x, given in test[:1]]
    ticked = api.evaluate(lossless, few, reference=exact, task=task, progress=shown)
    tell(_settling(found, ticked, quantised))

    numbers: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": machine.describe(),
        "seconds": round(time.perf_counter() - start, 1),
        "training": {"epochs": epochs, "scenes": SCENES, "ap50": ann},
        "casc": {**found, "ticks": ticked.to_dict()},
        "result": result.to_dict(),
    }
    found_in = {**result.to_dict(), "data": describe(held_out)}
    models_written = {"detector.safetensors": save(model.state_dict())}
    data_written = {"demo.json": numbers, "result.json": found_in}
    files = store(folder, FILES, terminal, models_written, snn, data_written, said)
    terminal.tell(_closing(folder, files, numbers["seconds"]))
    if terminal.json or terminal.quiet:
        terminal.result(_measurement(result, snn), numbers)
    return 0 if found["equal"] else 1


def trained_detector(
    scenes: Dataset[Any],
    epochs: int,
    place: torch.device,
    *,
    seed: int = SEED,
    progress: bool = False,
) -> training.TrainingResult:
    """Train the detector; the caller's random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = casc_yolo_vgg16(10, WIDTH, stride=STRIDE).to(place)
    return training.train(
        model,
        scenes,
        activation="relu",
        objective=OBJECTIVE,
        config=dataclasses.replace(
            RECIPE, epochs=epochs, lr=RATE, weight_decay=1e-4, warmup=1.0, seed=seed
        ),
        progress=progress,
    )


def quantised_again(
    model: nn.Module,
    scenes: Dataset[Any],
    calibration: Tensor,
    *,
    seed: int = SEED,
    progress: bool = False,
) -> training.TrainingResult:
    """Train the detector on with T levels an activation."""
    return training.train(
        model,
        scenes,
        activation="casc",
        levels=T,
        calibration=[calibration],
        objective=OBJECTIVE,
        config=dataclasses.replace(
            RECIPE, epochs=TUNING_EPOCHS, lr=TUNING_RATE, warmup=0.2, seed=seed
        ),
        progress=progress,
    )


def _at_rest(
    exact: nn.Module, snn: SpikingNetwork, batches: Sequence[Sequence[Any]], truth: CocoTruth
) -> dict[str, Any]:
    """Hold the quantised network's maps and boxes beside the spiking one's at rest."""
    decode, largest = AnchorFreeYolo(stride=STRIDE), 0.0
    boxes: tuple[list[Detections], list[Detections]] = ([], [])
    with torch.no_grad():
        for x, _ in batches:
            wanted, found = exact(x.double()), settle(snn, x.double()).outputs
            gaps = [float((a - b).abs().max()) for a, b in zip(wanted, found, strict=True)]
            largest = max(largest, *gaps)
            for kept, outputs in zip(boxes, (wanted, found), strict=True):
                kept += decode(outputs, (x.shape[2], x.shape[3]))
    return {
        "quantised_ap50": truth.score(boxes[0]).ap50,
        "spiking_ap50": truth.score(boxes[1]).ap50,
        "largest_difference": largest,
        "equal": largest < 1e-9,
    }


def _training(trained: training.TrainingResult, model: nn.Module, ap50: float | None) -> str:
    weights = sum(p.numel() for p in model.parameters())
    return block(
        "1. Train the detector, the ANN",
        data=f"{SCENES:,} pictures of {SIDE} x {SIDE} pixels with 1 to 9 digits each, pasted from "
        "scans that come with this package, so that all boxes are known",
        network="the detector of the CASC paper (2024), VGG-16 with one map of predictions, at "
        f"an eighth of its width and stride {STRIDE}; {weights:,} parameters",
        trained=f"{counted(trained.cost.epochs, 'pass', 'passes')} over the pictures in "
        f"{trained.cost.seconds:.0f} s",
        AP50=f"{percent(ap50)} on {TESTED} other pictures with digits of other people (average "
        "precision where a box counts as right that overlaps the true one by half)",
    )


def _measurement(result: Result, snn: SpikingNetwork) -> str:
    at = result.lengths[-1]
    names = [each.name for each in at.series]
    rows = [
        [str(t), str(at.latency_ticks - at.steps + t), *(percent(s.at(t)) for s in at.series)]
        for t in range(1, at.steps + 1)
    ]
    neurons = snn.neurons()
    ann = ", ".join(
        f"{s.name} {percent(s.reference)}" for s in at.series if s.reference is not None
    )
    return "\n".join(
        [
            block(
                "2. Convert it by SpikeConverter (AAAI 2022), T = 8, nothing trained",
                result=f"{sum(neurons.values()):,} neurons in {len(neurons)} populations; "
                f"{at.spikes_per_neuron:.2f} spikes a neuron, "
                f"{number(at.additions_per_sample)} additions for {number(at.macs)} multiply-adds "
                "of the ANN",
                ANN=ann,
            ),
            "",
            "Boxes are decoded after every step of the outputs. Fidelity: the ANN's own boxes",
            "as the truth, which tells what the conversion changes and nothing else.",
            "",
            table(["step", "tick", *names], rows, left=0),
        ]
    )


def _settling(found: dict[str, Any], ticked: Result, trained: training.TrainingResult) -> str:
    at = ticked.lengths[-1]
    passes = counted(trained.cost.epochs, "more pass", "more passes")
    return block(
        "3. Or train for the conversion: CASC, without any loss",
        network=f"the same one with {T} levels an activation, {passes} "
        f"({trained.cost.seconds:.0f} s)",
        quantised=f"AP50 {percent(found['quantised_ap50'])}",
        spiking=f"AP50 {percent(found['spiking_ap50'])} at rest; the largest difference of any "
        f"number in its three maps is {found['largest_difference']:.0e}",
        rest=f"after {at.rest_step(0.5)} ticks (median), {at.rest_step(1.0)} (the slowest of "
        f"{at.samples} pictures); the bound is {at.latency_ticks}",
    )


def _closing(folder: Path, files: dict[str, str], seconds: float) -> str:
    own = command("evaluate", "--help")
    return (
        f"Written to {folder} after {seconds:.0f} s:\n{listed(files)}\n\n"
        "Your own detector: give --model, --calibration boxes:FOLDER, --data boxes:FOLDER and\n"
        f"--decode; see {own}"
    )
