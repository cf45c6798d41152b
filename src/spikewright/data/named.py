# SPDX-License-Identifier: Apache-2.0
"""The data sets that have a name, and the short form in which a command line names any data set."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from spikewright.data.ag_news import TextSet, load_ag_news
from spikewright.data.cifar import load_cifar10
from spikewright.data.detection import DetectionSet, open_detection
from spikewright.data.digits import DIGITS_PREPROCESS, load_digits
from spikewright.data.folder import from_folder
from spikewright.data.images import ArraySet, ImageSet
from spikewright.data.mnist import load_mnist
from spikewright.data.npz import from_npz
from spikewright.data.pictures import PictureSet, open_pictures
from spikewright.data.preprocess import Preprocess
from spikewright.errors import ConfigError, unknown_name

__all__ = [
    "default_preprocess",
    "describe",
    "named",
    "names",
    "resolve",
    "text_names",
    "texts",
]

CIFAR10 = Preprocess(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
MNIST = Preprocess(channels="L", mean=(0.1307,), std=(0.3081,))
IMAGENET = Preprocess(size=224, crop=0.875, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@dataclasses.dataclass(frozen=True)
class _Named:
    text: str
    preprocess: Preprocess
    load: Callable[[Path, Preprocess], ImageSet]
    root: str | None  # what the root folder must hold; None: ships with the package


_PHOTOGRAPHS = "photographs in 10 classes, 32 x 32 colour"
_DIGITS = "handwritten digits, 28 x 28 grey"
_CIFAR_FOLDER = "cifar-10-batches-py"


def _two_parts(
    name: str,
    sizes: tuple[int, int],
    text: str,
    preprocess: Preprocess,
    load: Callable[[Path, Literal["train", "test"], Preprocess], ImageSet],
    folder: str,
) -> dict[str, _Named]:
    """Return the two parts of a set that are published together."""

    def part(which: Literal["train", "test"], size: int) -> _Named:
        return _Named(f"{size} {text}", preprocess, lambda root, p: load(root, which, p), folder)

    return {f"{name}-train": part("train", sizes[0]), f"{name}-test": part("test", sizes[1])}


_SETS: Mapping[str, _Named] = MappingProxyType(
    {
        "digits-train": _Named(
            "1352 handwritten digits, 8 x 8 grey, in the package",
            DIGITS_PREPROCESS,
            lambda _, preprocess: load_digits("train", preprocess=preprocess),
            None,
        ),
        "digits-test": _Named(
            "445 handwritten digits, 8 x 8 grey, in the package",
            DIGITS_PREPROCESS,
            lambda _, preprocess: load_digits("test", preprocess=preprocess),
            None,
        ),
        **_two_parts("cifar10", (50000, 10000), _PHOTOGRAPHS, CIFAR10, load_cifar10, _CIFAR_FOLDER),
        **_two_parts("mnist", (60000, 10000), _DIGITS, MNIST, load_mnist, "MNIST/raw"),
        "imagenet-val": _Named(
            "50000 photographs in 1000 classes (ILSVRC 2012), crop 0.875 to 224 x 224 colour",
            IMAGENET,
            lambda root, preprocess: from_folder(root / "val", preprocess=preprocess, classes=1000),
            "val",
        ),
    }
)

_TEXTS: Mapping[str, tuple[str, Callable[[Path], TextSet]]] = MappingProxyType(
    {
        "ag-news-train": (
            "120000 news articles in 4 classes, or a part of them",
            lambda root: load_ag_news(root, "train"),
        ),
        "ag-news-test": (
            "7600 news articles in 4 classes, or a part of them",
            lambda root: load_ag_news(root, "test"),
        ),
    }
)


def names() -> tuple[str, ...]:
    """Return the names of image sets, which ``named`` takes."""
    return tuple(_SETS)


def text_names() -> tuple[str, ...]:
    """Return the names of text sets, which ``texts`` takes."""
    return tuple(_TEXTS)


def describe(name: str) -> str:
    """Return one line on a named set.

    Raises:
        UnknownNameError: If no set has that name.
    """
    return _TEXTS[name][0] if name in _TEXTS else _entry(name).text


def default_preprocess(name: str) -> Preprocess:
    """Return the preprocessing that a named set has unless told otherwise.

    Digits: v / 16. MNIST: (v / 255 - 0.1307) / 0.3081. CIFAR-10 and ImageNet: v / 255 with the
    usual mean and standard deviation per channel, ImageNet after a centre crop of 0.875 and a
    resize to 224 x 224.

    Raises:
        UnknownNameError: If no set has that name.

    Example:
        >>> default_preprocess("mnist-test").mean
        (0.1307,)
    """
    return _entry(name).preprocess


def named(
    name: str, root: str | Path | None = None, *, preprocess: Preprocess | None = None
) -> ImageSet:
    """Open a data set by name. Nothing is downloaded.

    Args:
        name: One of ``names()``.
        root: The folder in torchvision's layout; not needed for the digits in the package.
        preprocess: Replaces the set's own preprocessing, see ``default_preprocess``.

    Returns:
        Items are (float32 "channel height width", class).

    Raises:
        UnknownNameError: If no set has that name.
        ConfigError: If the set needs a root folder and none is given, or holds texts.
        FileFormatError: If files are missing or damaged.

    Example:
        >>> image, digit = named("digits-test")[0]
        >>> tuple(image.shape), digit
        ((1, 8, 8), 0)
    """
    entry = _entry(name)
    if entry.root is not None and root is None:
        raise ConfigError(
            f"{name}: expected the folder that holds {entry.root}, got none. Give it as the root."
        )
    return entry.load(Path(root or "."), preprocess or entry.preprocess)


def texts(name: str, root: str | Path) -> TextSet:
    """Open a set of texts by name. Nothing is downloaded.

    Args:
        name: One of ``text_names()``.
        root: The folder that holds its files.

    Returns:
        Items are (text, class).

    Raises:
        UnknownNameError: If no set of texts has that name.
        FileFormatError: If files are missing or damaged.
    """
    if name not in _TEXTS:
        raise unknown_name("set of texts", name, _TEXTS)
    return _TEXTS[name][1](Path(root))


def resolve(
    spec: str, root: str | Path | None = None, *, preprocess: Preprocess | None = None
) -> ImageSet | ArraySet | DetectionSet | PictureSet:
    """Open a data set from the short form used on the command line.

    Args:
        spec: A name of ``names()``, ``folder:PATH``, ``FILE.npz``, or ``FILE.npz:PART`` for the
            arrays ``PART_images`` and so on; ``boxes:PATH`` or ``boxes:PATH:SPLIT`` for pictures
            with boxes (:func:`open_detection`), ``pictures:PATH`` for pictures without labels
            (:func:`open_pictures`).
        root: Passed on for names.
        preprocess: How images become tensors; see the loaders for their defaults.

    Returns:
        A data set of (float32 tensor, class), (float32 tensor, Annotations) or (float32 tensor,).

    Raises:
        UnknownNameError: If ``spec`` has none of these forms.
        ConfigError: If a setting does not fit.
        FileFormatError: If files are missing or damaged.
    """
    kind, _, rest = spec.partition(":")
    if kind == "boxes":
        place, _, split = rest.rpartition(":")
        if place and not Path(rest).exists():
            return open_detection(place, split=split, preprocess=preprocess)
        return open_detection(rest, preprocess=preprocess)
    if kind == "pictures":
        return open_pictures(rest, preprocess=preprocess)
    if spec.startswith("folder:"):
        return from_folder(spec.removeprefix("folder:"), preprocess=preprocess)
    if spec.endswith(".npz"):
        return from_npz(spec, preprocess=preprocess)
    path, dot, part = spec.rpartition(".npz:")
    if dot:
        return from_npz(path + ".npz", part=part, preprocess=preprocess)
    return named(spec, root, preprocess=preprocess)


def _entry(name: str) -> _Named:
    if name in _TEXTS:
        raise ConfigError(
            f"{name}: expected a set of images, got one of texts. "
            "Open it with spikewright.data.texts()."
        )
    if name not in _SETS:
        raise unknown_name(
            "data set", name, [*_SETS, "folder:PATH", "FILE.npz", "boxes:PATH", "pictures:PATH"]
        )
    return _SETS[name]
