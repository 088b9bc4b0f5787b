"""However processes end, and in whatever order, they print nothing on stderr, and the last user removes the segment."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from pathlib import Path

import pytest
from processes.programs import Program, path_of

from sharedkit import segments
from sharedkit import shm as sk

STRUCTURES = """
    import os, signal, sys
    from sharedkit import shm as sk
    things = [sk.Queue(5), sk.Counter(7), sk.Counters(["a", "b"]), sk.Counter(1, striped=True)]
    things[0].put("item")
    print(*(thing.name for thing in things), flush=True)
"""

ENDS = {
    "falls off the end": ("", 0, ""),
    "sys.exit": ("sys.exit(0)", 0, ""),
    "sys.exit with a status": ("sys.exit(3)", 3, ""),
    "an exception": ("raise LookupError('as it should')", 1, "LookupError: as it should"),
    "sys.exit from a thread's join": (
        "import threading; t = threading.Thread(target=things[0].get); t.start(); t.join(); sys.exit(0)",
        0,
        "",
    ),
    "a daemon thread inside get": (
        "import threading; things[0].get(); threading.Thread(target=things[0].get, daemon=True).start(); sys.exit(0)",
        0,
        "",
    ),
}
SUDDEN = {
    "os._exit": ("os._exit(0)", 0),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "abort": ("os.abort()", -signal.SIGABRT),
}
CLOSING = {"with close": "for thing in things: thing.close()", "without close": ""}


def _dedented(*parts: str) -> str:
    return STRUCTURES + "".join(f"    {part}\n" for part in parts)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("closing", CLOSING)
def test_a_process_that_ends_by_itself_leaves_nothing_and_prints_nothing(end: str, closing: str) -> None:
    last, status, said = ENDS[end]
    if closing == "with close" and "get" in last:
        last = ""  # the queue that it would wait for is closed
    with Program(_dedented(CLOSING[closing], last)) as program:
        names = program.line().split()
        returned, _, err = program.result()
    left = [name for name in names if path_of(name).exists()]
    assert not left
    if last and said:
        assert err.strip().splitlines()[-1] == said
        assert err.count("Traceback") == 1
    else:
        assert err == ""
    assert returned == (status if last or status == 0 else 0)


@pytest.mark.parametrize("end", SUDDEN)
def test_the_next_use_sweeps_what_a_sudden_end_leaves(end: str) -> None:
    last, status = SUDDEN[end]
    with Program(_dedented(last)) as program:
        names = program.line().split()
        returned, _, err = program.result()
    assert (returned, err) == (status, "")
    segments.live()
    assert [name for name in names if path_of(name).exists()] == []


FAMILY = """
    import os, sys
    from sharedkit import shm as sk
    q = sk.Queue(5)
    q.put("item")
    def say(*words):
        os.write(1, (" ".join(words) + chr(10)).encode())
    say(q.name)
    role = "parent"
    if os.fork() == 0:
        role = "child"
        if os.fork() == 0:
            role = "grandchild"
    say(role)
    with open(os.path.join(sys.argv[1], role)) as gate:
        gate.read()
    q.put(role)
    say(role, "ends")
    {ending}
"""


@pytest.mark.parametrize("ending", ["q.close()", "sys.exit(0)", "pass"])
@pytest.mark.parametrize("order", list(itertools.permutations(["parent", "child", "grandchild"])), ids="-".join)
def test_a_family_may_end_in_any_order(order: tuple[str, ...], ending: str, tmp_path: Path) -> None:
    for role in order:
        os.mkfifo(tmp_path / role)
    with Program(FAMILY.format(ending=ending), tmp_path) as program:
        name = program.line()
        assert {program.line() for _ in order} == set(order)
        for role in order:
            assert path_of(name).exists()
            (tmp_path / role).write_text("")
            assert program.line() == f"{role} ends"
        _, _, err = program.result()
    assert err == ""
    assert not path_of(name).exists()


UNRELATED = """
    import sys
    from sharedkit import shm as sk
    q = {open}
    print("open", flush=True)
    sys.stdin.read()
    q.put(1)
    {ending}
"""


@pytest.mark.parametrize(
    ("order", "ending"),
    list(zip(itertools.permutations(range(3)), itertools.cycle(["q.close()", "sys.exit(0)", "pass"]))),
    ids=str,
)
def test_unrelated_programs_may_end_in_any_order(order: tuple[int, ...], ending: str) -> None:
    name = f"unrelated-{os.getpid()}"
    ways = [f"sk.Queue(5, name={name!r})", f"sk.attach({name!r})", f"sk.Queue(5, name={name!r}, exist_ok=True)"]
    with contextlib.ExitStack() as stack:
        programs = []
        for way in ways:
            programs.append(stack.enter_context(Program(UNRELATED.format(open=way, ending=ending))))
            assert programs[-1].line() == "open"
        for i, each in enumerate(order):
            with sk.attach(name) as queue:
                assert queue.qsize() == i
            programs[each].close_stdin()
            assert programs[each].result() == (0, "", "")
    assert not path_of(name).exists()


CHILDREN = """
    import multiprocessing as mp, sys
    from sharedkit import shm as sk

    def work(q, c, name):
        q.put(name)
        c.add(1)
        if {closes}:
            q.close(); c.close()

    if __name__ == "__main__":
        context = mp.get_context({method!r})
        q, c = sk.Queue(10), sk.Counter()
        print(q.name, c.name, flush=True)
        children = [context.Process(target=work, args=(q, c, i)) for i in range(2)]
        for child in children:
            child.start()
        got = sorted(q.get(timeout=50) for _ in children)
        if {joins}:
            for child in children:
                child.join()
            print(c.value)
        if {closes}:
            q.close(); c.close()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("closes", [True, False], ids=["with close", "without close"])
@pytest.mark.parametrize("joins", [True, False], ids=["joined", "not joined"])
def test_children_of_each_kind_leave_nothing_and_print_nothing(
    method: str, closes: bool, joins: bool, tmp_path: Path
) -> None:
    with Program(CHILDREN.format(method=method, closes=closes, joins=joins), folder=tmp_path) as program:
        names = program.line().split()
        status, out, err = program.result()
    assert (status, err) == (0, "")
    assert out == ("2\n" if joins else "")
    assert [name for name in names if path_of(name).exists()] == []
