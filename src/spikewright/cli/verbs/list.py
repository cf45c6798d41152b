# SPDX-License-Identifier: Apache-2.0
"""``spikewright list``: every name that an option takes, found where it is defined."""

from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli.options import COMMON, CommonOptions

__all__ = ["list_"]

Kind = Literal["methods", "codes", "neurons", "energy", "data", "models", "decoders"]


def list_(
    kind: Annotated[Kind | None, Parameter(name="KIND")] = None,
    /,
    *,
    common: CommonOptions = COMMON,
) -> int:
    """List methods with their options, codes, neurons, energy models, data, models, decoders.

    Args:
        kind: Only these; all by default.
        common: What every verb takes.
    """
    from spikewright.cli import catalogue

    found = catalogue.everything()
    if kind is not None:
        found = {kind: found[kind]}
    common.terminal.result(catalogue.text(found), {"schema": "spikewright.list/1", **found})
    return 0
