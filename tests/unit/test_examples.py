"""The examples, and the Python blocks of the README and of the page on event loops, run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCKS = [
    block
    for page in ("README.md", "docs/asyncio.md")
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
