# SPDX-License-Identifier: Apache-2.0
"""Recurrent networks as spiking ones: a run of the converted cell for every token."""

from spikewright.recurrent.check import CountCheck as CountCheck
from spikewright.recurrent.check import check_counts as check_counts
from spikewright.recurrent.convert import convert_recurrent as convert_recurrent
from spikewright.recurrent.evaluate import evaluate as evaluate
from spikewright.recurrent.evaluate import verify as verify
from spikewright.recurrent.files import load as load
from spikewright.recurrent.files import save as save
from spikewright.recurrent.network import RecurrentSNN as RecurrentSNN
from spikewright.recurrent.network import TextRun as TextRun
from spikewright.recurrent.sequence import SequenceSNN as SequenceSNN
