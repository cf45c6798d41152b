# SPDX-License-Identifier: Apache-2.0
"""Images in one folder per class, in torchvision's ImageFolder layout."""

from pathlib import Path

import numpy as np

from spikewright._vision import torchvision
from spikewright.data.images import FileReader, ImageSet
from spikewright.data.preprocess import Preprocess
from spikewright.errors import FileFormatError

__all__ = ["from_folder"]


def from_folder(
    path: str | Path, *, preprocess: Preprocess | None = None, classes: int | None = None
) -> ImageSet:
    """Open a folder that has one sub-folder of images per class.

    Args:
        path: The folder. Sub-folders in sorted order are the classes 0, 1, ...
        preprocess: How images become tensors. Default: values / 255 at the stored size.
        classes: The number of classes there must be; None takes any.

    Returns:
        Items are (float32 "3 height width", class); files are decoded when they are read.

    Raises:
        FileFormatError: If the folder is missing, has no class folder, or a class has no image.
        ConfigError: If torchvision is not installed.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileFormatError(f"{path}: expected a folder of images, got none. Check the path.")
    try:
        folder = torchvision().datasets.ImageFolder(str(path))
    except OSError as error:  # no class folder, a class without images, or one not to be read
        raise FileFormatError(
            f"{path}: expected one folder of images per class, got another layout ({error}). "
            "Put the images of each class in a folder of its own."
        ) from error
    if classes is not None and len(folder.classes) != classes:
        raise FileFormatError(
            f"{path}: expected {classes} class folders, got {len(folder.classes)}. Check the path."
        )
    reader = FileReader(path.name, [Path(file) for file, _ in folder.samples])
    labels = np.array(folder.targets, dtype=np.int64)
    return ImageSet(path.name, reader, labels, preprocess or Preprocess())
