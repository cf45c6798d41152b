# SPDX-License-Identifier: Apache-2.0
"""YOLO versions 2 to 5: every cell of a map corrects the place and size of a few given boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from spikewright.detection.boxes import Detections
from spikewright.detection.decoders import base
from spikewright.detection.nms import Suppression
from spikewright.errors import ConfigError, ShapeError

__all__ = [
    "YOLO_FASTEST_V2",
    "YOLO_V2",
    "YOLO_V2_VOC",
    "YOLO_V3",
    "YOLO_V3_TINY",
    "YOLO_V4",
    "YOLO_V5",
    "AnchorLevel",
    "AnchorYolo",
]


@dataclass(frozen=True)
class AnchorLevel:
    """One map's resolution and boxes.

    Attributes:
        stride: Input pixels for a cell.
        anchors: Width and height of each box, in input pixels.
        stretch: How far around its cell a centre may lie, in cells: 1 in the cell, as in versions 2
            and 3; YOLO v4's ``scale_x_y``; 2 in version 5.
    """

    stride: int
    anchors: tuple[tuple[float, float], ...]
    stretch: float = 1.0


@dataclass(frozen=True, kw_only=True)
class AnchorYolo:
    """Boxes of YOLO heads with anchors.

    With t the raw values of an anchor a in a cell, σ the sigmoid and z the stretch:

        centre = (z·σ(t_xy) − (z − 1)/2 + cell) · stride
        size = a·e^t_wh, or a·(2·σ(t_wh))²
        score = σ(t_obj) · (softmax or σ)(t_class)

    Attributes:
        levels: One a resolution.
        size: "exp" (versions 2 to 4) or "square" (version 5).
        classes: How class scores are normalised: "softmax" (version 2) or "sigmoid" (from 3 on).
        maps: "joined": one map a level, "batch anchors·(5 + classes) h w", for each anchor x, y,
            width, height, objectness and classes. "separate": three a level, "batch anchors·4 h w",
            "batch anchors h w", "batch classes h w" in this order, the classes common to a cell's
            anchors, as in YOLO-FastestV2.
        every_class: Whether a box may be found as several classes (as in versions 3 to 5 when they
            are measured) or as its best one.
        suppression: What is kept.

    References:
        Redmon and Farhadi, YOLO9000, 2017, https://arxiv.org/abs/1612.08242; YOLOv3, 2018,
        https://arxiv.org/abs/1804.02767. Bochkovskiy et al., YOLOv4, 2020,
        https://arxiv.org/abs/2004.10934. Jocher, YOLOv5, 2020, where (2·σ)² replaced e^t.
        YOLO-FastestV2, https://github.com/dog-qiuqiu/Yolo-FastestV2.

    Raises:
        ConfigError: If there are no levels, or one without anchors.

    Example:
        >>> import torch
        >>> level = AnchorLevel(stride=8, anchors=((4.0, 6.0),))
        >>> raw = torch.tensor([0.0, 0.0, 0.0, 0.0, 9.0, 9.0]).reshape(1, 6, 1, 1)
        >>> found = AnchorYolo(levels=(level,))([raw], (8, 8))
        >>> found[0].boxes.tolist(), found[0].labels.tolist()
        ([[2.0, 1.0, 6.0, 7.0]], [0])
    """

    levels: tuple[AnchorLevel, ...]
    size: Literal["exp", "square"] = "exp"
    classes: Literal["softmax", "sigmoid"] = "sigmoid"
    maps: Literal["joined", "separate"] = "joined"
    every_class: bool = True
    suppression: Suppression = base.KEPT

    def __post_init__(self) -> None:
        if not self.levels or not all(level.anchors for level in self.levels):
            raise ConfigError(
                f"anchor decoder: expected levels with anchors, got {self.levels}. Give those that "
                "the detector was trained with."
            )

    def __call__(self, outputs: Any, input_size: tuple[int, int]) -> list[Detections]:  # noqa: ANN401 - nested as the network returns it
        """See :class:`Decoder`."""
        strides = [level.stride for level in self.levels]
        each = (1,) if self.maps == "joined" else (3,)
        found = base.level_maps(base.flat(outputs), strides, input_size, "anchor decoder", each)
        pairs = [self._level(level, maps) for level, maps in zip(self.levels, found, strict=True)]
        boxes, scores = (torch.cat(parts, 1) for parts in zip(*pairs, strict=True))
        return base.settle(boxes, scores, self.suppression, self.every_class)

    def _level(
        self, level: AnchorLevel, maps: Sequence[Tensor]
    ) -> tuple[Float[Tensor, "batch point 4"], Float[Tensor, "batch point class"]]:
        """Return a level's boxes and their scores of every class, anchor after anchor."""
        place, objectness, classes = self._parts(level, maps)
        anchors = place.new_tensor(level.anchors)[:, None, None]
        cells = base.grid(place[..., 0]).permute(1, 2, 0)
        z = level.stretch
        centre = (z * place[..., :2].sigmoid() - (z - 1) / 2 + cells) * level.stride
        if self.size == "exp":
            size = anchors * place[..., 2:].clamp(max=base.LARGEST_EXPONENT).exp()
        else:
            size = anchors * (2 * place[..., 2:].sigmoid()).square()
        share = classes.softmax(-1) if self.classes == "softmax" else classes.sigmoid()
        score = objectness.sigmoid()[..., None] * share
        return base.centred(centre, size).flatten(1, 3), score.flatten(1, 3)

    def _parts(
        self, level: AnchorLevel, maps: Sequence[Tensor]
    ) -> tuple[
        Float[Tensor, "batch anchor h w 4"],
        Float[Tensor, "batch anchor h w"],
        Float[Tensor, "batch any h w class"],
    ]:
        """Return place, objectness and classes; any = 1 where a cell's anchors share them."""
        count = len(level.anchors)
        channels = [x.shape[1] for x in maps]
        if self.maps == "joined":
            values, rest = divmod(channels[0], count)
            if not rest and values > 5:
                joined = torch.unflatten(maps[0], 1, (count, values)).permute(0, 1, 3, 4, 2)
                return joined[..., :4], joined[..., 4], joined[..., 5:]
            wanted = f"{count} x (5 + classes)"
        else:
            if channels[:2] == [4 * count, count]:
                place = torch.unflatten(maps[0], 1, (count, 4)).permute(0, 1, 3, 4, 2)
                return place, maps[1], maps[2].permute(0, 2, 3, 1)[:, None]
            wanted = f"{4 * count}, {count} and one a class"
        raise ShapeError(
            f"anchor decoder, stride {level.stride}: expected {wanted} channels, got "
            f"{', '.join(map(str, channels))}. Check the anchors, and whether maps are joined."
        )


_V3 = (
    AnchorLevel(8, ((10, 13), (16, 30), (33, 23))),
    AnchorLevel(16, ((30, 61), (62, 45), (59, 119))),
    AnchorLevel(32, ((116, 90), (156, 198), (373, 326))),
)
_SETTINGS = Suppression(iou=0.45, least=0.005)


def _v2(*cells: tuple[float, float]) -> AnchorYolo:
    """Version 2 gives its anchors in cells of 32 pixels."""
    level = AnchorLevel(32, tuple((32 * width, 32 * height) for width, height in cells))
    return AnchorYolo(levels=(level,), classes="softmax", suppression=_SETTINGS)


YOLO_V2 = _v2(
    (0.57273, 0.677385),
    (1.87446, 2.06253),
    (3.33843, 5.47434),
    (7.88282, 3.52778),
    (9.77052, 9.16828),
)
"""Trained on COCO."""

YOLO_V2_VOC = _v2(
    (1.3221, 1.73145),
    (3.19275, 4.00944),
    (5.05587, 8.09892),
    (9.47112, 4.84053),
    (11.2364, 10.0071),
)
"""Trained on PASCAL VOC."""

YOLO_V3 = AnchorYolo(levels=_V3, suppression=_SETTINGS)

YOLO_V3_TINY = AnchorYolo(
    levels=(
        AnchorLevel(16, ((10, 14), (23, 27), (37, 58))),
        AnchorLevel(32, ((81, 82), (135, 169), (344, 319))),
    ),
    suppression=_SETTINGS,
)

YOLO_V4 = AnchorYolo(
    levels=(
        AnchorLevel(8, ((12, 16), (19, 36), (40, 28)), 1.2),
        AnchorLevel(16, ((36, 75), (76, 55), (72, 146)), 1.1),
        AnchorLevel(32, ((142, 110), (192, 243), (459, 401)), 1.05),
    ),
    suppression=_SETTINGS,
)

YOLO_V5 = AnchorYolo(
    levels=tuple(AnchorLevel(x.stride, x.anchors, 2.0) for x in _V3),
    size="square",
    suppression=Suppression(iou=0.6, least=0.001),
)
"""Heads of v5n to v5x; raw maps."""

YOLO_FASTEST_V2 = AnchorYolo(
    levels=(
        AnchorLevel(16, ((12.64, 19.39), (37.88, 51.48), (55.71, 138.31)), 2.0),
        AnchorLevel(32, ((126.91, 78.23), (131.57, 214.55), (279.92, 258.87)), 2.0),
    ),
    size="square",
    classes="softmax",
    maps="separate",
    every_class=False,
    suppression=Suppression(iou=0.4, least=0.01, most=300),
)
"""Trained on COCO at 352x352; six raw maps."""
