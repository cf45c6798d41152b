# SPDX-License-Identifier: Apache-2.0
"""Training of networks that are made for spikes: quantised activations, checkpoints, resumption."""

from spikewright.training.checkpoint import load_trained as load_trained
from spikewright.training.config import TrainConfig as TrainConfig
from spikewright.training.fit import train as train
from spikewright.training.from_spikes import trainable as trainable
from spikewright.training.network import TrainableNetwork as TrainableNetwork
from spikewright.training.objectives import Classification as Classification
from spikewright.training.objectives import Detection as Detection
from spikewright.training.objectives import Imitation as Imitation
from spikewright.training.objectives import Objective as Objective
from spikewright.training.prepare import conversion_ready as conversion_ready
from spikewright.training.result import TrainingResult as TrainingResult
from spikewright.training.settings import ActivationSettings as ActivationSettings
