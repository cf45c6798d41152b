# SPDX-License-Identifier: Apache-2.0
"""Spikewright turns trained neural networks into spiking ones and tells the truth about the result.

Importing this package imports nothing heavy; names are looked up when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikewright.api import apply as apply
    from spikewright.api import calibrate as calibrate
    from spikewright.api import convert as convert
    from spikewright.api import diagnose as diagnose
    from spikewright.api import evaluate as evaluate
    from spikewright.api import inspect as inspect
    from spikewright.api import simulate as simulate
    from spikewright.api import verify as verify
    from spikewright.calibration import Max as Max
    from spikewright.calibration import MinError as MinError
    from spikewright.calibration import Percentile as Percentile
    from spikewright.comparison import compare as compare
    from spikewright.exports import export as export
    from spikewright.methods.spikeconverter import SpikeConverter as SpikeConverter
    from spikewright.network import SpikingNetwork as SpikingNetwork
    from spikewright.network import load as load
    from spikewright.report.write import write_report as write_report
    from spikewright.simulators import run_pipelined as run_pipelined
    from spikewright.tasks import Detection as Detection
    from spikewright.tasks import Segmentation as Segmentation
    from spikewright.training import train as train

__version__ = "0.1.0"

_WHERE = {
    **dict.fromkeys(("calibrate", "convert", "evaluate", "inspect", "simulate", "verify"), "api"),
    **dict.fromkeys(("Max", "MinError", "Percentile"), "calibration"),
    **dict.fromkeys(("SpikingNetwork", "load"), "network"),
    "compare": "comparison",
    "export": "exports",
    **dict.fromkeys(("apply", "diagnose"), "api"),
    "SpikeConverter": "methods.spikeconverter",
    "run_pipelined": "simulators",
    "write_report": "report.write",
    **dict.fromkeys(("Detection", "Segmentation"), "tasks"),
    "train": "training",
}

__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name in _WHERE:
        return getattr(import_module(f"spikewright.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'spikewright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
