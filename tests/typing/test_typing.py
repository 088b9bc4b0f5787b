"""mypy --strict accepts the package and programs that use it, and finds the mistakes in misuse.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="mypy is not installed")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def _mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=600, cwd=ROOT)


def test_the_package_and_the_examples_are_clean() -> None:
    done = _mypy("-p", "sharedkit")
    assert done.returncode == 0, done.stdout
    done = _mypy(str(HERE / "examples.py"), str(HERE / "placements.py"))
    assert done.returncode == 0, done.stdout


def test_each_mistake_is_found_and_nothing_else() -> None:
    lines = (HERE / "misuse.py").read_text().splitlines()
    expected = {
        (number, match[1])
        for number, line in enumerate(lines, 1)
        if (match := re.search(r"# expected: ([\w-]+)$", line))
    }
    done = _mypy(str(HERE / "misuse.py"))
    found = {
        (int(match[1]), match[2])
        for match in re.finditer(r"misuse\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    }
    assert found == expected, done.stdout


def test_the_examples_run() -> None:
    done = subprocess.run([sys.executable, str(HERE / "examples.py")], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
