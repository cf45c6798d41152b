# SPDX-License-Identifier: Apache-2.0
"""``spikewright train``: a network with activations that spikes can carry, with checkpoints."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli import options
from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.option_values import Whole
from spikewright.cli.training import (
    RECIPE,
    TARGET,
    TRAINING_IMAGES,
    RecipeOptions,
    TargetOptions,
    TrainingImages,
)

__all__ = ["train"]

FOLDER = Path("trained")


def train(
    *,
    data: options.Spec = None,
    validation: options.Spec = None,
    task: Literal["classification", "detection", "imitation"] = "classification",
    activation: Literal["casc", "qcfs", "threshold-relu", "stbp", "relu"] | None = None,
    levels: Whole = None,
    relays: Annotated[bool, Parameter(negative="--no-relays")] = True,
    per_channel: bool = False,
    folder: Annotated[Path, Parameter(metavar="FOLDER")] = FOLDER,
    anew: bool = False,
    model: options.ModelOptions = options.MODEL,
    calibration: options.CalibrationOptions = options.CALIBRATION,
    target: TargetOptions = TARGET,
    recipe: RecipeOptions = RECIPE,
    images: TrainingImages = TRAINING_IMAGES,
    how: RunOptions = RUN,
) -> int:
    """Train a network whose activations spikes can carry, or go on with it.

    For example: spikewright train --model resnet20 --weights resnet20.safetensors
    --data train.npz --calibration train.npz --levels 8 --epochs 10 --lr 0.02
    --augment crop-flip --folder runs/q8

    The same command goes on where an earlier one was stopped, bit for bit. Ctrl-C ends it after
    the step at hand, with a checkpoint. Under torchrun, processes share every batch.
    The result is named trained:FOLDER/last.safetensors wherever a --model is asked for.

    Args:
        data: Labelled training inputs: a name that `spikewright list data` shows, folder:PATH,
            FILE.npz or FILE.npz:PART; for detection boxes:PATH or boxes:PATH:SPLIT.
        validation: Inputs to measure the accuracy (of detectors AP50) on after every epoch; not
            those that the result is reported on. The best network is then kept as
            best.safetensors.
        task: What for: to tell classes apart, to find objects (detection: casc-yolo-vgg16,
            casc-yolo-resnet50 or the like), or to answer as the model itself did before, whatever
            it is for (imitation; no labels are looked at).
        activation: What takes the place of ReLU: casc (levels, fixed top), qcfs (levels, learned
            top), threshold-relu (learned top), stbp (leaky spiking neurons), relu (nothing: the
            network itself is trained). [default: casc]
        levels: Levels above zero; of stbp, the time steps. [default: 8]
        relays: Give levels to signed values between layers, too.
        per_channel: Give every channel a top of its own, with batch norms folded and the weights
            normalised; for a trained network, with --calibration.
        folder: Where the checkpoints are kept. [default: trained]
        anew: Start from the beginning, replacing the checkpoints in the folder.
        model: The network to start from: trained (then name --calibration), or not.
        calibration: Where the tops of the activations start, for a trained network.
        target: What belongs to one task or the other.
        recipe: How it is trained.
        images: How images become inputs.
        how: Where it runs, and what every verb takes.
    """
    from spikewright.cli.training_run import run

    return run(
        data,
        validation,
        activation,
        levels,
        task=task,
        relays=relays,
        per_channel=per_channel,
        folder=folder,
        anew=anew,
        model=model,
        calibration=calibration,
        target=target,
        recipe=recipe,
        images=images,
        machine=how.machine,
        terminal=how.terminal,
    )
