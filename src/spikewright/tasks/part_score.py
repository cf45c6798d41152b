# SPDX-License-Identifier: Apache-2.0
"""Average precision of a part of the boxes: one class, or one range of sizes."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spikewright.tasks.stored import MOST, not_ours

__all__ = ["PartScore"]


@dataclass(frozen=True, kw_only=True)
class PartScore:
    """What a detector is worth on a part of the boxes, after the last step.

    Attributes:
        kind: What the part is.
        name: Of the class; ``"small"``, ``"medium"`` or ``"large"`` (COCO: up to 32², 96² pixels).
        boxes: In the truth, without crowds and difficult ones.
        ap: Average precision in 0..1; None where it is not defined.
        ap50: At an IoU of .5; None of sizes.
        ann: Average precision of the original network; None if it was not run.
    """

    kind: Literal["class", "size"]
    name: str
    boxes: int
    ap: float | None
    ap50: float | None = None
    ann: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PartScore":
        """Rebuild what :meth:`to_dict` wrote, also after it has been JSON.

        Raises:
            FileFormatError: If a field is missing, unknown or of another kind.
        """
        try:
            found = cls(**data)
        except TypeError as error:
            raise not_ours(f"a part's field is missing or unknown ({error})") from error
        shares = [x for x in (found.ap, found.ap50, found.ann) if x is not None]
        if any(type(x) is not float or not math.isfinite(x) or not 0 <= x <= 1 for x in shares):
            raise not_ours("a part's figure is no share of 1")
        if type(found.boxes) is not int or not 0 <= found.boxes < MOST:
            raise not_ours("a part's boxes are no whole number")
        if found.kind not in ("class", "size") or type(found.name) is not str:
            raise not_ours("a part is of another kind")
        return found
