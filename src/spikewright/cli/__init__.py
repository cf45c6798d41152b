# SPDX-License-Identifier: Apache-2.0
"""The command line: a thin layer over ``spikewright.api`` that reads options and writes reports.

Only what ``--help`` needs is imported here; torch is loaded by a verb when it runs.
"""

from spikewright.cli.entry import main as main
