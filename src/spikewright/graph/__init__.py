# SPDX-License-Identifier: Apache-2.0
"""Capture of any model as one flat graph, and the passes that prepare it for spikes."""

from spikewright.graph.capture import capture as capture
from spikewright.graph.capture import check_parameters as check_parameters
from spikewright.graph.channels import channel_axes as channel_axes
from spikewright.graph.inspection import Inspection as Inspection
from spikewright.graph.inspection import inspect_graph as inspect_graph
from spikewright.graph.inspection import support_table as support_table
from spikewright.graph.ir import Graph as Graph
from spikewright.graph.ir import Node as Node
from spikewright.graph.ir import Param as Param
from spikewright.graph.ir import Ref as Ref
from spikewright.graph.normalise import normalise as normalise
from spikewright.graph.place_curves import place_curves as place_curves
from spikewright.graph.program import Program as Program
from spikewright.graph.simplify import fold_batch_norm as fold_batch_norm
from spikewright.graph.simplify import simplify as simplify
from spikewright.graph.sites import analog_inputs as analog_inputs
from spikewright.graph.sites import find_activations as find_activations
from spikewright.graph.sites import flow as flow
from spikewright.graph.sites import place_sites as place_sites
from spikewright.graph.units import fold_units as fold_units
