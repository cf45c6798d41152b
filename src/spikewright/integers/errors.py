# SPDX-License-Identifier: Apache-2.0
"""What one operator lacks; all of them are then told in one error."""

__all__ = ["NoForm"]


class NoForm(Exception):  # noqa: N818 - never reaches a user
    """A program cannot say an operator; the text says which form of it, and what to do."""
