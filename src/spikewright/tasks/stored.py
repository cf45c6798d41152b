# SPDX-License-Identifier: Apache-2.0
"""What results that are read from files are refused with."""

from spikewright.errors import FileFormatError

__all__ = ["MOST", "not_ours"]

MOST = 2**63
"""No count of a result is as large."""


def not_ours(what: str) -> FileFormatError:
    """Return the error for a result that this package has not written."""
    return FileFormatError(f"result: expected what to_dict() wrote, but {what}. Measure it again.")
