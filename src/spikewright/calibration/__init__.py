# SPDX-License-Identifier: Apache-2.0
"""Calibration: what a network's values look like, and the scale of each site chosen from that.

``RULES`` finds the scale rules by their public name.
"""

from spikewright.calibration import scales
from spikewright.calibration.coding_error import conversion_error as conversion_error
from spikewright.calibration.few_spikes import Fit as Fit
from spikewright.calibration.few_spikes import fit_few_spikes as fit_few_spikes
from spikewright.calibration.histogram import RangeHistogram as RangeHistogram
from spikewright.calibration.observer import SiteObserver as SiteObserver
from spikewright.calibration.scales import Max as Max
from spikewright.calibration.scales import MinError as MinError
from spikewright.calibration.scales import Percentile as Percentile
from spikewright.calibration.scales import ScaleRule as ScaleRule
from spikewright.calibration.search import search_k as search_k
from spikewright.calibration.spike_price import priced_thresholds as priced_thresholds
from spikewright.calibration.spike_price import spikes_of as spikes_of
from spikewright.calibration.statistics import Statistics as Statistics
from spikewright.codes.lookup import Lookup, classes_in

RULES: Lookup[type[ScaleRule]] = Lookup("scale rule", classes_in([scales]))
