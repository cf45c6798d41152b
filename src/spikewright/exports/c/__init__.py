# SPDX-License-Identifier: Apache-2.0
"""The network as one file of C99: static arrays, no heap, no dependency."""

from spikewright.exports.c.file import CSource as CSource
from spikewright.exports.c.file import c_source as c_source
