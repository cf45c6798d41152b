# SPDX-License-Identifier: Apache-2.0
"""torch.export writes nothing to the terminal; a progress display goes on meanwhile."""

import logging
import sys
import threading
import time

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import UnsupportedModuleError
from spikewright.graph.quiet import muted
from tests.unit.cli.test_terminal import Screen


class Chooses(nn.Module):
    """Goes on with what is positive, as detectors do with scores."""

    def forward(self, x: Tensor) -> Tensor:
        chosen = x[x > 0]
        return chosen.relu() if chosen.sum() > 0 else x


def test_a_model_that_cannot_be_exported_gives_one_error_and_no_graph(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    x = torch.rand(2, 4)
    with pytest.raises(Exception, match=r"[Dd]ata.dependent"), torch.no_grad():
        torch.export.export(Chooses(), (x,), strict=False)
    assert "def forward" in capfd.readouterr().err  # torch alone shows its graph
    caplog.clear()
    with pytest.raises(UnsupportedModuleError, match="depends on data"):
        sw.inspect(Chooses(), x)
    shown = capfd.readouterr()
    assert (shown.out, shown.err, caplog.records) == ("", "", [])


def test_only_this_thread_and_this_library_are_muted(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def speak(who: str) -> None:
        sys.stdout.write(who + "\n")
        sys.stderr.write(who + "\n")
        logging.getLogger("noisy.part").error(who)
        logging.getLogger("other").error("other, %s", who)

    with muted("noisy"):
        speak("inside")
        thread = threading.Thread(target=speak, args=("beside",))
        thread.start()
        thread.join()
    speak("after")
    assert capsys.readouterr() == ("beside\nafter\n", "beside\nafter\n")
    told = [record.getMessage() for record in caplog.records]
    assert told == ["other, inside", "beside", "other, beside", "after", "other, after"]


class Slow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.5)
        sys.stderr.write("the model prints")
        out: Tensor = self.layer(x)
        return out.relu()


@pytest.mark.parametrize("progress", [True, False])
def test_capturing_is_shown_if_asked_for(progress: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    sw.inspect(Slow(), torch.rand(2, 4), progress=progress)
    shown = screen.getvalue()
    assert ("capturing the model" in shown) == progress
    assert shown.count("capturing the model") > 2 or not progress  # it moves meanwhile
    assert "the model prints" not in shown
