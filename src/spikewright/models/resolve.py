# SPDX-License-Identifier: Apache-2.0
"""From the short form in which a command line names a model to the model."""

import functools
import importlib
import importlib.util
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, MappingProxyType, ModuleType

from torch import nn

from spikewright._vision import torchvision
from spikewright.errors import ConfigError, FileFormatError, UnknownNameError, unknown_name
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
from spikewright.models.vgg_cifar import vgg11_cifar, vgg11_half_cifar, vgg16_cifar
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


_NAMED: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
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
    return spec in _NAMED or (source == "torchvision" and bool(colon) and name.isidentifier())


def resolve(spec: str, weights: str | Path | None = None) -> nn.Module:
    """Build the model that a short form names, in eval mode.

    Args:
        spec: One of

            - a name of ``names()``; ``resnet34`` is short for ``torchvision:resnet34``;
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
        ConfigError: If the code fails or returns no model, or torchvision is not installed.
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


def _from_code(source: str, name: str) -> nn.Module:
    """Import the module or file and get the model out of it."""
    where = f"model {source}:{name}"
    module = _executed(Path(source), where) if source.endswith(".py") else _imported(source, where)
    if not hasattr(module, name):
        public = [key for key, value in vars(module).items() if callable(value) and key[:1] != "_"]
        raise unknown_name(f"{where}: function", name, public)
    made = getattr(module, name)
    if not isinstance(made, nn.Module):
        if not callable(made):
            raise ConfigError(
                f"{where}: expected a function that returns a model, got {type(made).__name__}. "
                "Name a function, or the model itself."
            )
        try:
            with _contained():
                made = made()
        except Exception as error:  # the user's own code may fail in any way
            advice = "Wrap it in one that sets its arguments."
            raise ConfigError(
                f"{where}: expected a function without arguments that returns a model, got "
                f"{_said(error, advice)}"
            ) from error
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"{where}: expected an nn.Module, got {type(made).__name__}. Return the model."
        )
    return made


def _imported(source: str, where: str) -> ModuleType:
    try:
        with _importable(Path.cwd()), _contained():
            return importlib.import_module(source)
    except ModuleNotFoundError as error:
        raise UnknownNameError(
            f"{where}: expected a module that can be imported, got none called {error.name!r}. "
            "Check the name, or give a file: path/file.py:function."
        ) from error
    except Exception as error:  # the user's own code may fail in any way
        raise _failed(where, error) from error


def _executed(path: Path, where: str) -> ModuleType:
    if not path.is_file():
        raise FileFormatError(f"{where}: expected a Python file, got none. Check the path.")
    name = f"_spikewright_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileFormatError(f"{where}: expected a Python file, got none. Check the path.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        with _importable(path.resolve().parent), _contained():
            spec.loader.exec_module(module)
    except Exception as error:  # the user's own code may fail in any way
        del sys.modules[name]
        raise _failed(where, error) from error
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put a folder first on the import path, and take it off again."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


class _EndedError(Exception):
    """The user's code tried to end this program."""


@contextmanager
def _contained() -> Iterator[None]:
    """Make an error of what would end the whole program, but leave Ctrl-C to the user."""
    pressed, before = False, signal.getsignal(signal.SIGINT)
    watched = callable(before) and threading.current_thread() is threading.main_thread()

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        if callable(before):
            before(number, frame)

    if watched:
        signal.signal(signal.SIGINT, note)
    try:
        yield
    except SystemExit as error:
        code = "" if error.code is None else repr(error.code)
        raise _EndedError(f"a call of exit({code})") from error
    except KeyboardInterrupt as error:
        if pressed:
            raise
        raise _EndedError("a KeyboardInterrupt of its own") from error
    finally:
        if watched:
            signal.signal(signal.SIGINT, before)


def _said(error: Exception, advice: str) -> str:
    """Say how the user's code failed and what to do about it."""
    if isinstance(error, _EndedError):
        return f'{error}. Put what a script does below `if __name__ == "__main__":`.'
    return f"{type(error).__name__}: {error}. {advice}"


def _failed(where: str, error: Exception) -> ConfigError:
    advice = "Run it with Python by itself to see where it fails."
    return ConfigError(f"{where}: expected code that can be imported, got {_said(error, advice)}")
