"""How the tests run an application: as a user does, or by a few lines of a program that imports it.

Either way it ends by itself, with status 0, and says nothing on stderr that is not expected.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conformance.watchdog import LIMIT

TESTS = Path(__file__).parents[1]
APPLICATIONS = TESTS.parent / "examples" / "applications"

start_methods = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


def application(name: str, *arguments: object, folder: str, drawn: str = "") -> str:
    """What the application prints; its segments are in the folder. `drawn` is in the last line that a bar drew."""
    return _run(str(APPLICATIONS / f"{name}.py"), *map(str, arguments), folder=folder, drawn=drawn)


def program(source: str, *arguments: object, folder: str) -> str:
    """What a program prints that may import the applications by name; its segments are in the folder."""
    return _run("-c", textwrap.dedent(source), *map(str, arguments), folder=folder)


def _run(*arguments: str, folder: str, drawn: str = "") -> str:
    path = os.pathsep.join([str(APPLICATIONS), str(TESTS)])
    with subprocess.Popen(
        [sys.executable, *arguments], env={**os.environ, "SHAREDKIT_DIR": folder, "PYTHONPATH": path}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as running:  # fmt: skip
        try:
            out, err = running.communicate(timeout=LIMIT)
        finally:
            with contextlib.suppress(ProcessLookupError):  # whatever it has started ends with it
                os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 0, f"{running.returncode}: {out}{err}"
    assert drawn in err.rpartition("\r")[2] if drawn else not err, err
    return out.strip()
