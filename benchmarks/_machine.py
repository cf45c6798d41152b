# SPDX-License-Identifier: Apache-2.0
"""One line that says on what a benchmark ran."""

import platform

import torch

__all__ = ["machine"]


def machine() -> str:
    """Return processor, threads and versions."""
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123 - a pseudo file
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = [platform.processor() or platform.machine()]
    return f"{names[0]}, {torch.get_num_threads()} threads, torch {torch.__version__}"
