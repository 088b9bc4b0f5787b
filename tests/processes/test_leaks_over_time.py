"""Thousands of handles made and closed, scores of process groups killed: no file, descriptor or mapping remains."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes.programs import Program, await_that, path_of

from sharedkit import segments
from sharedkit import shm as sk

GROUP = """
    import os, sys, threading
    from sharedkit import shm as sk

    def busy(q, c, a, d):
        while True:
            q.put(b"x" * 1000)
            d[c.add(1) % 1000] = "value" * 20
            with a.lock:
                a.fetch_add(0, 1)
            q.get()

    for line in sys.stdin:  # a round
        ready, told = os.pipe()
        group = os.fork()
        if group == 0:
            os.setsid()
            q, c, g, a, d = sk.Queue(50), sk.Counter(), sk.Counters(["a"]), sk.Array(100), sk.Dict()
            os.write(told, f"{q.name} {c.name} {g.name} {a.name} {d.name}\\n".encode())
            if os.fork() == 0:
                if os.fork() == 0:
                    os.write(told, b".")
                    busy(q, c, a, d)
                os.write(told, b".")
                busy(q, c, a, d)
            os.write(told, b".")
            busy(q, c, a, d)
        os.close(told)
        said = b""
        while said.count(b".") < 3:
            more = os.read(ready, 1000)
            assert more
            said += more
        os.killpg(group, 9)
        os.waitpid(group, 0)
        os.close(ready)
        print(said.replace(b".", b"").decode().strip(), flush=True)
"""


def test_the_next_use_sweeps_what_killed_process_groups_leave() -> None:
    left: list[str] = []
    with Program(GROUP) as program:
        for _ in range(50):
            program.tell("go")
            names = program.line().split()
            assert len(names) == 5
            _await_nobody(names)
            left += [name for name in names if path_of(name).exists()]
        program.close_stdin()
        assert program.result()[2] == ""
    assert left == []


def _await_nobody(names: list[str]) -> None:
    """Wait for the end of the whole killed group, of which only the first was reaped; `live` sweeps the segments."""
    await_that(lambda: not {info.name for info in segments.live()} & {*names}, "their end")


def _resources() -> tuple[int, int]:
    maps = Path("/proc/self/maps").read_text().splitlines()
    return len(os.listdir("/proc/self/fd")), sum("/dev/shm" in line for line in maps)


LIVES: dict[str, Callable[[], Any]] = {
    "Counter": sk.Counter,
    "Counters": lambda: sk.Counters(["a"]),
    "Queue": lambda: sk.Queue(3),
    "Array": lambda: sk.Array(10),
    "Dict": lambda: sk.Dict(a=1),
    "Set": lambda: sk.Set([1]),
    "Value": lambda: sk.Value("i", 1),
}


@pytest.mark.parametrize("what", LIVES)
def test_ten_thousand_structures_leave_no_descriptor_no_mapping_and_no_file(what: str) -> None:
    make = LIVES[what]
    make().close()
    before, names = _resources(), []
    for i in range(10_000 // len(LIVES)):
        thing = make()
        if i % 100 == 0:
            names.append(thing.name)
        thing.close()
    assert _resources() == before
    assert [name for name in names if path_of(name).exists()] == []


def test_attaching_and_closing_a_thousand_times_leaves_only_the_segment() -> None:
    with sk.Queue(3) as queue:
        queue.put("item")
        before = _resources()
        for _ in range(1000):
            other = sk.attach(queue.name)
            assert other.qsize() == 1
            other.close()
        assert _resources() == before
        assert queue.statistics().attached == (os.getpid(),)


def test_a_queue_that_grew_gives_all_its_mappings_back() -> None:
    before = _resources()
    for _ in range(20):
        with sk.Queue() as queue:
            for size in (10, 10_000, 1_000_000):
                queue.put(bytes(size))
    assert _resources() == before


def test_forked_children_take_and_leave_seats_for_ever() -> None:
    """One after the other; there are more children than the segment has seats."""
    with sk.Counter(seats=3) as counter:
        for _ in range(100):
            pid = os.fork()
            if pid == 0:
                counter.add(1)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        assert counter.value == 100
        assert counter.statistics().attached == (os.getpid(),)
