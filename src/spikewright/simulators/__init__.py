# SPDX-License-Identifier: Apache-2.0
"""Simulators that must agree: the tick-by-tick definition and one pass on decoded trains."""

from spikewright.simulators.collapsed import Collapsed as Collapsed
from spikewright.simulators.pipeline import PipelineRun as PipelineRun
from spikewright.simulators.pipeline import run_pipelined as run_pipelined
from spikewright.simulators.reference import Reference as Reference
from spikewright.simulators.stages import Stages as Stages
from spikewright.simulators.verify import Verification as Verification
from spikewright.simulators.verify import verify as verify
