"""A main program without `if __name__ == "__main__":` whose workers import it: one error, and no second start."""

import subprocess
import sys
from pathlib import Path

import pytest

WATCHDOG = 300
WORKERS = 3

PROGRAM = """
import multiprocessing, sys
import sharedkit as sk

with open(sys.argv[1], "a") as runs:
    runs.write("run\\n")

def double(x):
    return 2 * x

{guard}
    method, workers = sys.argv[2], int(sys.argv[3])
    with sk.Executor(workers, mp_context=multiprocessing.get_context(method)) as executor:
        print(list(executor.map(double, range(20))))
"""


def run(folder: Path, guard: str, method: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """What came of it, and how often the program was run or imported."""
    script, log = folder / "program.py", folder / "log"
    script.write_text(PROGRAM.format(guard=guard))
    done = subprocess.run(
        [sys.executable, str(script), str(log), method, str(WORKERS)], capture_output=True, text=True, timeout=WATCHDOG
    )
    return done, len(log.read_text().splitlines())


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_an_unguarded_program_ends_at_once_with_a_sentence_that_names_the_guard(tmp_path: Path, method: str) -> None:
    done, runs = run(tmp_path, "if True:", method)
    assert done.returncode == 1 and done.stdout == ""
    assert 'under `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
    assert "ExecutorBroken" in done.stderr.splitlines()[-1]
    assert done.stderr.count("Traceback") == 1, done.stderr
    assert 2 <= runs <= 1 + WORKERS + 1  # itself, its workers, and a fork server that imports it for all


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_guarded_one_works(tmp_path: Path, method: str) -> None:
    done, _ = run(tmp_path, 'if __name__ == "__main__":', method)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{[2 * i for i in range(20)]}\n"


def test_by_fork_no_guard_is_needed(tmp_path: Path) -> None:
    done, runs = run(tmp_path, "if True:", "fork")
    assert (done.returncode, done.stderr, runs) == (0, "", 1)
