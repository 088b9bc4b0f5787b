"""Compiles the kernel programs in the background, while earlier tests run, which mostly wait: a minute of one core."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OUT = pytest.StashKey[Path]()
COMPILER = pytest.StashKey["subprocess.Popen[str]"]()
WATCHDOG = 600


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any("built" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly or not (shutil.which("make") and shutil.which("gcc")):
        return
    out = HERE / "build" if os.access(HERE, os.W_OK) else Path(tempfile.mkdtemp(prefix="kernels-"))
    jobs = 2 if all(item.path.parent == HERE for item in session.items) else 1
    session.config.stash[OUT] = out
    session.config.stash[COMPILER] = subprocess.Popen(
        ["nice", "make", "-s", f"-j{jobs}", "-C", str(HERE), f"OUT={out}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def pytest_unconfigure(config: pytest.Config) -> None:
    compiler = config.stash.get(COMPILER, None)
    if compiler is not None and compiler.poll() is None:
        os.killpg(compiler.pid, signal.SIGKILL)  # the compiler was not reaped, so its group is still ours
        compiler.communicate()
    if config.stash.get(OUT, HERE / "build") != HERE / "build":
        shutil.rmtree(config.stash[OUT], ignore_errors=True)


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest) -> Path:
    """Return the folder with every header and every program of every kind, compiled with -Wall -Wextra -Werror."""
    compiler = request.config.stash[COMPILER]
    _, errors = compiler.communicate(timeout=WATCHDOG)
    assert compiler.returncode == 0, errors
    return request.config.stash[OUT]
