# SPDX-License-Identifier: Apache-2.0
"""``spikewright env``: the facts to paste into an issue."""

from spikewright.cli.options import COMMON, CommonOptions

__all__ = ["env"]

_PACKAGES = ("torch", "torchvision", "numpy", "safetensors", "rich", "cyclopts")


def env(*, common: CommonOptions = COMMON) -> int:
    """Print versions and machine, to paste into an issue; no names and no paths are in it."""
    import os
    import platform
    from importlib import metadata

    import torch

    import spikewright

    def version(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "not installed"

    facts: dict[str, str | int | bool] = {
        "spikewright": spikewright.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        **{package: version(package) for package in _PACKAGES},
        "platform": platform.platform(),
        "processor cores": os.cpu_count() or 0,
        "torch threads": torch.get_num_threads(),
        "cuda": torch.version.cuda or "no",
        "cuda devices": torch.cuda.device_count(),
        "SPIKEWRIGHT_DATA": "set" if os.environ.get("SPIKEWRIGHT_DATA") else "not set",
    }
    text = "\n".join(f"{name:<17s} {value}" for name, value in facts.items())
    common.terminal.result(text, {"schema": "spikewright.env/1", **facts})
    return 0
