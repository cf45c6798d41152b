# SPDX-License-Identifier: Apache-2.0
"""What the command returns: to a shell, a script, a job."""

__all__ = ["BROKEN_PIPE", "DEFECT", "DONE", "INTERRUPTED", "MISUSE"]

DONE = 0
MISUSE = 2
DEFECT = 3  # of the program itself
INTERRUPTED = 130
BROKEN_PIPE = 141
