"""`sharedkit why`: who waits for whom, among real processes; and the circles of waits, among invented ones."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent.parent / "conformance"))

from click.testing import CliRunner, Result
from watchdog import Child, until

import sharedkit as sk
from sharedkit import segments
from sharedkit._core import segment as core
from sharedkit._core.segment import FOLDER
from sharedkit.commands.root import root
from sharedkit.commands.waitgraph import Block, deadlocks, possible_deadlocks
from sharedkit.shm.inspection import Holder, Process, inspect


def why(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["why", "--for", "0.05", *arguments])


def path_of(name: str) -> Path:
    return Path(FOLDER) / segments.shared_memory_name(name)


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test-why-{uuid.uuid4().hex}"
    yield made
    path_of(made).unlink(missing_ok=True)


def waiters_at(name: str) -> int:
    return sum(sum(wait.waiters.values()) for wait in inspect(name).waits)


def is_still(name: str) -> bool:
    before = path_of(name).read_bytes()
    time.sleep(0.02)
    return path_of(name).read_bytes() == before


def hold_one_and_wait_for_the_other(mine: Any, other: Any, meeting: Any) -> None:
    mine.acquire()
    meeting.wait()
    other.acquire()


@pytest.fixture
def crossed(name: str) -> Iterator[tuple[str, str, Child, Child]]:
    """Two processes, each of which holds a lock and waits for the other's for ever."""
    with ExitStack() as stack:
        first = stack.enter_context(closing(sk.Lock(name=f"{name}-A")))
        second = stack.enter_context(closing(sk.RLock(name=f"{name}-B")))
        meeting = stack.enter_context(closing(sk.Barrier(2)))
        children = []
        for mine, other in ((first, second), (second, first)):
            children.append(Child("fork", hold_one_and_wait_for_the_other, mine, other, meeting))
            stack.callback(children[-1].end)
        until(lambda: waiters_at(first.name) == waiters_at(second.name) == 1, what="no deadlock")
        until(lambda: is_still(first.name) and is_still(second.name))  # the waiters have their fairness tokens
        yield first.name, second.name, *children


def test_a_deadlock_of_two_processes_is_named_and_nothing_is_touched(crossed: Any) -> None:
    a, b, first, second = crossed
    before = [path_of(each).read_bytes() for each in (a, b)]
    done = why(a)
    assert [path_of(each).read_bytes() for each in (a, b)] == before
    steps = [f"pid {first.pid} holds '{a}' and waits for '{b}'", f"pid {second.pid} holds '{b}' and waits for '{a}'"]
    assert sorted(done.output.splitlines()[-1].removeprefix("deadlock: ").split("; ")) == sorted(steps)
    assert done.exit_code == 1
    assert f"Lock '{a}': locked by pid {first.pid}, 1 waiting" in done.output
    assert f"RLock '{b}', where pid {first.pid} waits: " in done.output
    assert f"1 thread of pid {second.pid} waits for the lock: " in done.output
    assert Path("/proc/self/cmdline").read_text().split("\0")[0] in done.output  # the children have this command line


def test_a_deadlock_as_json_and_without_a_name(crossed: Any) -> None:
    a, b, first, second = crossed
    done = why("--json")
    told = json.loads(done.output)
    assert {a, b} <= {each["name"] for each in told["structures"]}
    (found,) = (each for each in told["deadlocks"] if {step["holds"] for step in each["steps"]} == {a, b})
    assert found["certain"]
    assert {(step["pid"], step["holds"], step["waits_for"]) for step in found["steps"]} == {
        (first.pid, a, b), (second.pid, b, a),
    }  # fmt: skip
    assert done.exit_code == 1


def test_a_deadlock_ends_with_one_of_its_processes(crossed: Any) -> None:
    _, b, first, second = crossed
    second.end()
    until(lambda: waiters_at(b) == 0, what="the other waits on")
    first.end()
    done = why(b)
    assert (done.exit_code, "deadlock" in done.output) == (0, False)


def test_a_free_lock_has_nobody(name: str) -> None:
    with closing(sk.Lock(name=name)):
        done = why(name)
    assert done.exit_code == 0
    assert done.output == f"Lock '{name}': unlocked, 0 waiting\n  nobody holds it and nobody waits for it\n"


def test_a_holder_that_was_killed_is_told(name: str) -> None:
    with closing(sk.Lock(name=name)) as lock:
        child = Child("fork", lambda: lock.acquire() and signal.pause())
        try:
            until(lambda: inspect(name).statistics.owner == child.pid)
        finally:
            child.end()
        done = why(name)
        (wait,) = json.loads(why("--json", name).output)["structures"][0]["waits"]
    state, holder = done.output.splitlines()[:2]
    assert state == f"Lock '{name}': locked by pid {child.pid}, which died, 0 waiting"
    assert holder.startswith(f"  its owner, pid {child.pid}, took it at ")
    assert holder.endswith(
        " ago) and died holding it: the next process that takes it gets an OwnerDiedWarning "
        '(an OwnerDiedError if it was made with on_owner_died="raise")'
    )
    assert "unlocked" not in done.output
    assert done.exit_code == 0
    assert (wait["holders"][0]["pid"], wait["holders"][0]["gone"]) == (child.pid, True)


def test_a_dead_holder_whose_seat_was_taken_again_has_no_pid(name: str) -> None:
    """The table of the seats names the last process on each seat, and so another one by now."""
    with closing(sk.Lock(name=name, seats=2)) as lock:
        lock.acquire()
        lock.release()  # so that this process has a seat, and the others have the other one in turn
        child = Child("fork", lambda: lock.acquire() and os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(AssertionError):
            child.result()
        assert inspect(name).state == f"locked by pid {child.pid}, which died, 0 waiting"
        assert Child("fork", lambda: lock.statistics().owner).result() is None
        assert inspect(name).state == "locked by a process that died, 0 waiting"
        (told,) = (each.state for each in segments.live() if each.name == name)
        assert told == inspect(name).state
        done, (wait,) = why(name), json.loads(why("--json", name).output)["structures"][0]["waits"]
    assert "its owner took it at " in done.output
    assert (wait["holders"][0]["pid"], wait["holders"][0]["gone"]) == (None, True)


def leave_it_locked(name: str) -> None:
    lock = sk.attach(name)
    lock.acquire()
    lock.close()
    signal.pause()


def test_a_holder_that_left_without_a_release_is_not_said_to_be_dead(name: str) -> None:
    with closing(sk.Lock(name=name)):
        child = Child("spawn", leave_it_locked, name)
        try:
            until(lambda: "which left" in inspect(name).state)
            done = why(name)
        finally:
            child.end()
        assert inspect(name).state == f"locked by pid {child.pid}, which died, 0 waiting"
    assert f"'{name}': locked by pid {child.pid}, which left, 0 waiting\n" in done.output
    assert " ago) and left without releasing it: the next process that takes it gets " in done.output


def test_a_reader_that_died_holds_nothing(name: str) -> None:
    with closing(sk.RWLock(name=name)) as lock:
        child = Child("fork", lambda: lock.acquire_read() and os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(AssertionError):
            child.result()
        assert inspect(name).state == "unlocked, 0 waiting to read, 0 to write"
        assert lock.acquire_write(timeout=60)
        lock.release_write()


def lock_of(kind: str, name: str) -> Any:
    """A structure with a lock, and the functions that take the lock and release it."""
    match kind:
        case "RWLock":
            it = sk.RWLock(name=name)
            return it, it.acquire_write, it.release_write
        case "Array":
            array = sk.Array(3, "f4", name=name)
            return array, array.lock.acquire, array.lock.release
        case "Value":
            value: Any = sk.Value("i", 7, name=name)
            return value, value.get_lock().acquire, value.get_lock().release
    it = getattr(sk, kind)(name=name)
    return it, it.acquire, it.release


@pytest.mark.parametrize("kind", ["Lock", "RLock", "RWLock", "Array", "Value", "Condition"])
def test_a_lock_whose_owner_died_is_nowhere_called_unlocked(kind: str, name: str) -> None:
    it, acquire, release = lock_of(kind, name)
    with closing(it):
        child = Child("fork", lambda: acquire() and os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(AssertionError):
            child.result()
        told, listed = why(name).output, CliRunner().invoke(root, ["ls"]).output
        held = f"{'written' if kind == 'RWLock' else 'locked'} by pid {child.pid}, which died"
        assert (held in told, "died holding it" in told) == (True, True)
        assert ("unlocked" in told, "OwnerDiedError" in told) == (False, kind in ("Lock", "RLock"))
        (line,) = (each for each in listed.splitlines() if each.startswith(name))
        assert (held in line, "unlocked" in line) == (True, False)
        assert [held in each.state for each in segments.live() if each.name == name] == [True]
        with pytest.warns(sk.OwnerDiedWarning):
            acquire()
        release()
        assert "which died" not in why(name).output


def hold_twice(lock: Any) -> None:
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    lock.acquire()
    lock.acquire()


def test_a_lock_that_a_process_of_several_threads_holds_and_waits_for_is_perhaps_a_deadlock(name: str) -> None:
    with closing(sk.Lock(name=name)) as lock:
        child = Child("fork", hold_twice, lock)
        try:
            until(lambda: waiters_at(name) == 1)
            until(lambda: is_still(name))
            done, told = why(name), json.loads(why("--json").output)
        finally:
            child.end()
    assert f"\nperhaps a deadlock: pid {child.pid} holds '{name}' and waits for '{name}'\n" in done.output
    assert f"\n  pid {child.pid} has 2 threads; waiting in this circle: 1\n" in done.output
    assert done.exit_code == 0
    assert [each for each in told["deadlocks"] if name in each["text"]] == []
    (found,) = (each for each in told["possible_deadlocks"] if name in each["text"])
    assert not found["certain"]
    assert found["steps"] == [
        {"pid": child.pid, "how": "holds", "holds": name, "waits_for": name, "what": "for the lock"}
    ]


def hold_in_one_thread_and_wait_in_another(lock: Any) -> None:
    lock.acquire()
    threading.Thread(target=lock.acquire, daemon=True).start()
    time.sleep(600)


def test_a_re_entrant_lock_is_none_because_the_thread_that_holds_it_never_waits_for_it(name: str) -> None:
    with closing(sk.RLock(name=name)) as lock:
        child = Child("fork", hold_in_one_thread_and_wait_in_another, lock)
        try:
            until(lambda: waiters_at(name) == 1)
            until(lambda: is_still(name))
            done = why(name)
        finally:
            child.end()
    assert f"1 thread of pid {child.pid} waits for the lock" in done.output
    assert "deadlock" not in done.output


def test_a_stopped_holder_is_told(name: str) -> None:
    with closing(sk.Lock(name=name)) as lock:
        child = Child("fork", lambda: lock.acquire() and signal.pause())
        try:
            until(lambda: inspect(name).statistics.owner == child.pid)
            assert child.pid is not None
            os.kill(child.pid, signal.SIGSTOP)
            until(lambda: "and is stopped" in why(name).output)
        finally:
            child.end()


def test_a_lasting_wait_without_a_holder_is_shown_and_no_deadlock(name: str) -> None:
    with closing(sk.Event(name=name)) as event:
        child = Child("fork", event.wait)
        try:
            until(lambda: waiters_at(name) == 1)
            done = why()
        finally:
            child.end()
    assert f"Event '{name}': unset, 1 waiting\n  1 thread of pid {child.pid} waits for the event: " in done.output


def test_the_lock_of_a_condition_is_followed(name: str) -> None:
    with closing(sk.Lock(name=f"{name}-lock")) as lock, closing(sk.Condition(lock, name=name)):
        lock.acquire()
        done = why(name)
    assert f"  its lock is '{name}-lock'\n" in done.output
    assert f"Lock '{name}-lock': locked by pid {os.getpid()}" in done.output


def test_a_queue_says_that_it_does_not_count_its_waiters(name: str) -> None:
    with closing(sk.Queue(name=name)) as queue:
        child = Child("fork", queue.get)
        try:
            until(lambda: any(wait.uncounted for wait in inspect(name).waits))
            done = why(name)
        finally:
            child.end()
    assert "threads may wait for an item: a Queue does not count them" in done.output


def test_a_segment_that_cannot_be_looked_at_is_counted_and_a_folder_that_is_gone_is_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path_of(name).write_bytes(b"no segment" * 1000)
    assert "segments that cannot be looked at: " in why().output
    monkeypatch.setattr(core, "FOLDER", str(tmp_path / "none"))
    done = why()
    assert done.exit_code == 2
    assert done.output.endswith("No such file or directory; SHAREDKIT_DIR names another folder\n")


@pytest.mark.parametrize("bad", ["unknown", "../etc/passwd", ""])
def test_a_name_that_is_none_is_a_sentence_and_exit_code_2(bad: str) -> None:
    done = why(bad)
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    assert line.startswith("Error: ")


def test_a_segment_of_another_layout_is_a_sentence_and_exit_code_2(name: str) -> None:
    with closing(sk.Lock(name=f"{name}-sound")) as lock:
        raw = bytearray(path_of(lock.name).read_bytes())
    raw[8:12] = (99).to_bytes(4, sys.byteorder)
    path_of(name).write_bytes(raw)
    done = why(name)
    assert done.exit_code == 2
    assert "was made by a sharedkit of layout 99, this one has layout" in done.output
    assert "let the other program end first" in done.output
    assert name in json.loads(why("--json").output)["unreadable"]


# --- circles ------------------------------------------------------------------------------------------------


def block(waiter: int, at: str, *holders: int | None, every: bool = True, threads: int = 1) -> Block:
    held = tuple(Holder(None if pid is None else Process(pid, 1), "holds", 1, None) for pid in holders)
    return Block(Process(waiter, 1), at, "for the lock", threads, held, every)


def circles(*blocks: Block, threads: int | None = 1) -> list[tuple[list[str], bool]]:
    found = deadlocks(blocks, lambda process: threads)
    return [([f"{each.process.pid} {each.structure}" for each in one.waits], one.certain) for one in found]


def test_a_circle_of_three_is_found_once_and_begins_with_the_least_pid() -> None:
    assert circles(block(3, "A", 1), block(1, "B", 2), block(2, "C", 3)) == [(["1 B", "2 C", "3 A"], True)]


def test_a_chain_is_no_circle_and_who_waits_for_a_circle_is_no_part_of_it() -> None:
    assert circles(block(1, "A", 2), block(2, "B", 3)) == []
    assert circles(block(9, "A", 1), block(1, "B", 2), block(2, "A", 1)) == [(["1 B", "2 A"], True)]


def test_a_circle_through_a_dead_process_is_none_because_its_lock_passes_on() -> None:
    assert circles(block(1, "A", None), block(2, "A", None)) == []


def test_a_process_with_threads_that_do_not_wait_makes_a_circle_uncertain() -> None:
    assert circles(block(1, "B", 2), block(2, "A", 1), threads=2) == [(["1 B", "2 A"], False)]
    assert circles(block(1, "B", 2), block(2, "A", 1), threads=None) == [(["1 B", "2 A"], False)]
    assert circles(block(1, "B", 2, threads=2), block(2, "A", 1, threads=2), threads=2) == [(["1 B", "2 A"], True)]


def test_a_process_waits_for_itself_only_if_all_its_threads_wait() -> None:
    assert circles(block(1, "A", 1)) == [(["1 A"], True)]
    assert circles(block(1, "A", 1), threads=2) == []
    assert circles(block(1, "A", 1), block(1, "B", 1), threads=3) == []  # its third thread may hold both


def test_a_semaphore_hangs_only_if_each_of_its_holders_does() -> None:
    assert circles(block(1, "S", 2, 3, every=False), block(2, "A", 1)) == []
    assert circles(block(1, "S", 2, 3, every=False), block(2, "A", 1), block(3, "A", 1)) == [
        (["1 S", "2 A"], True), (["1 S", "3 A"], True),
    ]  # fmt: skip


def test_readers_hold_up_a_writer_if_one_of_them_hangs() -> None:
    assert circles(block(1, "R", 2, 3), block(2, "A", 1)) == [(["1 R", "2 A"], True)]


def possible(*blocks: Block, threads: int | None = 5) -> list[list[str]]:
    def threads_of(process: Process) -> int | None:
        return threads

    found = possible_deadlocks(blocks, threads_of, deadlocks(blocks, threads_of))
    return [[f"{each.process.pid} {each.structure}" for each in one.waits] for one in found]


def test_a_process_that_waits_for_itself_and_has_further_threads_is_a_possible_deadlock() -> None:
    assert possible(block(1, "A", 1)) == [["1 A"]]
    assert possible(block(1, "A", 1), threads=None) == [["1 A"]]
    assert possible(block(1, "A", 1), threads=1) == []  # a certain one
    assert possible(block(1, "A", 2)) == possible(block(1, "A", None)) == []


def test_a_possible_deadlock_is_none_where_another_process_can_let_go_or_a_deadlock_is_found_already() -> None:
    assert possible(block(1, "S", 1, 2, every=False)) == []
    assert possible(block(1, "S", 1, every=False)) == [["1 S"]]
    assert possible(block(1, "B", 2), block(2, "A", 1)) == []


def test_a_re_entrant_lock_can_only_be_waited_for_by_a_further_thread() -> None:
    a, b = (replace(block(1, each, 1), reentrant=True) for each in "AB")
    assert possible(a) == []
    assert possible(a, b) == [["1 A", "1 B"]]


def test_a_reader_that_wants_to_write_is_named_once() -> None:
    reads = (Holder(Process(1, 1), "reads", 1, None),)
    waits = [Block(Process(1, 1), "R", what, 1, reads, True) for what in ("to write", "to read")]
    assert possible(*waits) == [["1 R"]]
