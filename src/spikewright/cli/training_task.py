# SPDX-License-Identifier: Apache-2.0
"""What ``spikewright train`` trains for, and the networks that belong to that."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikewright.cli.items import Batches, Items, classes_of
from spikewright.cli.options import given
from spikewright.cli.training import TargetOptions
from spikewright.detection import AnchorFreeYolo, CocoTruth, Detections
from spikewright.errors import ConfigError, ShapeError
from spikewright.tasks.form import wanted_of
from spikewright.training import Detection, Imitation, Objective

__all__ = ["DETECTORS", "TrainingTask", "ap50_on", "boxes_in", "model_for", "objective_for"]

TrainingTask = Literal["classification", "detection", "imitation"]

DETECTORS = ("casc-yolo-resnet50", "casc-yolo-vgg16")
"""Names of networks that `train --task detection` builds for the classes of the data."""

_TAKES: dict[TrainingTask, tuple[str, ...]] = {
    "classification": (),
    "detection": ("--width", "--stride", "--sizes"),
    "imitation": ("--sizes",),
}


def model_for(spec: str | None, task: TrainingTask, options: TargetOptions, data: Items) -> str:
    """Return the model that is meant: a detector has as many classes as the data.

    Args:
        spec: What ``--model`` holds.
        task: What is trained for.
        options: Width and stride of a detector.
        data: The training data.

    Raises:
        ConfigError: If an option does not belong to the task or the model, no model is named, or
            the data have no boxes.
    """
    if extra := [name for name in given(options) if name not in _TAKES[task]]:
        takes = [known for known, names in _TAKES.items() if set(extra) <= set(names)]
        raise ConfigError(
            f"{', '.join(extra)}: expected with --task {' or '.join(takes)}, got {task}. "
            "Leave it out."
        )
    if spec is None:
        raise ConfigError("--model: expected a model, got none. Name one, e.g. --model resnet20.")
    classes = classes_of(data)
    if task == "detection" and not classes:
        raise ConfigError(
            "--data: expected pictures with boxes for --task detection, got other data. Name "
            "boxes:PATH."
        )
    if task == "detection" and spec in DETECTORS:
        settings = {
            "classes": len(classes),
            "width": options.width,
            "stride": options.stride,
        }
        text = ",".join(f"{k}={v}" for k, v in settings.items() if v is not None)
        return f"{spec}:{text}"
    if extra := given(options, "width", "stride"):
        raise ConfigError(
            f"{', '.join(extra)}: expected with --model {' or '.join(DETECTORS)}, got {spec}. "
            "Leave it out: this model has its own."
        )
    return spec


def objective_for(
    task: TrainingTask,
    network: nn.Module,
    returned: Any,  # noqa: ANN401 - whatever a model returns
    options: TargetOptions,
    shape: tuple[int, ...],
    validation: Batches | None,
    classes: tuple[str, ...],
) -> Objective | None:
    """Return what is trained for; None to tell classes apart.

    Args:
        task: Its name.
        network: The network to train.
        returned: What it returns for inputs of ``shape``.
        options: Sizes of several scales.
        shape: Of one input.
        validation: Pictures with boxes that AP50 is measured on.
        classes: Their names.

    Raises:
        ConfigError: If a size does not fit.
        ShapeError: If the network is no detector with one map of predictions.
    """
    sizes = options.sizes or ()
    if task == "imitation":
        return Imitation(network, sizes=sizes)
    if task == "classification":
        return None
    stride = _stride(returned, shape)
    score = None if validation is None else ap50_on(validation, classes, stride)
    return Detection(stride=stride, sizes=sizes, score=score)


def ap50_on(
    batches: Iterable[Any], classes: tuple[str, ...], stride: int
) -> Callable[[nn.Module], float]:
    """Return a function of a detector: its AP50 in per cent on some pictures with boxes.

    Args:
        batches: Inputs, where the network is, and annotations; read once for the truth and again
            for every detector.
        classes: Names, in the order of the class numbers.
        stride: Pixels of the input for a cell of its map.
    """
    truth = CocoTruth([a for _, given in batches for a in given], classes)

    def ap50(network: nn.Module) -> float:
        found = list(boxes_in(network, batches, stride))
        return 100.0 * (truth.score(found).ap50 or 0.0)

    return ap50


def boxes_in(
    network: Callable[[Tensor], Any],
    batches: Iterable[Any],
    stride: int,
) -> Iterator[Detections]:
    """Yield what a one-level detector finds in every picture, in pixels of the stored picture."""
    decode = AnchorFreeYolo(stride=stride)
    for x, images in batches:
        with torch.no_grad():  # not around the yield, where others would compute without
            found = decode(network(x), (x.shape[2], x.shape[3]))
        for each, image in zip(found, images, strict=True):
            boxes = image.placement.to_image(each.boxes).cpu()
            yield Detections(boxes, each.scores.cpu(), each.labels.cpu())


def _stride(returned: Any, shape: tuple[int, ...]) -> int:  # noqa: ANN401 - whatever a model returns
    """Return pixels of the input for a cell of the map."""
    first = wanted_of(returned, "--model").values[0]
    if first.ndim != 4 or len(shape) != 3 or not first.shape[2] or shape[1] % first.shape[2]:
        raise ShapeError(
            "--model: expected a detector that returns maps (batch, channels, h, w) of the input's "
            f"height and width over one stride, got {tuple(first.shape)} for inputs {shape}. Name "
            f"{' or '.join(DETECTORS)}, or give a --size that is a multiple of the stride."
        )
    return shape[1] // first.shape[2]
