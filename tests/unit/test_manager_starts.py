"""How a program starts its server and ends it, whatever happens to the program meanwhile."""

from __future__ import annotations

import contextlib
import multiprocessing.spawn
import os
import pickle
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, until

import sharedkit as sk
from sharedkit._core.process_start import begun, has_ended
from sharedkit.manager import placement


def servers() -> set[int]:
    """The process ids of the servers of this process, and of other processes that multiprocessing has spawned."""
    children: set[int] = set()
    for each in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the thread has ended
            children |= set(map(int, (each / "children").read_text().split()))
    return {pid for pid in children if b"--multiprocessing-fork" in _arguments(pid)}


def _arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def run(program: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `program`, a file in a folder beside `cwd`."""
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


def test_a_file_in_the_working_directory_is_no_module_of_the_server(tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    (where / "resource.py").write_text("raise SystemExit('a file of the user ran')")
    done = run("import sharedkit as sk\nwith sk.get_context('manager') as c: print(c.Counter().add())\n", where)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_output_of_the_servers_start_appears_in_the_programs_output(tmp_path: Path) -> None:
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


def test_the_server_finds_modules_of_the_working_directory_if_the_program_does(tmp_path: Path) -> None:
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
def test_a_daemon_thread_at_the_end_of_the_program_prints_nothing(tmp_path: Path, what: str) -> None:
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


# --- multiprocessing's own executable and command line


def write_program(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path


FROZEN = """
import multiprocessing, sys
sys.frozen, sys.executable = True, __file__
with open(sys.argv[0] + ".log", "a") as file:
    file.write("started\\n")
{freeze}
import sharedkit as sk
if __name__ == "__main__":
    try:
        with sk.get_context("manager") as ctx:
            print(ctx.Counter(4).add())
    except (RuntimeError, sk.ServerGoneError) as error:
        print(type(error).__name__, error)
"""


def run_frozen(tmp_path: Path, freeze: str) -> tuple[str, str, int]:
    """The output of a program that pretends to be frozen, and how often it was started. Its `freeze_support` does what
    PyInstaller's does on Linux; Python's own does nothing there."""
    program = write_program(tmp_path / "application", FROZEN.format(freeze=freeze))
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=LIMIT)
    log = tmp_path / "application.log"
    return done.stdout, done.stderr, log.read_text().count("started")


def test_a_frozen_program_starts_itself_once_more_as_server(tmp_path: Path) -> None:
    freeze = "import multiprocessing.spawn; multiprocessing.spawn.freeze_support()"
    assert run_frozen(tmp_path, freeze) == ("5\n", "", 2)


def test_a_frozen_program_without_freeze_support_gets_an_error_and_does_not_start_itself_again(tmp_path: Path) -> None:
    """The child runs the program again and refuses to start a server; so the parent refuses too."""
    out, _, times = run_frozen(tmp_path, "")
    assert times == 2
    assert "must call multiprocessing.freeze_support() first of all in its main module" in out


def test_the_server_runs_in_the_executable_of_multiprocessing(tmp_path: Path) -> None:
    """In a program that embeds Python, `sys.executable` is that program; `set_executable` gives the Python to use."""
    application = tmp_path / "application"
    application.write_text(f"#!/bin/sh\necho started >> {tmp_path / 'log'}\n")
    application.chmod(0o755)
    program = (
        "import multiprocessing, sys, sharedkit as sk\n"
        f"real, sys.executable = sys.executable, {str(application)!r}\n"
        "multiprocessing.set_executable(real)\n"
        "with sk.get_context('manager') as ctx: print(ctx.Counter().add())\n"
    )
    where = tmp_path / "where"
    where.mkdir()
    done = run(program, where)
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert not (tmp_path / "log").exists()


def test_without_an_executable_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", None)
    context: Any = sk.get_context("manager")
    with pytest.raises(RuntimeError, match=r"multiprocessing\.set_executable"):
        context.Counter()


def test_an_executable_that_is_no_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application = tmp_path / "application"
    application.write_text("#!/bin/sh\nexit 3\n")
    application.chmod(0o755)
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(application))
    context: Any = sk.get_context("manager")
    with pytest.raises(sk.ServerGoneError, match=r"ended with 3 before it listened; it was started as '.*application'"):
        context.Counter()


def test_an_interpreter_that_does_not_exist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context: Any = sk.get_context("manager")
    (tmp_path / "text").write_text("no program")
    for name in (tmp_path / "missing", tmp_path / "text", tmp_path / "text" / "inside"):
        monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(name))
        with pytest.raises(RuntimeError, match=rf"'{name}'.*cannot be started.*multiprocessing\.set_executable"):
            context.Counter()


@pytest.mark.parametrize("argv", ["del sys.argv", "sys.argv = None", "sys.argv = [lambda: 0, 'x']"])
def test_an_embedded_program_may_have_no_arguments_or_odd_ones(argv: str, tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    program = (
        f"import sys, sharedkit as sk\n{argv}\n"
        "with sk.get_context('manager') as ctx, ctx.Executor(1) as executor:\n"
        "    print(ctx.Counter().add(), executor.submit(abs, -2).result())\n"
    )
    done = run(f"if __name__ == '__main__':\n    {program.replace(chr(10), chr(10) + '    ')}\n", where)
    assert (done.stdout, done.stderr) == ("1 2\n", "")


ENDS = {
    "stopped": "os.kill(ctx.server._process.pid, signal.SIGSTOP)",
    "ignored": "",
    "blocked": "",
}
BEFORE = {
    "stopped": "",
    "ignored": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
}


@pytest.mark.parametrize("leave", ["", "ctx.close()"], ids=["exit", "close"])
@pytest.mark.parametrize("what", ENDS)
def test_a_server_ends_with_its_owner_although_sigterm_does_not_end_it(what: str, leave: str, tmp_path: Path) -> None:
    """The server is stopped; or it ignores or blocks SIGTERM as its owner did (a program with `sigwait` blocks it)."""
    where = tmp_path / "where"
    where.mkdir()
    program = (
        f"import os, signal, sharedkit as sk\n{BEFORE[what]}\nctx = sk.get_context('manager')\n"
        f"assert ctx.Counter().add() == 1\nprint(ctx.server._process.pid, flush=True)\n{ENDS[what]}\n{leave}\n"
    )
    done = run(program, where)
    assert (done.returncode, done.stderr) == (0, "")
    assert not _arguments(int(done.stdout))


@pytest.mark.parametrize("what", ["ignored", "blocked"])
def test_sigterm_ends_a_server_although_its_owner_ignores_or_blocks_it(what: str, tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    program = (
        f"import os, signal, sharedkit as sk\n{BEFORE[what]}\nwith sk.get_context('manager') as ctx:\n"
        "    assert ctx.Counter().add() == 1\n    os.kill(ctx.server._process.pid, signal.SIGTERM)\n"
        "    print(ctx.server._process.wait())\n"
    )
    assert run(program, where).stdout == "-15\n"


def test_the_main_module_is_not_imported_again(tmp_path: Path) -> None:
    """Nor does a worker of the server's executor import it before it has a call; the server gets only its arguments."""
    where = tmp_path / "where"
    where.mkdir()
    program = "print('once', flush=True)\nimport sharedkit as sk\nctx = sk.get_context('manager')\nctx.Queue().put(1)\n"
    done = run(program, where)
    assert (done.stdout, done.stderr) == ("once\n", "")


def test_the_server_has_the_environment_of_the_program(tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    program = (
        "import os, sharedkit as sk\n"
        "if __name__ == '__main__':\n"
        "    with sk.get_context('manager') as ctx, ctx.Executor(1) as executor:\n"
        "        for name in ('PYTHONSAFEPATH', 'PYTHONPATH'):\n"
        "            assert executor.submit(os.getenv, name).result() == os.environ.get(name)\n"
    )
    done = run(program, where)
    assert (done.stdout, done.stderr) == ("", "")


# --- systems without pidfds

NO_PIDFD = """
import ctypes, errno, os, struct, sys
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 434), (6, 0, 0, 0x50000 | errno.{errno}), (6, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
class Program(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("at", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(rules), ctypes.addressof(code))), 0, 0) == 0
try:
    os.pidfd_open(os.getpid())
except OSError as error:
    assert error.errno == errno.{errno}
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="the number of pidfd_open is another there")
@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_without_pidfds_servers_and_executors_work_and_end_with_their_owner(tmp_path: Path, error: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        NO_PIDFD.format(errno=error)
        + """
import sharedkit as sk
if __name__ == "__main__":
    executor = sk.Executor(1)
    assert executor.submit(abs, -9).result() == 9
    worker = executor.submit(os.getpid).result()
    ctx = sk.get_context("manager")
    assert ctx.Counter().add() == 1
    with ctx.Executor(1) as served:
        assert served.submit(abs, -9).result() == 9
    print(ctx.server._process.pid, worker, flush=True)
    sys.stdin.read(1)
"""
    )
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pids = list(map(int, owner.stdout.readline().split()))
        assert len(pids) == 2
        owner.kill()
    until(lambda: not any(_arguments(pid) for pid in pids))


def test_the_owner_is_identified_by_its_start_time() -> None:
    """The pid of the owner alone would not do: another process may get it later."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert begun(os.getpid()) != begun(child.pid)
        assert begun(child.pid) == begun(child.pid) is not None
    finally:
        child.kill()
    until(lambda: begun(child.pid) is None)  # a zombie counts as ended
    child.communicate()
    assert begun(child.pid) is None
    for since, ended in ((begun(os.getpid()), False), ("another", True), ("", False), (None, True)):
        assert has_ended(os.getpid(), since) is ended
    assert has_ended(child.pid, "") and has_ended(child.pid, "any")


def test_a_process_without_a_free_descriptor_takes_no_living_process_for_ended(tmp_path: Path) -> None:
    where = tmp_path / "where"
    where.mkdir()
    program = (
        "import os, resource\nfrom sharedkit._core.process_start import begun, has_ended\n"
        "since = begun(os.getppid())\nresource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))\n"
        "print(since != '', has_ended(os.getppid(), since), has_ended(1 << 22, since))\n"
    )
    assert run(program, where).stdout == "True False True\n"
