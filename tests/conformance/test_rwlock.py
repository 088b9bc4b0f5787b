"""Locks that many hold to read or one holds to write."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import Task, in_threads, until

import sharedkit as sk

Make = Callable[..., Any]


def test_many_read_and_one_writes(make_rwlock: Make) -> None:
    rw = make_rwlock()
    assert rw.acquire_read() is True
    assert Task(rw.acquire_read, False).result() is True
    assert rw.acquire_write(False) is False
    rw.release_read()
    assert rw.acquire_write(False) is False
    rw.release_read()
    assert rw.acquire_write() is True
    assert rw.acquire_read(False) is False
    assert Task(rw.acquire_write, False).result() is False
    began = time.monotonic()
    assert rw.acquire_read(timeout=0.1) is False
    assert rw.acquire_write(timeout=0.1) is False
    assert time.monotonic() - began >= 0.198
    rw.release_write()
    assert rw.acquire_read(False) is True
    rw.release_read()


def test_each_side_has_the_interface_of_a_lock(make_rwlock: Make) -> None:
    rw = make_rwlock()
    assert (rw.reader.locked(), rw.writer.locked()) == (False, False)
    with rw.reader as entered:
        assert entered is True
        assert (rw.reader.locked(), rw.writer.locked()) == (True, False)
        assert rw.reader.acquire(blocking=False) is True
        assert rw.writer.acquire(block=False) is False
        rw.reader.release()
    with pytest.raises(LookupError), rw.writer:
        assert rw.writer.locked() is True
        assert rw.reader.acquire(timeout=0.01) is False
        raise LookupError
    assert rw.writer.acquire(timeout=None) is True
    rw.writer.release()


def test_a_release_without_a_holder_is_refused(make_rwlock: Make) -> None:
    rw = make_rwlock()
    for release in (rw.release_read, rw.release_write, rw.reader.release, rw.writer.release):
        with pytest.raises(sk.NotLockedError):
            release()
    with rw.reader, pytest.raises(sk.NotLockedError):
        rw.release_write()
    with rw.writer, pytest.raises(sk.NotLockedError):
        rw.release_read()


def test_arguments_that_make_no_sense_are_refused(make_rwlock: Make) -> None:
    rw = make_rwlock()
    for acquire in (rw.acquire_read, rw.acquire_write, rw.reader.acquire, rw.writer.acquire):
        with pytest.raises(ValueError):
            acquire(False, 1)
        with pytest.raises(ValueError):
            acquire(True, -2)
        with pytest.raises(OverflowError):
            acquire(True, 1e100)
    assert rw.acquire_write(False) is True


def test_no_read_begins_while_a_writer_waits(make_rwlock: Make) -> None:
    rw = make_rwlock()
    rw.acquire_read()
    writer = Task(rw.acquire_write)
    until(lambda: rw.statistics().waiting_writers == 1)
    assert Task(rw.acquire_read, False).result() is False
    reader = Task(rw.acquire_read)
    until(lambda: rw.statistics().waiting_readers == 1)
    rw.release_read()
    assert writer.result() is True
    assert not reader.done
    rw.release_write()
    assert reader.result() is True
    rw.release_read()


def test_a_writer_that_gives_up_lets_the_readers_in(make_rwlock: Make) -> None:
    rw = make_rwlock()
    rw.acquire_read()
    writer = Task(rw.acquire_write, timeout=0.5)
    until(lambda: writer.done or rw.statistics().waiting_writers == 1)
    reader = Task(rw.acquire_read)
    assert writer.result() is False
    assert reader.result() is True
    rw.release_read()
    rw.release_read()
    assert rw.acquire_write(False) is True


def test_readers_never_see_half_of_a_write(make_rwlock: Make) -> None:
    rw = make_rwlock()
    pair = [0, 0]
    seen: list[int] = []

    def write() -> None:
        for _ in range(100):
            with rw.writer:
                pair[0] += 1
                time.sleep(0)
                pair[1] += 1

    def read() -> None:
        for _ in range(100):
            with rw.reader:
                a = pair[0]
                time.sleep(0)
                seen.append(pair[1] - a)

    in_threads([write, read, write, read])
    assert pair == [200, 200]
    assert set(seen) == {0}


def test_neither_a_reader_starves_among_writers_nor_a_writer_among_readers(make_rwlock: Make) -> None:
    rw = make_rwlock()
    for often, seldom in ((rw.writer, rw.reader), (rw.reader, rw.writer)):
        over = threading.Event()

        def keep_on(side: Any = often, over: threading.Event = over) -> None:
            while not over.is_set():
                with side:
                    time.sleep(0)  # meanwhile the others arrive

        busy = [Task(keep_on) for _ in range(3)]
        try:
            for _ in range(5):
                assert Task(seldom.acquire).result() is True
                seldom.release()
        finally:
            over.set()
        for each in busy:
            each.result()


def test_statistics_name_readers_and_writer_and_count_waiters(make_rwlock: Make) -> None:
    rw = make_rwlock()
    me = os.getpid()
    s = rw.statistics()
    assert (s.writer, s.since, dict(s.readers), s.owner_died) == (None, None, {}, False)
    with rw.reader, rw.reader:
        assert dict(rw.statistics().readers) == {me: 2}
    before = time.time()
    with rw.writer:
        s = rw.statistics()
        assert (s.writer, dict(s.readers)) == (me, {})
        assert before - 0.1 <= s.since <= time.time() + 0.1
    assert rw.owner_died is False
