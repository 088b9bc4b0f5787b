"""The examples, and every Python block of the README and of the pages, run as they are."""

import importlib.util
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
# A block that cannot run by itself has this line before it; few may, and each has its reason.
NOT_RUN = re.compile(r"<!-- not run: (.+) -->\n$")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a free-threaded Python may lack.
OPTIONAL = ("pandas", "polars", "pyarrow")
WATCHDOG = 120.0


class Block(NamedTuple):
    """A Python block of a page; `line` is the one after its fence, `reason` why it is not run, if it is not."""

    page: str
    line: int
    text: str
    reason: str | None


def blocks_of(page):
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        if found[1] == "python":
            reason = NOT_RUN.search(text, 0, found.start())
            line = text.count("\n", 0, found.start()) + 2
            yield Block(page.relative_to(ROOT).as_posix(), line, found[2], reason and reason[1])


ALL_BLOCKS = [block for page in PAGES for block in blocks_of(page)]
BLOCKS = [block for block in ALL_BLOCKS if block.reason is None]


def run(path, folder, **environment):
    done = subprocess.run(
        [sys.executable, path],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return done.stdout


@pytest.fixture
def segments():
    """A folder for the segments of one program, whose names then concern no other; the program leaves none there."""
    folder = tempfile.mkdtemp(prefix="sharedkit-docs-", dir="/dev/shm")
    yield folder
    left = os.listdir(folder)
    shutil.rmtree(folder)
    assert left == []


def test_there_are_examples_and_blocks_to_run():
    assert len(EXAMPLES) >= 6
    assert {"README.md", "docs/start.md", "docs/from_multiprocessing.md"} <= {block.page for block in BLOCKS}


def test_few_blocks_are_not_run():
    assert [(block.page, block.reason) for block in ALL_BLOCKS if block.reason is not None] == [
        ("docs/many_machines.md", "needs a Redis server and a Dask cluster"),
        ("docs/many_machines.md", "needs a Redis server and a Dask cluster"),
        ("docs/many_machines.md", "needs a Redis server and a Ray cluster"),
        ("docs/placements.md", "needs the server of the line above"),
        ("docs/placements.md", "needs a Redis server"),
        ("docs/progress.md", "tqdm is no dependency of the tests"),
        ("docs/web_servers.md", "starts a server that does not end"),
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_prints(path, tmp_path):
    assert run(path, tmp_path).strip()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_a_block_prints_what_its_comments_say(block, tmp_path, segments):
    for package in OPTIONAL:
        if re.search(rf"^import {package}\b", block.text, re.MULTILINE) and not importlib.util.find_spec(package):
            pytest.skip(f"without {package}")
    path = tmp_path / "block.py"
    path.write_text(block.text, encoding="utf-8")
    output = run(path, tmp_path, SHAREDKIT_DIR=segments).splitlines()
    promised = [
        said[1] for line in block.text.splitlines() if (said := re.search(r"^(?!\s*#).*print\(.*\)\s+# (.*)", line))
    ]
    assert output == promised or not promised


def test_the_page_from_multiprocessing_has_every_name_of_it():
    page = (ROOT / "docs" / "from_multiprocessing.md").read_text(encoding="utf-8")
    kept = {"allow_connection_pickling", "get_all_start_methods", "get_start_method", "get_logger", "log_to_stderr"}
    kept |= {"current_process", "set_executable", "set_forkserver_preload", "reducer"}
    errors = {name for name in multiprocessing.__all__ if name.endswith(("Error", "Short"))}
    names = {*multiprocessing.__all__, "SharedMemory", "ShareableList", "SharedMemoryManager", "BaseManager", "Pool"}
    names |= {name for name in dir(SyncManager) if name[0].isupper()} | {"dict", "list", "set"}
    missing = {name for name in names - kept - errors if not re.search(rf"\b{name}\b", page)}
    assert missing == set()
    for error in ("ProcessError", "TimeoutError", "AuthenticationError", "BufferTooShort"):
        assert error in errors
