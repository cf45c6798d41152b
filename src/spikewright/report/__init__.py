# SPDX-License-Identifier: Apache-2.0
"""Results as files for people: pages, Markdown, tables, and figures from plain numbers."""
