# SPDX-License-Identifier: Apache-2.0
"""Libraries that the contract tests take networks from."""

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from spikewright._vision import torchvision


@pytest.fixture
def library() -> Iterator[ModuleType]:
    """Hugging Face's networks; what some of them need for sound is not loaded."""
    torchvision()  # which it imports
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torchaudio", None)
        yield pytest.importorskip("transformers")
