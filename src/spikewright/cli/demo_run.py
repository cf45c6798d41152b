# SPDX-License-Identifier: Apache-2.0
"""What the demo does, step by step, each step an ordinary call of the public functions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from spikewright import api, training
from spikewright.cli import demo_text as text
from spikewright.cli.demo_files import begin, store
from spikewright.cli.demo_training import Trained, as_tensors, train
from spikewright.cli.items import describe, preprocess_of, spread
from spikewright.cli.machine import MachineOptions
from spikewright.cli.options import CALIBRATION_SAMPLES
from spikewright.cli.terminal import Terminal
from spikewright.data import ImageSet, load_digits
from spikewright.energy import choose_models, energy_of
from spikewright.evaluation import Result
from spikewright.methods.spikeconverter import SpikeConverter
from spikewright.training import TrainingResult

__all__ = ["run"]

SCHEMA = "spikewright.demo/2"
T = 8
LENGTHS = (4, 6, 8)
EXAMPLES = 4
VERIFIED = 32
TUNING_EPOCHS = 4
FILES = {
    "digits.safetensors": "weights of the original network",
    "snn.safetensors": "the spiking network, T = 8",
    "report.html": "the report: open it in a browser",
    "result.json": "what was measured; `spikewright report` and others read it",
    "demo.json": "every number above",
    "summary.txt": "this text",
}


def run(
    folder: Path, epochs: int, terminal: Terminal, *, force: bool, machine: MachineOptions
) -> int:
    """Train, convert, verify, measure, write; return the exit code.

    Args:
        folder: Where the files go; made if it is missing.
        epochs: Passes over the training data.
        terminal: Where the text goes.
        force: Whether files that are not of an earlier demo may be replaced.
        machine: Where everything runs.

    Raises:
        ConfigError: If ``epochs`` is below 1 or files are in the way.
    """
    said, tell = begin(folder, FILES, SCHEMA, epochs, terminal, force=force)
    tell(text.OPENING)
    scans, test = load_digits("train"), load_digits("test")
    place = machine.place
    x, y = as_tensors(scans, place)
    trained = train(x, y, epochs, progress=terminal.progress)
    inputs, classes = as_tensors(test, place)
    with torch.no_grad():
        right = int((trained.model(inputs).argmax(1) == classes).sum())
    tell(text.training(trained, len(x), right / len(classes), len(classes), machine))

    chosen, _ = as_tensors(spread(scans, CALIBRATION_SAMPLES, "calibration"), place)
    snn = api.convert(
        trained.model,
        SpikeConverter(T=T),
        calibration=torch.split(chosen, 64),
        progress=terminal.progress,
    )
    snn.provenance.update(calibration="digits-train", preprocess=preprocess_of(scans))
    tell(text.conversion(snn, len(chosen)))

    integer = snn.to_integer()
    checks = {
        "float": api.verify(snn, inputs[:VERIFIED]),
        "integer": api.verify(integer, inputs[:VERIFIED]),
    }
    tell(text.verification(checks))

    batches = list(zip(torch.split(inputs, 64), torch.split(classes, 64), strict=True))
    result = api.evaluate(
        snn,
        batches,
        reference=trained.model,
        code_lengths=LENGTHS,
        examples=EXAMPLES,
        progress=terminal.progress,
    )
    rounded = api.evaluate(integer, batches, counting=False)
    measured = text.measurement(result, T, rounded.accuracy or 0.0)
    tell(measured)
    models = choose_models()
    tell(text.energy(result.at(T), [energy_of(result.at(T), model) for model in models]))
    tell(text.pipeline(snn))
    settled = _trained_for_it(trained, scans, chosen, batches, terminal)
    tell(text.settling(*settled))

    numbers: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": machine.describe(),
        "training": {
            "epochs": epochs,
            "seconds": round(trained.seconds, 3),
            "samples": len(x),
            "accuracy": right / len(classes),
        },
        "verification": {form: check.to_dict() for form, check in checks.items()},
        "integer_accuracy": rounded.accuracy,
        "casc": settled[1].to_dict(),
        "result": result.to_dict(),
    }
    found = {**result.to_dict(), "data": describe(test)}
    models_written = {"digits.safetensors": save(trained.model.state_dict())}
    data_written = {"demo.json": numbers, "result.json": found}
    files = store(folder, FILES, terminal, models_written, snn, data_written, said)
    terminal.tell(text.closing(folder, files))
    if terminal.json or terminal.quiet:
        terminal.result(measured, {**numbers, "files": [str(folder / name) for name in files]})
    return 0 if all(check.agrees for check in checks.values()) else 1


def _trained_for_it(
    trained: Trained,
    images: ImageSet,
    calibration: Tensor,
    batches: Sequence[tuple[Tensor, Tensor]],
    terminal: Terminal,
) -> tuple[TrainingResult, Result]:
    """Fine-tune with quantised activations, convert by CASC, and measure in double precision."""
    quantised = training.train(
        trained.model,
        images,
        activation="casc",
        levels=T,
        calibration=[calibration],
        config=training.TrainConfig(epochs=TUNING_EPOCHS, batch_size=64, lr=0.01, warmup=0.5),
        progress=terminal.progress,
    )
    exact = quantised.model.double()
    snn = api.convert(exact, "casc", T=T, calibration=[calibration.double()])
    measured = api.evaluate(snn, [(x.double(), y) for x, y in batches], reference=exact)
    return quantised, measured
