# SPDX-License-Identifier: Apache-2.0
"""An edited file works or is refused in our words; it never crashes, leaks or runs away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_edited_files_work_or_are_refused() -> None:
    """Each edit is opened in a child process with a bound on its memory.

    ``python -m tests.fuzz.run --seconds 600`` does the same for ten minutes.
    """
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "--edits", "60", "--seed", "0"],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("60 edits")
