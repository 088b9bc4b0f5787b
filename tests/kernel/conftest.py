"""Compiles the kernel programs, which takes one core a minute, while earlier tests run; most of those wait."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OUT = pytest.StashKey[Path]()
COMPILER = pytest.StashKey[tuple[int, int]]()  # its pid, which is that of its process group, and a descriptor of it
WATCHDOG = 600


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any("built" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly or not (shutil.which("make") and shutil.which("gcc")):
        return
    out = HERE / "build" if os.access(HERE, os.W_OK) else Path(tempfile.mkdtemp(prefix="kernels-"))
    out.mkdir(exist_ok=True)
    session.config.stash[OUT] = out
    if all(item.path.parent == HERE for item in session.items):
        return  # nothing runs before, and the fixture compiles on all cores
    # No child of this process: some tests wait for all children, or count them.
    command = 'setsid nice "$@" >/dev/null 2>&1 & echo $!'
    started = subprocess.run(
        ["sh", "-c", command, "sh", *_make(out, 1)], capture_output=True, text=True, check=True, timeout=WATCHDOG
    )
    pid = int(started.stdout)
    session.config.stash[COMPILER] = pid, os.pidfd_open(pid)


def pytest_unconfigure(config: pytest.Config) -> None:
    if COMPILER in config.stash:
        pid, descriptor = config.stash[COMPILER]
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, 0)  # it lives, so the group is still its own
            os.killpg(pid, signal.SIGKILL)
        os.close(descriptor)
    if config.stash.get(OUT, HERE / "build") != HERE / "build":
        shutil.rmtree(config.stash[OUT], ignore_errors=True)


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest) -> Path:
    """The folder with every header compiled by itself and every program of every kind, with -Wall -Wextra -Werror."""
    out = request.config.stash[OUT]
    made = subprocess.run(_make(out, 2), capture_output=True, text=True, timeout=WATCHDOG)
    assert made.returncode == 0, made.stderr
    return out


def _make(out: Path, jobs: int) -> list[str]:
    """One such command at a time: the second waits, finds what the first has made, and makes what is missing."""
    return ["flock", str(out / "lock"), "make", "-s", f"-j{jobs}", "-C", str(HERE), f"OUT={out}"]
