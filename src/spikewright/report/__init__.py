# SPDX-License-Identifier: Apache-2.0
"""Results as files for people: figures from plain numbers."""
