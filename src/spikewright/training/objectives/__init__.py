# SPDX-License-Identifier: Apache-2.0
"""What networks are trained for: one file each."""

from spikewright.training.objectives.base import Objective as Objective
from spikewright.training.objectives.base import Verdict as Verdict
from spikewright.training.objectives.classification import Classification as Classification
from spikewright.training.objectives.detection import Detection as Detection
from spikewright.training.objectives.imitation import Imitation as Imitation
