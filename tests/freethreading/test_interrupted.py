"""Signal handlers raise while threads use one object: nothing is left locked, lost or duplicated.

`HAMMER_SECONDS=60` sends 9,000 signals to each subject. With a GIL, which serializes most of it, the default is lower.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from interrupted import LIMIT, subjects

from sharedkit.compare.machine import gil_enabled

PROGRAM = Path(__file__).with_name("interrupted.py")
SECONDS = float(os.environ.get("HAMMER_SECONDS", "0.3" if gil_enabled() else "1"))
SIGNALS = int(150 * SECONDS)
# There a handler may raise between `__enter__` and the block, which no lock can notice: docs/pythons.md.
GAP = sys.version_info[:2] == (3, 14)
SUBJECTS = [(*subject, placement) for placement in ("thread", "shm") for subject in subjects(placement)]


@pytest.mark.parametrize(("work", "kind", "placement"), SUBJECTS)
def test_handlers_that_raise_leave_nothing_locked_lost_or_duplicated(work: str, kind: str, placement: str) -> None:
    if GAP and work in ("blocks", "notified"):
        pytest.skip("a block of `with` may be left before it begins")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), work, kind, placement, str(SIGNALS)],
        capture_output=True, text=True, timeout=2 * LIMIT + SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
