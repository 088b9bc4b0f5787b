"""Inspecting structures without using them: the whole state is shown, and nothing in the folder changes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent.parent / "conformance"))

from watchdog import Child, until

import sharedkit as sk
from sharedkit import errors, segments
from sharedkit._core.segment import FOLDER, LAYOUT
from sharedkit.shm import inspection

KINDS: dict[str, Callable[[str], Any]] = {
    "Counter": lambda name: sk.Counter(5, name=name),
    "striped Counter": lambda name: sk.Counter(5, striped=True, name=name),
    "Counters": lambda name: sk.Counters(["first", "second"], name=name),
    "Queue": lambda name: sk.Queue(3, name=name),
    "Stream": lambda name: sk.Stream((2,), "f4", slots=3, name=name),
    "Array": lambda name: sk.Array((300, 20), "f8", name=name),
    "Dict": lambda name: sk.Dict({i: str(i) for i in range(40)}, name=name),
    "Set": lambda name: sk.Set(range(40), name=name),
    "Value": lambda name: sk.Value("d", 1.5, name=name),
    "RawValue": lambda name: sk.RawValue("i", 7, name=name),
    "Lock": lambda name: sk.Lock(name=name),
    "RLock": lambda name: sk.RLock(name=name),
    "RWLock": lambda name: sk.RWLock(name=name),
    "Semaphore": lambda name: sk.Semaphore(2, name=name),
    "BoundedSemaphore": lambda name: sk.BoundedSemaphore(2, name=name),
    "Event": lambda name: sk.Event(name=name),
    "Condition": lambda name: sk.Condition(name=name),
    "Barrier": lambda name: sk.Barrier(3, name=name),
}


def path_of(name: str) -> Path:
    return Path(FOLDER) / segments.shared_memory_name(name)


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test-look-{uuid.uuid4().hex}"
    yield made
    path_of(made).unlink(missing_ok=True)


def taken(it: Any) -> Any:
    """The structure, after this process has taken and held what there is to take and hold."""
    if isinstance(it, sk.Queue):
        it.put_many([1, 2])
    elif isinstance(it, sk.RWLock):
        it.acquire_read()
    elif hasattr(it, "acquire"):
        it.acquire()
    return it


def told_by(call: Callable[..., Any], *arguments: Any) -> Any:
    """What the call returns in a process of its own."""
    return Child("fork", call, *arguments).result()


def looked(name: str) -> tuple[Any, bool]:
    """The result of an inspection, and whether it leaves a mapping or a descriptor."""
    found = inspection.inspect(name)
    opened = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.exists()]
    return found, name in Path("/proc/self/maps").read_text() or str(path_of(name)) in opened


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_sees_what_statistics_tells_and_changes_nothing(kind: str, name: str) -> None:
    with closing(taken(KINDS[kind](name))) as it:
        told = it.statistics()
        before, used = path_of(name).read_bytes(), path_of(name).stat().st_mtime_ns
        found, left = told_by(looked, name)
        assert path_of(name).read_bytes() == before
        assert path_of(name).stat().st_mtime_ns == used
        assert found.statistics == told
        assert found.users == (os.getpid(),)
        assert not left
        assert not found.orphan
        if kind == "Queue":
            assert (found.length, found.passed) == (2, (2, 0))


def test_the_contents_are_not_copied_and_the_length_is_known(name: str) -> None:
    with sk.Array.from_array(np.ones(1 << 20, "u1"), name=name):
        copy = segments.copy_segment(name)
        found = inspection.inspect(name)
        kind = segments.kind_of(copy)
        assert kind is not None
        elements = kind.open(copy).ndarray
    assert found.length == 1 << 20
    assert not elements.any()  # zeros that take no memory


def test_nobody_is_attached_by_looking_and_the_last_user_still_removes_the_segment(name: str) -> None:
    with closing(sk.Lock(name=name)):
        copy = segments.copy_segment(name)
        assert copy.in_use
    assert not path_of(name).exists()
    assert copy.kind  # the copy lives on
    with pytest.raises(FileNotFoundError, match=name):
        inspection.inspect(name)


def test_a_condition_shows_the_lock_that_it_was_given_without_attaching_it(name: str) -> None:
    with closing(sk.Lock(name=f"{name}-lock")) as lock, closing(sk.Condition(lock, name=name)) as condition:
        told = condition.statistics()
        before = path_of(f"{name}-lock").read_bytes()
        found, left = told_by(looked, name)
        assert path_of(f"{name}-lock").read_bytes() == before
    assert not left
    assert found.statistics == told
    assert found.statistics.lock.name == f"{name}-lock"


def test_a_condition_over_a_lock_of_its_maker_alone_has_no_statistics_and_still_a_state(name: str) -> None:
    with closing(sk.Condition(threading.Lock(), name=name)):
        found = inspection.inspect(name)
    assert found.statistics is None
    assert found.state == "0 waiting, 0 notified"


# --- who holds, who waits -------------------------------------------------------------------------------------


def waits_of(name: str) -> dict[str, inspection.Wait]:
    return {wait.what: wait for wait in inspection.inspect(name).waits}


WAITS: dict[str, tuple[Callable[[str], Any], Callable[[Any], Any], str]] = {
    "Lock": (lambda name: sk.Lock(name=name), lambda it: it.acquire(), "for the lock"),
    "RLock": (lambda name: sk.RLock(name=name), lambda it: it.acquire(), "for the lock"),
    "writing": (lambda name: sk.RWLock(name=name), lambda it: it.acquire_write(), "to write"),
    "reading": (lambda name: sk.RWLock(name=name), lambda it: it.acquire_read(), "to read"),
    "BoundedSemaphore": (lambda name: sk.BoundedSemaphore(1, name=name), lambda it: it.acquire(), "for a permit"),
    "Semaphore": (lambda name: sk.Semaphore(0, name=name), lambda it: it.acquire(), "for a permit"),
    "Event": (lambda name: sk.Event(name=name), lambda it: it.wait(), "for the event"),
    "Barrier": (lambda name: sk.Barrier(2, name=name), lambda it: it.wait(), "for the other parties"),
    "Condition": (lambda name: sk.Condition(name=name), lambda it: it.acquire() and it.wait(), "for a notification"),
}


@pytest.mark.parametrize("kind", WAITS)
def test_a_waiting_process_and_the_holder_are_named(kind: str, name: str) -> None:
    make, wait, what = WAITS[kind]
    with closing(make(name)) as it:
        holds = kind in ("Lock", "RLock", "writing", "reading", "BoundedSemaphore")
        if kind == "reading":
            it.acquire_write()
        elif kind == "writing":
            it.acquire_read()
        elif holds:
            it.acquire()
        child = Child("fork", wait, it)
        try:
            until(lambda: bool(waits_of(name)[what].waiters), what=f"nobody waits {what}")
            found = waits_of(name)[what]
            ((waiter, threads),) = found.waiters.items()
            assert (waiter.pid, threads) == (child.pid, 1)
            holders = [(holder.process.pid, holder.times) for holder in found.holders if holder.process]
            assert holders == ([(os.getpid(), 1)] if holds else [])
        finally:
            child.end()


def test_a_waiter_that_was_killed_waits_no_more_and_a_holder_that_was_killed_has_no_pid(name: str) -> None:
    with closing(sk.Lock(name=name)) as lock:
        holder = Child("fork", lambda: lock.acquire() and signal.pause())
        try:
            until(lambda: bool(waits_of(name)["for the lock"].holders))
            (held,) = waits_of(name)["for the lock"].holders
            assert held.process is not None
            assert held.process.pid == holder.pid
        finally:
            holder.end()
        (held,) = waits_of(name)["for the lock"].holders
        assert held.process is None
        assert waits_of(name)["for the lock"].waiters == {}


def test_a_getter_of_an_empty_queue_is_not_counted_but_may_be_there(name: str) -> None:
    with sk.Queue(name=name) as queue:
        assert not waits_of(name)["for an item"].uncounted
        child = Child("fork", queue.get)
        try:
            until(lambda: waits_of(name)["for an item"].uncounted)
            assert waits_of(name)["for an item"].waiters == {}
        finally:
            child.end()


def test_the_length_of_a_dict_is_known_though_a_writer_died_inside(name: str) -> None:
    with sk.Dict(a=1, name=name):
        raw = bytearray(path_of(name).read_bytes())
        body = int.from_bytes(raw[48:56], sys.byteorder)
        raw[body : body + 4] = (5 << 10).to_bytes(4, sys.byteorder)  # the lock names a process that is not there
        path_of(name).write_bytes(raw)
        found = inspection.inspect(name)
        assert path_of(name).read_bytes() == raw
    assert found.length == 1
    assert [wait.holders[0].process for wait in found.waits] == [None]


def test_rates_count_over_the_wrap_and_only_for_the_same_queue() -> None:
    def look(passed: tuple[int, int] | None, at: float, created: float = 1.0) -> inspection.Inspection:
        return inspection.Inspection("q", "Queue", 1, created, False, False, (), 0, "", None, (), passed, at)

    before = look((2**32 - 5, 10), 100.0)
    assert inspection.rates(before, look((15, 10), 102.0)) == (10.0, 0.0)
    assert inspection.rates(before, look((15, 10), 102.0, created=2.0)) is None
    assert inspection.rates(before, look((15, 10), 100.0)) is None
    assert inspection.rates(before, look(None, 102.0)) is None


# --- what is no sound segment -----------------------------------------------------------------------------------


def mutate_and_look(kind: str, name: str) -> int:
    """Inspect many copies of a segment with changed words; return how many were refused."""
    dice, refused = random.Random(kind), 0
    with closing(taken(KINDS[kind](f"{name}-sound"))) as it:
        raw = path_of(it.name).read_bytes()[: 1 << 16]
        body = int.from_bytes(raw[48:56], sys.byteorder)
        for _ in range(150):
            changed = bytearray(raw)
            for _ in range(dice.choice([1, 1, 3])):
                at = dice.choice(
                    [dice.randrange(0, 168, 8), dice.randrange(256, 512, 8), body + dice.randrange(0, 1024, 8)]
                )
                word = dice.choice(
                    [0, 2**64 - 1, dice.getrandbits(64), dice.getrandbits(11) << 32 | dice.getrandbits(20)]
                )
                changed[at : at + 8] = word.to_bytes(8, sys.byteorder)
            path_of(name).write_bytes(changed)
            try:
                inspection.inspect(name)
            except (errors.CorruptSegmentError, OSError):
                refused += 1
    return refused


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_segment_is_shown_or_refused_and_never_a_fault(kind: str, name: str) -> None:
    assert told_by(mutate_and_look, kind, name) > 0


FOREIGN: dict[str, tuple[Callable[[bytearray], bytes], str]] = {
    "empty": (lambda raw: b"", "not a sharedkit segment"),
    "text": (lambda raw: b"this is not a segment\n" * 1000, "not a sharedkit segment"),
    "shortened": (lambda raw: bytes(raw[:4096]), "contradicts itself"),
    "another layout": (
        lambda raw: bytes(raw[:8]) + (99).to_bytes(4, sys.byteorder) + bytes(raw[12:]),
        "layout 99, this",
    ),
    "not finished": (lambda raw: bytes(8) + bytes(raw[8:]), "not a sharedkit segment"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_file_that_is_no_sound_segment_is_refused_in_words_and_hides_no_other(what: str, name: str) -> None:
    change, words = FOREIGN[what]
    with sk.Queue(name=f"{name}-sound") as queue:
        queue.put(bytes(5000))
        path_of(name).write_bytes(change(bytearray(path_of(queue.name).read_bytes())))
        with pytest.raises(errors.CorruptSegmentError, match=words) as why:
            inspection.inspect(name)
        found = {each.name: each for each in inspection.inspect_all()}
    assert isinstance(why.value, errors.LayoutError) == (what == "another layout")
    if what == "another layout":
        assert f"has layout {LAYOUT}" in str(why.value)
    assert isinstance(found[name], inspection.Trouble)
    assert isinstance(found[f"{name}-sound"], inspection.Inspection)


def test_a_structure_that_this_release_does_not_know_is_of_another_release(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sk.Lock(name=name)):
        monkeypatch.setattr(segments, "kind_of", lambda segment: None)
        with pytest.raises(errors.LayoutError, match="use the release that made it"):
            inspection.inspect(name)


def test_a_file_that_claims_to_hold_very_much_is_refused_and_not_read(name: str) -> None:
    with closing(sk.Lock(name=f"{name}-sound", persist=True)) as lock:
        path_of(name).write_bytes(path_of(lock.name).read_bytes())
        lock.unlink()
    os.truncate(path_of(name), 1 << 39)  # it holds no more memory than before
    with pytest.raises(ValueError, match="too large to be looked at"):
        inspection.inspect(name)
    assert name in {each.name for each in inspection.inspect_all() if isinstance(each, inspection.Trouble)}


def test_a_segment_that_shrinks_under_the_looks_ends_nothing(name: str) -> None:
    """No process uses the segment here, because its users may end by a bus error."""

    def look_on() -> int:
        looks = 0
        while True:
            with contextlib.suppress(errors.CorruptSegmentError, OSError):
                inspection.inspect(name)
            looks += 1
            if not path_of(name).exists():
                return looks

    with sk.Queue(name=f"{name}-sound", persist=True) as queue:  # else another program would remove its copy
        raw = path_of(queue.name).read_bytes()
        queue.unlink()
    path_of(name).write_bytes(raw)
    child = Child("fork", look_on)
    try:
        for _ in range(300):
            os.truncate(path_of(name), 4096)
            os.truncate(path_of(name), 0)
            path_of(name).write_bytes(raw)
        path_of(name).unlink()
        assert child.result() > 0
    finally:
        child.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_segment_of_another_user_is_refused_in_words(name: str) -> None:
    def look_as_another() -> str:
        os.setuid(65534)
        try:
            inspection.inspect(name)
        except PermissionError as why:
            return str(why)
        return "no error"

    with closing(sk.Lock(name=name)):
        assert "Permission denied" in told_by(look_as_another)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the files of other users")
def test_root_looks_at_the_segments_of_other_users(name: str) -> None:
    with closing(sk.Lock(name=name)) as lock:
        lock.acquire()
        os.chown(path_of(name), 65534, 65534)
        with pytest.raises(errors.UntrustedSegmentError):
            segments.Segment.attach(str(path_of(name)), name)
        assert inspection.inspect(name).statistics.owner == os.getpid()
        os.chown(path_of(name), 0, 0)


def test_a_full_stream_says_for_which_reader_writers_wait(name: str) -> None:
    with closing(sk.Stream(slots=2, overflow="block", name=name)) as stream:
        quick, slow = stream.reader(), stream.reader()
        stream.put(1)
        stream.put(2)
        quick.get()
        seen = inspection.inspect(name)
        assert (seen.length, seen.passed) == (2, (2, 1))
        (room,) = (wait for wait in seen.waits if wait.what == "for room")
        assert [(holder.process.pid, holder.how) for holder in room.holders if holder.process] == [
            (os.getpid(), "has not read")
        ]
        slow.get()
        assert inspection.inspect(name).waits[1].holders == ()
