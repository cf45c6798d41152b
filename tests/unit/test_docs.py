# SPDX-License-Identifier: Apache-2.0
"""What the documents show is what the code does."""

import re
from pathlib import Path

import pytest
from safetensors.torch import save_file

from spikewright.graph import support_table
from spikewright.methods.page import methods_page
from spikewright.models import digits_cnn

ROOT = Path(__file__).resolve().parents[2]


def test_the_support_page_is_the_support_table() -> None:
    assert support_table() in (ROOT / "docs" / "support.md").read_text(encoding="utf-8")


def test_the_methods_page_is_made_of_the_docstrings() -> None:
    assert methods_page() in (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")


def test_the_python_of_the_readme_works_when_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "spikewright-demo").mkdir()
    save_file(digits_cnn().state_dict(), tmp_path / "spikewright-demo" / "digits.safetensors")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert "agree" in capsys.readouterr().out
    assert (tmp_path / "snn.safetensors").is_file()


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
