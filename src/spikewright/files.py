# SPDX-License-Identifier: Apache-2.0
"""Writing files whole or not at all."""

import os
from pathlib import Path

from spikewright.errors import FileFormatError

__all__ = ["write"]


def write(path: Path, content: bytes | str) -> None:
    """Write a file; the old one, if any, is replaced only when the new one is whole.

    Args:
        path: The file.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        FileFormatError: If it cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except OSError as error:
        raise FileFormatError(
            f"{path}: could not be written ({error.strerror}). Nothing was left behind."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
