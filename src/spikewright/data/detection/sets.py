# SPDX-License-Identifier: Apache-2.0
"""The data set that every layout of pictures with boxes becomes."""

import dataclasses

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import Dataset

from spikewright.data.detection.marks import MarkSource
from spikewright.data.images import ImageReader, Mode
from spikewright.data.items import check_index
from spikewright.data.preprocess import Preprocess
from spikewright.detection import Annotations
from spikewright.errors import ConfigError, FileFormatError

__all__ = ["DetectionSet"]


@dataclasses.dataclass(frozen=True, eq=False)
class DetectionSet(Dataset[tuple[Tensor, Annotations]]):
    """Pictures with boxes; item i is (float32 "channel height width", Annotations).

    Boxes are in pixels of the stored picture; ``placement`` takes them into the tensor and back.
    Crowd regions and difficult objects are there and marked; pictures without boxes are there.

    Args:
        name: Shown in messages and reports.
        classes: Names of the classes; their places are the class numbers.
        reader: Where the pictures come from.
        marks: Where the boxes come from.
        preprocess: Applied to every picture. A crop is refused: objects cut away would count as
            not found.
        category_ids: Numbers of the classes in the COCO file that they come from, for writing
            results; None elsewhere.
        image_ids: Numbers of the pictures in that file.

    Raises:
        ConfigError: If ``preprocess`` crops.
        FileFormatError: If the numbers of pictures and marked ones differ.
    """

    name: str
    classes: tuple[str, ...]
    reader: ImageReader
    marks: MarkSource
    preprocess: Preprocess
    category_ids: tuple[int, ...] | None = None
    image_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.preprocess.crop is not None:
            raise ConfigError(
                f"{self.name}: expected preprocessing of whole pictures, got crop = "
                f"{self.preprocess.crop}, which cuts objects away. Leave crop out; fit = "
                "'letterbox' keeps the proportions."
            )
        if len(self.reader) != len(self.marks):
            raise FileFormatError(
                f"{self.name}: expected as many pictures as are marked, got {len(self.reader)} "
                f"pictures and marks of {len(self.marks)}. Write the file again."
            )

    def __len__(self) -> int:
        return len(self.marks)

    @property
    def left_out(self) -> int:
        """How many boxes of the files had no area inside their picture."""
        return self.marks.left_out

    def __getitem__(self, index: int) -> tuple[Tensor, Annotations]:
        image, found = self.stored(index)
        placement = self.preprocess.placement(*found.size)
        return self.preprocess(image), dataclasses.replace(found, placement=placement)

    def stored(self, index: int) -> tuple[npt.NDArray[np.uint8], Annotations]:
        """Return a picture as it is stored, "height width channel", and what is in it.

        Raises:
            FileFormatError: If it is missing, damaged, or of another size than was marked.
        """
        check_index(self.name, index, len(self))
        mode: Mode = "L" if self.preprocess.channels == "L" else "RGB"
        image = self.reader.read(index, mode)
        height, width = image.shape[:2]
        return image, self.marks.at(index, (height, width))
