"""Programs that end while their daemon threads work: none hangs, crashes, prints, or leaves a segment.

`EXITS=200` runs 200 programs of each kind.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from exits import KINDS, LIMIT

from sharedkit.compare.machine import gil_enabled

PROGRAM = Path(__file__).with_name("exits.py")
EXITS = int(os.environ.get("EXITS", "2" if gil_enabled() else "4"))


@pytest.mark.parametrize("placement", ["thread", "shm", "manager"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_program_ends_whatever_its_daemon_threads_do(kind: str, placement: str, tmp_path: Path) -> None:
    for number in range(EXITS):
        done = subprocess.run(
            [sys.executable, str(PROGRAM), kind, placement, str(number)],
            capture_output=True, text=True, timeout=2 * LIMIT, env={**os.environ, "SHAREDKIT_DIR": str(tmp_path)},
        )  # fmt: skip
        assert (number, done.returncode, done.stdout, done.stderr) == (number, 0, "", "")
        assert [path.name for path in tmp_path.iterdir()] == [], number
