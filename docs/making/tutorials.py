# SPDX-License-Identifier: Apache-2.0
"""Tutorials are scripts; their pages are made from them, with what they really printed.

A script is cut at lines that start with ``# %%``. ``# %% [markdown]`` starts text, written as
comments; the docstring is the text on top. What each piece of code prints is kept beside the
script, in a file of the same name that ends in ``.txt``, and the tests compare it with a run:

    python docs/making/tutorials.py            # runs all of them and writes what they print
    python docs/making/tutorials.py own_model  # one of them

MkDocs loads this file as a hook: it adds a page ``tutorials/NAME.md`` for each script, and makes
links to scripts lead there. In the repository the same links lead to the scripts.
"""

import ast
import contextlib
import io
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "Cell", "cells", "markdown", "printed", "run"]

FOLDER = Path(__file__).resolve().parents[1] / "tutorials"
_CUT = "# %%"
_TEXT = "# %% [markdown]"
_MARK = "%% "


@dataclass(frozen=True)
class Cell:
    """A piece of a script.

    Attributes:
        is_text: Whether it is text; else it is code.
        body: Markdown or Python.
        line: Its first line in the file, counted from 0.
    """

    is_text: bool
    body: str
    line: int


def cells(script: Path) -> list[Cell]:
    """Cut a script into text and code; its docstring comes first."""
    source = script.read_text(encoding="utf-8")
    title, _, rest = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
    found = [Cell(True, f"# {title.rstrip('.')}\n{rest}", 0)]
    lines = source.splitlines()
    cuts = [i for i, line in enumerate(lines) if line.startswith(_CUT)]
    for start, stop in zip(cuts, [*cuts[1:], len(lines)], strict=True):
        body = lines[start + 1 : stop]
        if lines[start] == _TEXT:
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body)
            found.append(Cell(True, text.strip(), start + 1))
        else:
            found.append(Cell(False, "\n".join(body).strip("\n"), start + 1))
    return found


def run(script: Path, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Run a script in a folder, as ``python SCRIPT`` would.

    Args:
        script: The file.
        folder: Where its files go.

    Returns:
        What each piece of code printed, and the script's variables.
    """
    given: dict[str, Any] = {"__name__": "__main__", "__file__": str(script)}
    outputs = []
    with contextlib.chdir(folder):
        for cell in cells(script):
            if not cell.is_text:
                code = compile("\n" * cell.line + cell.body, str(script), "exec")
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(code, given)
                outputs.append(out.getvalue().rstrip())
    return outputs, given


def printed(script: Path) -> list[str]:
    """Return what is kept of what each piece of code printed; empty where nothing is kept."""
    kept = script.with_suffix(".txt")
    if not kept.is_file():
        return []
    pieces = re.split(rf"^{_MARK}\d+\n", kept.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [piece.rstrip() for piece in pieces[1:]]


def markdown(script: Path) -> str:
    """Return the page of a script: its text, its code, and what the code printed."""
    blocks, outputs = [], iter(printed(script))
    for cell in cells(script):
        if cell.is_text:
            blocks.append(cell.body)
            continue
        blocks.append(f"```python\n{cell.body}\n```")
        if output := next(outputs, ""):
            blocks.append(f"```{{.text .output}}\n{output}\n```")
    name = script.name
    blocks.append(
        f'<small>This page is <a href="{name}">docs/tutorials/{name}</a>. Run it with '
        f"`python docs/tutorials/{name}`; the tests do, and compare what it prints.</small>"
    )
    return "\n\n".join(blocks) + "\n"


def on_files(files: Any, config: Any) -> Any:  # noqa: ANN401 - MkDocs' own types
    """Add a page for each script."""
    from mkdocs.structure.files import File

    for script in sorted(FOLDER.glob("*.py")):
        page = File.generated(config, f"tutorials/{script.stem}.md", content=markdown(script))
        files.append(page)
    return files


def on_page_markdown(text: str, page: Any, **_: Any) -> str:  # noqa: ANN401 - MkDocs' own types
    """Make links to scripts lead to their pages, and room for code side by side."""
    if "side-by-side" in text:
        page.meta.setdefault("hide", ["toc"])
    return re.sub(r"\]\(((?:\.\./|tutorials/)*\w+)\.py(#[\w-]+)?\)", r"](\1.md\2)", text)


def _write(script: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outputs, _ = run(script, Path(folder))
    text = "".join(f"{_MARK}{i}\n{output}\n" for i, output in enumerate(outputs, start=1))
    script.with_suffix(".txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.py")):
        print(f"{name} ...", flush=True)
        _write(FOLDER / f"{name}.py")
