# SPDX-License-Identifier: Apache-2.0
"""Lets ``python -m spikewright`` do what the ``spikewright`` command does."""

import sys

from spikewright.cli import main

if __name__ == "__main__":
    sys.exit(main())
