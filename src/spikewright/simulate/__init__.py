# SPDX-License-Identifier: Apache-2.0
"""Simulators that must agree: the tick-by-tick definition and one pass on decoded trains."""

from spikewright.simulate.collapsed import Collapsed as Collapsed
from spikewright.simulate.pipeline import PipelineRun as PipelineRun
from spikewright.simulate.pipeline import run_pipelined as run_pipelined
from spikewright.simulate.reference import Reference as Reference
from spikewright.simulate.stages import Stages as Stages
from spikewright.simulate.verify import Verification as Verification
from spikewright.simulate.verify import verify as verify
