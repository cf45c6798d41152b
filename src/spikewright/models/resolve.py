# SPDX-License-Identifier: Apache-2.0
"""From the short form in which a command line names a model to the model."""

import functools
import inspect
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from torch import nn

from spikewright._vision import torchvision
from spikewright.errors import ConfigError, unknown_name
from spikewright.models.detection import (
    casc_yolo_resnet50,
    casc_yolo_vgg16,
    yolo_fastest_v2,
    yolov8n_relu,
)
from spikewright.models.digits import digits_cnn
from spikewright.models.exported import load_exported
from spikewright.models.graph_json import GRAPH_SUFFIX, from_graph_json
from spikewright.models.mobilenet_cifar import mobilenetv2_cifar
from spikewright.models.resnet_cifar import resnet20, resnet20_wide, resnet56
from spikewright.models.user_code import called, named_in
from spikewright.models.vgg_cifar import vgg11_cifar, vgg11_half_cifar, vgg16_cifar
from spikewright.models.vit import vit_cifar, vit_mnist
from spikewright.models.weights import apply_state, load_state

__all__ = ["is_registered", "names", "resolve"]

# These warn unless told whether to spend a minute on truncated normal numbers.
_ASK_FOR_INITIALISATION = frozenset({"googlenet", "inception_v3"})


def _from_torchvision(name: str) -> nn.Module:
    models = torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        raise unknown_name("torchvision model", name, known)
    settings = {"init_weights": False} if name in _ASK_FOR_INITIALISATION else {}
    model: nn.Module = models.get_model(name, weights=None, **settings)
    return model


_NAMED: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "casc-yolo-resnet50": casc_yolo_resnet50,
        "casc-yolo-vgg16": casc_yolo_vgg16,
        "digits-cnn": digits_cnn,
        "mobilenetv2-cifar": mobilenetv2_cifar,
        "resnet20": resnet20,
        "resnet20-wide": resnet20_wide,
        "resnet56": resnet56,
        "vgg11-cifar": vgg11_cifar,
        "vgg11-half-cifar": vgg11_half_cifar,
        "vgg16-cifar": vgg16_cifar,
        "vit-cifar": vit_cifar,
        "vit-mnist": vit_mnist,
        "yolo-fastest-v2": yolo_fastest_v2,
        "yolov8n-relu": yolov8n_relu,
        # The papers' networks for ImageNet are torchvision's, short for torchvision:NAME.
        **{
            name: functools.partial(_from_torchvision, name)
            for name in (
                "mobilenet_v2",
                "regnet_x_400mf",
                "resnet34",
                "resnext50_32x4d",
                "vgg16",
                "vgg16_bn",
            )
        },
    }
)
_FORMS = (
    "NAME:KEY=NUMBER,KEY=NUMBER",
    "MODULE:FUNCTION",
    "FILE.py:FUNCTION",
    "FILE.pt2",
    f"FILE{GRAPH_SUFFIX}",
    "torchvision:NAME",
)


def names() -> tuple[str, ...]:
    """Return the names that stand for a network: those built here, and torchvision's in short.

    Example:
        >>> names()  # doctest: +ELLIPSIS
        ('casc-yolo-resnet50', ..., 'digits-cnn', ..., 'mobilenet_v2', ..., 'vgg16_bn')
    """
    return tuple(_NAMED)


def is_registered(spec: str) -> bool:
    """Tell whether a name stands for a network of this package or of torchvision.

    All others name code, or files, which only a user may name: a data file that could would decide
    what is run.

    Example:
        >>> is_registered("resnet20"), is_registered("os:abort"), is_registered("mine.pt2")
        (True, False, False)
    """
    source, colon, name = spec.partition(":")
    known = spec in _NAMED or _has_settings(spec)
    return known or (source == "torchvision" and bool(colon) and name.isidentifier())


def resolve(spec: str, weights: str | Path | None = None) -> nn.Module:
    """Build the model that a short form names, in eval mode.

    Args:
        spec: One of

            - a name of ``names()``; ``resnet34`` is short for ``torchvision:resnet34``;
            - such a name with settings of the function behind it, numbers or fractions:
              ``casc-yolo-vgg16:classes=10,width=1/8,stride=8``;
            - ``torchvision:NAME``, a classification network of torchvision;
            - ``package.module:function`` or ``path/file.py:function``: a function without arguments
              that returns the model, or the model itself. The code is executed, with the working
              folder or the file's folder importable;
            - ``FILE.pt2``, an exported program;
            - ``FILE.graph.json``, a network described as data.
        weights: A ``.safetensors`` file or a saved state dict. Without it the model keeps what it
            was built with: its own weights for code, ``.pt2`` and ``.graph.json``, random ones for
            names and torchvision.

    Returns:
        The model.

    Raises:
        UnknownNameError: If the name, module, function or form is not known; the nearest are given.
        ConfigError: If a setting is not known or out of range, the code fails or returns no model,
            or torchvision is not installed.
        FileFormatError: If a file is missing or damaged, or the weights do not fit.

    Example:
        >>> type(resolve("resnet20")).__name__
        'CifarResNet'
    """
    if spec.endswith(GRAPH_SUFFIX):
        return from_graph_json(spec, weights)
    if spec.endswith(".pt2"):
        model = load_exported(spec)
    elif spec in _NAMED:
        model = _NAMED[spec]().eval()
    elif _has_settings(spec):
        model = _with_settings(spec).eval()
    elif ":" in spec:
        source, _, name = spec.rpartition(":")
        model = (
            _from_torchvision(name) if source == "torchvision" else _from_code(source, name)
        ).eval()
    else:
        raise unknown_name("model", spec, [*_NAMED, *_FORMS])
    if weights is not None:
        apply_state(model, load_state(weights), Path(weights).name)
    return model


def _has_settings(spec: str) -> bool:
    name, _, settings = spec.partition(":")
    return name in _NAMED and "=" in settings


def _with_settings(spec: str) -> nn.Module:
    """Build a network of ours with other settings than its defaults.

    Raises:
        ConfigError: If a setting is not known, no number, or out of range.
    """
    name, _, text = spec.partition(":")
    kinds = {
        key: parameter.annotation
        for key, parameter in inspect.signature(_NAMED[name]).parameters.items()
        if parameter.annotation in (int, float)
    }
    settings: dict[str, float] = {}
    for pair in text.split(","):
        key, _, value = pair.partition("=")
        if key not in kinds or key in settings:
            known = f"once each of {', '.join(kinds)}" if kinds else "no setting"
            raise ConfigError(f"model {spec}: expected {known}, got {pair!r}. Correct the name.")
        try:
            settings[key] = kinds[key](Fraction(value) if kinds[key] is float else value)
        except (ValueError, ZeroDivisionError) as error:
            raise ConfigError(
                f"model {spec}: expected {key}={_EXAMPLES[kinds[key]]} or the like, got {pair!r}. "
                "Correct the number."
            ) from error
    return _NAMED[name](**settings)


_EXAMPLES = MappingProxyType({int: "8", float: "1/8"})


def _from_code(source: str, name: str) -> nn.Module:
    """Import the module or file and get the model out of it."""
    where = f"model {source}:{name}"
    made = named_in(source, name, where)
    if not isinstance(made, nn.Module):
        if not callable(made):
            raise ConfigError(
                f"{where}: expected a function that returns a model, got {type(made).__name__}. "
                "Name a function, or the model itself."
            )
        advice = "Wrap it in one that sets its arguments."
        made = called(made, where, "a function without arguments that returns a model", advice)
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"{where}: expected an nn.Module, got {type(made).__name__}. Return the model."
        )
    return made
