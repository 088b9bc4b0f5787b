"""The scripts of benchmarks/: --help prints what they say about themselves, and a wrong argument is refused."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if '__name__ == "__main__"' in path.read_text("utf-8")
)


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if script in ("redis_round_trips", "redis_data", "dask_calls") and find_spec("redis") is None:
        pytest.skip("redis-py is not installed")
    if script == "dask_calls" and find_spec("distributed") is None:
        pytest.skip("Dask is not installed")
    if script == "pictures" and find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{script}.py"), *arguments],
        capture_output=True, text=True, timeout=60, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_printed_and_nothing_is_measured(script: str) -> None:
    page = ast.get_docstring(ast.parse((ROOT / "benchmarks" / f"{script}.py").read_text("utf-8")))
    assert page is not None
    done = run(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert page.splitlines()[0] in done.stdout
    assert "benchmarks" in page


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unknown_option_is_refused_with_the_usage(script: str) -> None:
    done = run(script, "--nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(rf"^usage: .*{script}", done.stderr)


@pytest.mark.parametrize("script", ["fairness", "scaling"])
@pytest.mark.parametrize("bad", ["x", "0", "nan", "inf"])
def test_what_is_no_number_of_seconds_is_refused_with_the_usage(script: str, bad: str) -> None:
    done = run(script, bad)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
