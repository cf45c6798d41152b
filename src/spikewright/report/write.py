# SPDX-License-Identifier: Apache-2.0
"""Reports as files; the ending of the name says which form."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spikewright import files
from spikewright.energy.energy_model import choose_models
from spikewright.errors import ConfigError
from spikewright.report.content import Content, content
from spikewright.report.data import to_csv, to_json
from spikewright.report.markdown import markdown
from spikewright.report.page import page
from spikewright.report.read import Reportable, measured_of, read

__all__ = ["form_of", "write_report"]

_FORMS: Mapping[str, Callable[[Content], str]] = MappingProxyType(
    {".html": page, ".md": markdown, ".json": to_json, ".csv": to_csv}
)


def form_of(output: Path) -> Callable[[Content], str]:
    """Return what writes a report into such a file.

    Raises:
        ConfigError: If there is no form for the ending of its name.
    """
    if output.suffix not in _FORMS:
        raise ConfigError(
            f"{output}: expected a name that ends in {', '.join(_FORMS)}. Choose one."
        )
    return _FORMS[output.suffix]


def write_report(
    found: Reportable | str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    energy: str | Sequence[str] | None = None,
    data: Mapping[str, Any] | None = None,
) -> tuple[str, str, str]:
    """Write what was measured as a page people look at, or as data; an old file is replaced.

    Args:
        found: What :func:`spikewright.evaluate` or :func:`spikewright.compare` returned, or the
            file or files that the commands of these names wrote; several are compared.
        output: The file: .html (one page that needs nothing else), .md, .json or .csv.
        energy: Energy models by name or file; default: all built-in ones.
        data: What is known of the inputs, for the record: a name, how images became inputs. Files
            say it themselves.

    Returns:
        The verdict: accuracy, energy and latency, a sentence each.

    Raises:
        ConfigError: If nothing can be made of the file name, work was not counted, results cannot
            be compared, or jinja2 and matplotlib are missing.
        FileFormatError: If a file is no result, or the report cannot be written.
        UnknownNameError: If an energy model is not known.
    """
    path = Path(output)
    form = form_of(path)
    models = choose_models([energy] if isinstance(energy, str) else energy)
    if isinstance(found, str | Path):
        measured = read([Path(found)])
    elif isinstance(found, Reportable):
        measured = measured_of(found, data)
    elif isinstance(found, Sequence) and all(isinstance(each, str | Path) for each in found):
        measured = read([Path(each) for each in found])
    else:
        raise ConfigError(
            f"write_report: expected a result, a comparison, or files of them, got {found!r:.60}. "
            "Several results are compared as files: result.to_json()."
        )
    said = content(measured, models)
    files.write(path, form(said))
    return said.verdict
