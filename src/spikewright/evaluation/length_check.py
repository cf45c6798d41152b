# SPDX-License-Identifier: Apache-2.0
"""Refuse numbers of one code length that no evaluation can have found."""

from typing import Any

from spikewright.tasks.stored import MOST, not_ours

__all__ = ["check_plain"]

_WHOLE = (
    "T",
    "steps",
    "awake",
    "samples",
    "labelled",
    "compared",
    "unused_labels",
    "latency_ticks",
    "ticks_per_input",
)


def check_plain(plain: dict[str, Any]) -> None:
    """Check the fields of a ``LengthResult`` without its layers and errors; lists become tuples.

    Args:
        plain: Field to value, as JSON has it.

    Raises:
        FileFormatError: If a field is of another kind, or the fields contradict each other.
    """
    whole: list[Any] = []
    for key in ("correct", "agree", "spikes_by_step", "additions_by_step", "at_rest"):
        if not isinstance(plain[key], list | tuple):
            raise not_ours(f"{key} is no list")
        plain[key] = tuple(plain[key])
        whole += plain[key]
    whole += [plain[key] for key in _WHOLE]
    real = all(type(plain[key]) in (int, float) for key in ("k", "largest"))
    if any(type(v) is not int or not 0 <= v < MOST for v in whole) or not real:
        raise not_ours("a count is no whole number")
    if (
        min(plain["T"], plain["steps"]) < 1
        or not 1 <= plain["k"] <= 2
        or not 0 < plain["largest"] < MOST
    ):
        raise not_ours("it has no steps, or a code that there is not")
    right = (*plain["correct"], 0), (*plain["agree"], 0)
    known = plain["labelled"], plain["compared"], plain["unused_labels"]
    if any(max(r) > n for r, n in zip(right, known[:2], strict=True)) or (
        max(known) > plain["samples"]
    ):
        raise not_ours("more is right than was run")
    kinds = (
        type(plain["settles"]) is bool,
        all(type(plain[key]) is str for key in ("outputs", "unit", "task")),
    )
    if not all(kinds) or not _is_plan(plain["plan"]):
        raise not_ours("a field is of another kind")
    sizes = {len(plain["correct"]), len(plain["agree"])}
    by_step = {len(plain["spikes_by_step"]), len(plain["additions_by_step"])}
    rest = len(plain["at_rest"])
    if (
        sizes != {plain["steps"]}
        or not by_step <= {0, plain["steps"]}
        or rest not in (0, plain["steps"] + 1)
    ):
        raise not_ours("a list has not one number for each step")


def _is_plan(plan: object) -> bool:
    """Tell whether it is what a schedule writes."""
    if not isinstance(plan, dict) or type(plan.get("steps")) is not int or plan["steps"] < 1:
        return False
    if plan.get("kind") != "layered":
        return plan.get("kind") in ("synchronous", "wake-sleep")
    phases, delays = plan.get("phases"), plan.get("delays")
    return (
        isinstance(phases, list | tuple)
        and all(isinstance(p, list | tuple) and len(p) == 4 for p in phases)
        and all(type(p[2]) is type(p[3]) is int for p in phases)
        and isinstance(delays, list | tuple)
        and all(isinstance(d, list | tuple) and len(d) == 2 for d in delays)
        and all(type(d[1]) is int for d in delays)
    )
