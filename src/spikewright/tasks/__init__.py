# SPDX-License-Identifier: Apache-2.0
"""What networks are for: one task a file, beside the simulators."""

from spikewright.tasks.base import Answers as Answers
from spikewright.tasks.base import Beside as Beside
from spikewright.tasks.base import Tally as Tally
from spikewright.tasks.base import Task as Task
from spikewright.tasks.classification import Classification as Classification
from spikewright.tasks.classification import Decisions as Decisions
from spikewright.tasks.detection import Detection as Detection
from spikewright.tasks.guess import task_for as task_for
from spikewright.tasks.outputs import Outputs as Outputs
from spikewright.tasks.part_score import PartScore as PartScore
from spikewright.tasks.scene import Box as Box
from spikewright.tasks.scene import Scene as Scene
from spikewright.tasks.segmentation import Segmentation as Segmentation
from spikewright.tasks.series import Series as Series
