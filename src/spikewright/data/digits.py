# SPDX-License-Identifier: Apache-2.0
"""Real scans of handwritten digits inside the package, so that the demo needs no download.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning
Repository, 1998, CC BY 4.0; see digits.ATTRIBUTION.md beside this file.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from spikewright.data.images import ArrayReader, ImageSet
from spikewright.data.npz import from_npz
from spikewright.data.preprocess import Preprocess
from spikewright.errors import ConfigError, FileFormatError

__all__ = ["DIGITS_PREPROCESS", "load_digits"]

DIGITS_PREPROCESS = Preprocess(channels="L", scale=1 / 16)  # the stored values are 0..16


def load_digits(
    part: Literal["train", "test"], *, preprocess: Preprocess = DIGITS_PREPROCESS
) -> ImageSet:
    """Load the 8 x 8 digits that ship with the package.

    The split is fixed: of every class, in the order of the source, each fourth scan is for
    testing. Both parts therefore hold every writer of the source; it is a split for a
    demonstration, not a test of how well a network takes to new handwriting.

    Args:
        part: ``"train"`` (1352 scans) or ``"test"`` (445 scans).
        preprocess: How scans become tensors. Default: values / 16, so 0..1.

    Returns:
        Items are (float32 "1 8 8", digit).

    Raises:
        ConfigError: If ``part`` is neither.

    Example:
        >>> len(load_digits("train")), len(load_digits("test"))
        (1352, 445)
    """
    if part not in ("train", "test"):
        raise ConfigError(f"digits: expected part 'train' or 'test', got {part!r}. Choose one.")
    everything = from_npz(Path(__file__).with_name("digits.npz"), preprocess=preprocess)
    if not isinstance(everything, ImageSet) or not isinstance(everything.reader, ArrayReader):
        raise FileFormatError(
            "digits.npz: expected images and labels, got another layout. Reinstall."
        )
    labels = everything.labels
    rank = np.empty_like(labels)  # how many scans of the same class come before
    for digit in np.unique(labels):
        rank[labels == digit] = np.arange((labels == digit).sum())
    chosen = (rank % 4 == 3) == (part == "test")
    reader = ArrayReader(everything.reader.images[chosen])
    return ImageSet(f"digits-{part}", reader, labels[chosen], preprocess)
