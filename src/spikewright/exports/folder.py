# SPDX-License-Identifier: Apache-2.0
"""A folder of files that is there as a whole or not at all, with the digest of every file."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from spikewright.errors import ConfigError, FileFormatError
from spikewright.integers.program import smallest

__all__ = ["MANIFEST", "new_folder", "write_json", "write_manifest", "write_tensors"]

MANIFEST = "manifest.json"


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a new folder to write to, which becomes ``path`` when the block ends without an error.

    Args:
        path: The folder; nothing may be there.

    Yields:
        A folder beside it. When an error ends the block it is removed.

    Raises:
        ConfigError: If there is something already, or no folder to put it in.
        FileFormatError: If writing fails with an OSError, as on a full disk.
    """
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{path}: exists already. Remove it, or choose another folder.")
    if not path.parent.is_dir():
        raise ConfigError(
            f"{path}: expected a folder {path.parent} to write to, got none. Make it first."
        )
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        temporary.mkdir()
        yield temporary
        temporary.rename(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileFormatError(
            f"{path}: could not be written ({reason}). Nothing was left behind."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON that people can read, too."""
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors; whole numbers in the smallest type that holds them."""
    save_file({n: t.detach().to("cpu", smallest(t)).contiguous() for n, t in tensors.items()}, path)


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write what a folder is, with the size and SHA-256 of every file in it.

    Returns:
        What was written.
    """
    files = {}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        files[path.name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = {**facts, "files": files}
    write_json(folder / MANIFEST, manifest)
    return manifest
