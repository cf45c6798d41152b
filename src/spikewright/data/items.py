# SPDX-License-Identifier: Apache-2.0
"""What all sets of items ask before they give one out."""

from spikewright.errors import FileFormatError

__all__ = ["check_index", "check_labels"]


def check_index(name: str, index: int, count: int) -> None:
    """Refuse an index beyond a set, which ends loops over it.

    Args:
        name: Of the set.
        index: What is asked for.
        count: Items that there are.

    Raises:
        IndexError: If it is none of 0..count - 1.
    """
    if not 0 <= index < count:
        raise IndexError(f"{name}: expected an index in 0..{count - 1}, got {index}.")


def check_labels(name: str, what: str, items: int, labels: int) -> None:
    """Refuse a set that has not one label for each item.

    Args:
        name: Of the set.
        what: What an item is: ``"image"``.
        items: How many there are.
        labels: How many labels there are.

    Raises:
        FileFormatError: If the numbers differ.
    """
    if items != labels:
        raise FileFormatError(
            f"{name}: expected one label per {what}, got {items} {what}s and {labels} labels. "
            "Write the file again."
        )
