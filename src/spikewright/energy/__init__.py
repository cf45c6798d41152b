# SPDX-License-Identifier: Apache-2.0
"""What an input costs: energy under models that are data files, memory, and the verdict."""

from spikewright.energy.energy import Energy as Energy
from spikewright.energy.energy import energy_by_layer as energy_by_layer
from spikewright.energy.energy import energy_of as energy_of
from spikewright.energy.energy_model import EnergyModel as EnergyModel
from spikewright.energy.energy_model import choose_models as choose_models
from spikewright.energy.memory import MemoryUse as MemoryUse
from spikewright.energy.memory import memory_of as memory_of
from spikewright.energy.verdict import verdict as verdict
