# SPDX-License-Identifier: Apache-2.0
"""One verb per file: read options, call ``spikewright.api``, report, return the exit code."""
