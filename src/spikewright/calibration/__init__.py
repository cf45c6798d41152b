# SPDX-License-Identifier: Apache-2.0
"""Calibration: what a network's values look like, and the scale of each site chosen from that."""
