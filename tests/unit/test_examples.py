"""The examples, and the Python blocks of the README and of some pages, run as they are."""

import multiprocessing
import re
import subprocess
import sys
from multiprocessing.managers import SyncManager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCKS = [
    block
    for page in ("README.md", "docs/asyncio.md", "docs/from_multiprocessing.md")
    for block in re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
]
WATCHDOG = 120.0


def run(path, folder):
    done = subprocess.run([sys.executable, path], cwd=folder, capture_output=True, text=True, timeout=WATCHDOG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return done.stdout


def test_there_are_examples_and_blocks_to_run():
    assert len(EXAMPLES) >= 6
    assert BLOCKS


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_prints(path, tmp_path):
    assert run(path, tmp_path).strip()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_a_block_prints_what_its_comments_say(block, tmp_path):
    path = tmp_path / "block.py"
    path.write_text(block, encoding="utf-8")
    output = run(path, tmp_path).splitlines()
    promised = [said[1] for line in block.splitlines() if (said := re.search(r"print\(.*\)\s+# (.*)", line))]
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
