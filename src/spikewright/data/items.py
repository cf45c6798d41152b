# SPDX-License-Identifier: Apache-2.0
"""What all sets of items ask before they give one out."""

__all__ = ["check_index"]


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
