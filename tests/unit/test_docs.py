# SPDX-License-Identifier: Apache-2.0
"""What the documents show is what the code does."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import spikewright as sw
from spikewright.graph import support_table
from spikewright.methods.method_docs import methods_page
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
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "spikewright-demo").mkdir()
    save_file(digits_cnn().state_dict(), tmp_path / "spikewright-demo" / "digits.safetensors")
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "agree" in printed
    assert "From input to decision it takes 40 ticks" in printed
    assert (tmp_path / "snn.safetensors").is_file()


def test_the_python_of_the_training_page_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text("utf-8"), re.DOTALL
    )
    x = torch.rand(40, 1, 8, 8)
    given = {
        "model": torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3)
        ),
        "images": torch.utils.data.TensorDataset(x, torch.arange(40) % 3),
        "batches": [x],
        "batches_in_double": [x.double()],
    }
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "training.md", "exec"), given)
    snn, model = given["snn"], given["result"].model  # type: ignore[attr-defined]
    with torch.no_grad():
        wanted = model(x.double())
    torch.testing.assert_close(sw.simulate(snn, x.double()), wanted)
    assert any((tmp_path / "runs" / "mine-q8").iterdir())


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"
