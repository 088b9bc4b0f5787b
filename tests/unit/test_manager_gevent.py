"""Under gevent, waits let other greenlets run if everything was patched before sharedkit was imported; if not, an error
says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT

pytest.importorskip("gevent")

BEGIN = """
from gevent import monkey; monkey.patch_all()
import faulthandler, os, gevent, sharedkit as sk
faulthandler.dump_traceback_later(50, exit=True)
def until(condition):
    while not condition():
        gevent.sleep(0.001)
"""


def run(tmp_path: Path, program: str) -> str:
    path = tmp_path / "program.py"
    path.write_text(program)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=LIMIT)
    assert done.stderr == ""
    return done.stdout


def test_greenlets_wait_for_each_other_in_every_structure(tmp_path: Path) -> None:
    """Two greenlets do what the third waits for; a wait that blocked the thread would last for ever."""
    program = (
        BEGIN
        + """
with sk.get_context("manager") as ctx:
    q, lock, rlock, event, condition = ctx.Queue(1), ctx.Lock(), ctx.RLock(), ctx.Event(), ctx.Condition()
    semaphore, rw, barrier, count = ctx.BoundedSemaphore(1), ctx.RWLock(), ctx.Barrier(3), [0]

    getting = gevent.spawn(q.get)
    until(lambda: q.statistics().waiting_getters == 1)
    q.put("item")
    assert getting.get() == "item"

    def work(taken):
        for _ in range(10):
            with taken:
                n = count[0]
                gevent.sleep(0)
                count[0] = n + 1
    for taken in (lock, rlock, semaphore, rw.writer):
        count[0] = 0
        gevent.joinall([gevent.spawn(work, taken) for _ in range(5)], raise_error=True)
        assert count[0] == 50

    with rlock, rlock:
        assert gevent.spawn(rlock.acquire, timeout=0.01).get() is False

    def sleep():
        with condition:
            return condition.wait(40)
    sleeping = [gevent.spawn(sleep) for _ in range(3)]
    until(lambda: condition.statistics().waiting == 3)
    with condition:
        condition.notify_all()
    assert [each.get() for each in sleeping] == [True] * 3

    gevent.spawn(event.set)
    assert event.wait(40)
    meeting = [gevent.spawn(barrier.wait) for _ in range(3)]
    assert sorted(each.get() for each in meeting) == [0, 1, 2]

    large = os.urandom(1 << 24)
    putting = gevent.spawn(q.put, large)
    assert q.get() == large
    putting.get()

    try:
        with gevent.Timeout(0.01):
            q.get()
    except gevent.Timeout:
        assert q.statistics().waiting_getters == 0
    q.put(1)
    assert q.get(timeout=40) == 1
print("done")
"""
    )
    assert run(tmp_path, program) == "done\n"


def test_a_served_executor_and_a_fork(tmp_path: Path) -> None:
    program = (
        BEGIN
        + """
if __name__ == "__main__":
    with sk.get_context("manager") as ctx:
        counter = ctx.Counter()
        with ctx.Executor(1) as executor:
            assert list(executor.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]
        pid = os.fork()
        if not pid:
            os._exit(counter.add(3))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        assert counter.add() == 4
    print("done")
"""
    )
    assert run(tmp_path, program) == "done\n"


@pytest.mark.parametrize("patch", ["patch_all()", "patch_socket()", "patch_thread()"])
def test_a_program_that_is_patched_too_late_is_told_what_to_do(tmp_path: Path, patch: str) -> None:
    program = f"""
import sharedkit as sk
from gevent import monkey; monkey.{patch}
try:
    sk.get_context("manager").Counter()
except RuntimeError as error:
    print(error)
"""
    assert "call gevent.monkey.patch_all() before anything else is imported" in run(tmp_path, program)
