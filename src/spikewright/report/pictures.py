# SPDX-License-Identifier: Apache-2.0
"""Inputs as pictures that a page can hold: PNG (ISO/IEC 15948) or JPEG in an address."""

import base64
import struct
import zlib

from spikewright.errors import FileFormatError
from spikewright.evaluation.rasters import Picture

__all__ = ["data_uri"]

_GREY, _RGB = 0, 2
_JPEG = b"\xff\xd8\xff"


def data_uri(picture: Picture) -> str:
    """Return a picture as ``data:image/png;base64,…``, or ``jpeg`` if it is such a file.

    Args:
        picture: The picture.

    Raises:
        FileFormatError: If it does not hold as many bytes as its size says.

    Example:
        >>> data_uri(Picture(1, 1, 1, "/w=="))[:30]
        'data:image/png;base64,iVBORw0K'
    """
    height, width, channels = picture.height, picture.width, picture.channels
    try:
        pixels = base64.b64decode(picture.data, validate=True)
    except ValueError as error:
        raise FileFormatError(f"picture: expected base64, got something else ({error}).") from error
    if picture.form == "jpeg":
        if not pixels.startswith(_JPEG):
            raise FileFormatError("picture: expected a JPEG file, got another. Measure again.")
        return f"data:image/jpeg;base64,{picture.data}"
    line = width * channels
    if channels not in (1, 3) or min(height, width) < 1 or len(pixels) != height * line:
        raise FileFormatError(
            f"picture: expected {height} x {width} pixels in {channels} channels, 1 or 3, got "
            f"{len(pixels):,} bytes. Measure again."
        )
    head = struct.pack(">2I5B", width, height, 8, _RGB if channels == 3 else _GREY, 0, 0, 0)
    rows = b"".join(b"\0" + pixels[y * line : (y + 1) * line] for y in range(height))
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
