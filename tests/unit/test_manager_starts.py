"""How a server that belongs to a program comes about and goes, whatever befalls the program meanwhile."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT

import sharedkit as sk
from sharedkit.manager import placement


def servers() -> set[int]:
    """The process ids of this process's servers, and of what else multiprocessing has spawned."""
    children: set[int] = set()
    for each in Path("/proc/self/task").iterdir():
        children |= set(map(int, (each / "children").read_text().split()))
    return {pid for pid in children if b"--multiprocessing-fork" in _arguments(pid)}


def _arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def run(program: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`program` as a file in a folder beside `cwd`."""
    folder = cwd.parent / "program"
    folder.mkdir()
    (folder / "main.py").write_text(program)
    return subprocess.run(
        [sys.executable, str(folder / "main.py")],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**os.environ, **environment},
    )


class Interrupted(Exception):
    pass


def test_ctrl_c_while_a_server_starts_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise Interrupted

    context: Any = sk.get_context("manager")
    before = servers()
    with monkeypatch.context() as patch:
        patch.setattr(placement, "pickle", SimpleNamespace(dumps=pickle.dumps, load=interrupt))
        with pytest.raises(Interrupted):
            context.Counter()
        assert servers() == before
    with context:
        assert context.Counter(3).value == 3
    assert servers() == before


def test_a_file_where_the_program_runs_is_no_module_of_the_server(tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    (where / "resource.py").write_text("raise SystemExit('a file of the user ran')")
    done = run("import sharedkit as sk\nwith sk.get_context('manager') as c: print(c.Counter().add())\n", where)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_what_is_printed_when_a_server_starts_comes_out_where_the_program_prints(tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    program = (
        "import os, sys, sharedkit as sk\n"
        "with open(os.path.join(os.environ['PYTHONPATH'], 'sitecustomize.py'), 'w') as file:\n"
        "    file.write('print(\"imported\", flush=True)')\n"
        "with sk.get_context('manager') as ctx: print(ctx.Counter().add())\n"
    )
    done = run(program, where, PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.stderr) == ("imported\n1\n", "")


def test_modules_of_where_the_program_runs_are_found_where_the_program_finds_them(tmp_path: Path) -> None:
    (tmp_path / "keys.py").write_text("class Key(tuple): pass\n")
    program = (
        "import keys, sharedkit as sk\n"
        "with sk.get_context('manager') as ctx:\n"
        "    d = ctx.Dict()\n"
        "    d[keys.Key((1,))] = 2\n"
        "    print(d.as_dict())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert (done.stdout, done.stderr) == ("{(1,): 2}\n", "")


@pytest.mark.parametrize("what", ["ctx.Queue().get()", "while True: ctx.Counter()"], ids=["waits", "calls"])
def test_a_daemon_thread_at_the_end_of_the_program_says_nothing(tmp_path: Path, what: str) -> None:
    program = (
        "import sharedkit as sk, threading\n"
        "ctx = sk.get_context('manager')\n"
        "began = ctx.Event()\n"
        "def work():\n"
        "    began.set()\n"
        f"    {what}\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "began.wait()\n"
    )
    where = tmp_path / "where"
    where.mkdir()
    for _ in range(3):
        done = run(program, where)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        (tmp_path / "program" / "main.py").unlink()
        (tmp_path / "program").rmdir()


def test_the_child_of_a_fork_starts_a_server_of_its_own_while_another_thread_starts_one() -> None:
    context: Any = sk.get_context("manager")
    starting, forked = threading.Event(), threading.Event()
    start = context.server._start

    def slowly() -> None:
        starting.set()
        forked.wait(LIMIT)
        start()

    context.server._start = slowly
    other = threading.Thread(target=context.Counter)
    other.start()
    starting.wait(LIMIT)
    context.server._start = start
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, LIMIT / 4)
        try:
            os._exit(context.Counter(6).add(1))
        finally:
            os._exit(1)
    forked.set()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    other.join(LIMIT)
    context.close()
