"""A main program without `if __name__ == "__main__":` that its workers import: one error, and no second start."""

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
    placement = sk.get_context(sys.argv[4])
    with placement.Executor(workers, mp_context=multiprocessing.get_context(method)) as executor:
        print(list(executor.map(double, range(20))))
"""


def run(folder: Path, guard: str, method: str, placement: str = "shm") -> tuple[subprocess.CompletedProcess[str], int]:
    """The finished process, and how often the program was run or imported."""
    script, log = folder / "program.py", folder / "log"
    script.write_text(PROGRAM.format(guard=guard))
    done = subprocess.run(
        [sys.executable, str(script), str(log), method, str(WORKERS), placement],
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
    )
    return done, len(log.read_text().splitlines())


IMPORTING = [("shm", "spawn"), ("shm", "forkserver"), *(("manager", how) for how in ("spawn", "forkserver", "fork"))]


@pytest.mark.parametrize(("placement", "method"), IMPORTING)
def test_an_unguarded_program_ends_at_once_with_a_sentence_that_names_the_guard(
    tmp_path: Path, placement: str, method: str
) -> None:
    done, runs = run(tmp_path, "if True:", method, placement)
    assert done.returncode == 1 and done.stdout == ""
    assert 'under `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
    assert "ExecutorBroken" in done.stderr.splitlines()[-1]
    assert done.stderr.count("Traceback") == 1, done.stderr
    assert 2 <= runs <= 1 + WORKERS + 1  # the program itself, its workers, and a fork server, which imports it for all


SERVED_FIRST = """
import sharedkit as sk

def double(x):
    return 2 * x

context = sk.get_context("manager")
{before}
print(context.Executor({workers}).submit(double, 1).result())
"""


@pytest.mark.parametrize("before", ["queue = context.Queue()", "sk.Executor(1).submit(double, 1)"])
def test_an_unguarded_program_that_makes_something_else_first_ends_so_too(tmp_path: Path, before: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(SERVED_FIRST.format(before=before, workers=WORKERS))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=WATCHDOG)
    assert done.returncode == 1 and done.stdout == ""
    assert 'under `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
    assert "ExecutorBroken" in done.stderr.splitlines()[-1]


def test_an_exit_in_an_initializer_is_not_taken_for_a_missing_guard(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("""
import sharedkit as sk

if __name__ == "__main__":
    try:
        sk.get_context("manager").Executor(1, initializer=exit, initargs=(7,)).submit(int).result()
    except sk.ExecutorBroken as error:
        print(error)
""")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=WATCHDOG)
    assert done.stdout == "the initializer of worker 1 raised\n"


@pytest.mark.parametrize("placement", ["shm", "manager"])
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_guarded_program_works(tmp_path: Path, method: str, placement: str) -> None:
    done, _ = run(tmp_path, 'if __name__ == "__main__":', method, placement)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{[2 * i for i in range(20)]}\n"


def test_with_fork_no_guard_is_needed(tmp_path: Path) -> None:
    done, runs = run(tmp_path, "if True:", "fork")
    assert (done.returncode, done.stderr, runs) == (0, "", 1)
