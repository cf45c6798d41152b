# SPDX-License-Identifier: Apache-2.0
"""Exported programs (``.pt2``), opened only if they hold no pickled objects and no compiled code.

``torch.export.load`` unpickles parts of the archive without limits. An ordinary program needs none
of that, so this module looks at the archive first and refuses one that does. The graph in it is
still text that torch turns into Python: open programs of strangers as you would run their code.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from spikewright.errors import FileFormatError

__all__ = ["load_exported"]

# What an archive of plain tensors holds, as paths below its top folder.
_PLAIN = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)|extra/.*"
    r"|models/model\.json"
    r"|data/(weights|constants)/model_(weights|constants)_config\.json"
    r"|data/weights/weight_\d+|data/constants/tensor_\d+"
    r"|data/sample_inputs/model\.pt"
)


def load_exported(path: str | Path) -> nn.Module:
    """Load the network of an exported program.

    Args:
        path: A file that ``torch.export.save`` of this torch version wrote. Export in eval mode,
            and with a free batch size: ``torch.export.export(model.eval(), (example,),
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))``.

    Returns:
        The network. It takes the batch sizes and runs in the mode it was exported with; torch
        refuses ``train`` and ``eval`` on it, and its ``training`` flags are off.

    Raises:
        FileFormatError: If the file is missing, damaged, not an exported program, or holds pickled
            objects or compiled code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path}: expected an exported program, got no file. Check the path.")
    content = path.read_bytes()  # once, so that what is checked is what is loaded
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            refusal = next(_refusals(archive), None)
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise _unreadable(path, error) from error
    if refusal:
        raise FileFormatError(
            f"{path.name}: expected an exported program of plain tensors, got one with {refusal}. "
            "Nothing in it was executed. Export the network again: "
            "torch.export.save(torch.export.export(model.eval(), (example,)), ...)."
        )
    try:
        network: nn.Module = torch.export.load(io.BytesIO(content)).module()
    except Exception as error:  # torch's reader has no error type of its own
        raise _unreadable(path, error) from error
    for module in network.modules():
        module.training = False
    return network


def _refusals(archive: zipfile.ZipFile) -> Iterator[str]:
    """Yield each thing in the archive that a program of plain tensors does not hold."""
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        yield "compressed parts, which torch does not write"
    entries = archive.namelist()
    if len({entry.partition("/")[0] for entry in entries}) != 1 or len(set(entries)) < len(entries):
        yield "more than one top folder, or two entries of one name"
    names = {entry.partition("/")[2]: entry for entry in entries}
    yield from (f"the entry {name!r}" for name in names if not _PLAIN.fullmatch(name))
    if "models/model.json" not in names:
        yield "no entry 'models/model.json'"
    for name, entry in names.items():
        if name.endswith("_config.json"):
            tensors = json.loads(archive.read(entry))["config"].items()
            yield from (
                f"the pickled tensor {key!r}" for key, meta in tensors if meta["use_pickle"]
            )
        elif name.endswith(".pt"):
            try:
                torch.load(io.BytesIO(archive.read(entry)), weights_only=True)
            except Exception:  # damaged or hostile: refused either way
                yield "pickled example inputs that are more than tensors"


def _unreadable(path: Path, error: Exception) -> FileFormatError:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return FileFormatError(
        f"{path.name}: expected an exported program, got a file that cannot be read ({reason}). "
        "It may be truncated, or of another torch version: export the network again."
    )
