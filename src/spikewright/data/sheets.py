# SPDX-License-Identifier: Apache-2.0
"""Small images stored as tiles of larger sheets, which codes far better than one file per image."""

import numpy as np
import numpy.typing as npt

from spikewright.data.images import Mode, PackedReader
from spikewright.errors import FileFormatError

__all__ = ["SheetReader"]


class SheetReader:
    """Square tiles of packed sheets, row by row; every sheet but the last is full.

    A sheet is decoded when one of its tiles is first read, and the decoded tiles stay in memory.

    Args:
        sheets: The coded sheets.
        tile: Height and width of a tile in pixels.
        count: Number of tiles in all.

    Raises:
        FileFormatError: If the sheets cannot hold ``count`` tiles of that size.
    """

    def __init__(self, sheets: PackedReader, tile: int, count: int) -> None:
        self._sheets = sheets
        self._tile = tile
        self._count = count
        self._decoded: dict[tuple[int, Mode], npt.NDArray[np.uint8]] = {}
        self._per_sheet = len(self._tiles(0, "RGB"))
        sheets_needed = -(-count // self._per_sheet)
        if sheets_needed != len(sheets):
            raise FileFormatError(
                f"{sheets.name}: expected {sheets_needed} sheets of {self._per_sheet} tiles for "
                f"{count} labels, got {len(sheets)}. Write the file again."
            )

    def __len__(self) -> int:
        return self._count

    def read(self, index: int, mode: Mode) -> npt.NDArray[np.uint8]:
        """Return tile ``index`` of all tiles."""
        sheet, position = divmod(index, self._per_sheet)
        tiles = self._tiles(sheet, mode)
        if position >= len(tiles):
            raise FileFormatError(
                f"{self._sheets.name}[{index}]: expected sheet {sheet} to hold {self._per_sheet} "
                f"tiles, got {len(tiles)}. Write the file again."
            )
        image: npt.NDArray[np.uint8] = tiles[position]
        return image

    def _tiles(self, sheet: int, mode: Mode) -> npt.NDArray[np.uint8]:
        """Return the tiles of one sheet, "image height width channel"."""
        if (sheet, mode) not in self._decoded:
            self._decoded[sheet, mode] = self._decode(sheet, mode)
        return self._decoded[sheet, mode]

    def _decode(self, sheet: int, mode: Mode) -> npt.NDArray[np.uint8]:
        picture = self._sheets.read(sheet, mode)
        (height, width, channel), tile = picture.shape, self._tile
        if height % tile or width % tile:
            raise FileFormatError(
                f"{self._sheets.name}, sheet {sheet}: expected a multiple of {tile} x {tile} "
                f"pixels, got {height} x {width}. Give the size of the tiles."
            )
        rows, columns = height // tile, width // tile
        grid = picture.reshape(rows, tile, columns, tile, channel)
        return grid.transpose(0, 2, 1, 3, 4).reshape(rows * columns, tile, tile, channel)
