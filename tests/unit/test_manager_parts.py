"""A condition over a lock, with several sessions: which session holds what, and what outlives what."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, until

import sharedkit as sk
from sharedkit.manager import object_registry, server
from sharedkit.manager.client import Client
from sharedkit.manager.placement import Placement
from sharedkit.manager.states.array import ArrayState


@pytest.fixture
def other(ctx: Any) -> Iterator[Any]:
    """Another client; it ends without releasing anything."""
    placement = Placement(Client(ctx.address, None))
    yield placement
    placement.client().close()


def _wait(condition: Any) -> Any:
    condition.acquire()
    return condition.wait()


@pytest.mark.parametrize("held", [True, False], ids=["while a third party has the lock", "while nobody has it"])
def test_a_waiter_that_closes_its_condition_is_not_given_the_lock(ctx: Any, other: Any, held: bool) -> None:
    condition = ctx.Condition()
    theirs = other.attach(condition.name)
    waiter = Task(_wait, theirs)
    until(lambda: condition.statistics().waiting == 1)
    if held:
        condition.acquire()
    theirs.close()
    with pytest.raises(sk.ClosedError):
        waiter.result()
    if held:
        assert condition.statistics().lock.waiting == 0
        condition.release()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert condition.acquire(timeout=LIMIT)
    condition.release()


def test_a_notified_waiter_whose_handle_is_closed_is_not_given_the_lock(ctx: Any, other: Any) -> None:
    condition = ctx.Condition()
    theirs = other.attach(condition.name)
    waiter = Task(_wait, theirs)
    until(lambda: condition.statistics().waiting == 1)
    with condition:
        condition.notify()
        until(lambda: condition.statistics().lock.waiting == 1)
        theirs.close()
        with pytest.raises(sk.ClosedError):
            waiter.result()
    assert not condition.lock.locked()


def test_a_notification_arrives_although_the_server_has_no_free_descriptor() -> None:
    with sk.get_context("manager") as context:
        ctx: Any = context
        pid, condition = ctx.server._process.pid, ctx.Condition()
        waiter = Task(_wait, condition)
        until(lambda: condition.statistics().waiting == 1)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        with condition:
            condition.notify()
            assert condition.statistics().attached == (os.getpid(),)
        assert waiter.result() is True


def test_unlinking_a_condition_keeps_a_lock_that_was_given_to_it(ctx: Any) -> None:
    lock = ctx.Lock(name="kept", persist=True)
    condition = ctx.Condition(lock, persist=True)
    condition.unlink()
    condition.close()
    lock.close()
    again = ctx.attach("kept")
    assert again.acquire(timeout=LIMIT)
    again.unlink()


def test_a_persistent_condition_keeps_its_lock(ctx: Any) -> None:
    lock = ctx.Lock(name="under it")
    condition = ctx.Condition(lock, name="over it", persist=True)
    lock.unlink()
    lock.close()
    condition.close()
    again = ctx.attach("over it")
    assert again.acquire(timeout=LIMIT)
    again.unlink()
    again.close()
    with pytest.raises(sk.SharedkitError):
        again.acquire()


def test_a_lock_ends_with_the_last_persistent_condition_over_it(ctx: Any) -> None:
    lock = ctx.Lock(name="of two")
    conditions = [ctx.Condition(lock, persist=True) for _ in range(2)]
    lock.close()
    for each in conditions:
        assert ctx.attach("of two").acquire(False)
        ctx.attach("of two").release()
        each.unlink()
        each.close()
    with pytest.raises(FileNotFoundError):
        ctx.attach("of two")


def test_a_warning_that_is_an_error_gives_the_lock_of_a_condition_back(ctx: Any) -> None:
    """The warning of a lock does so, too, because no `with` block was entered."""
    condition = ctx.Condition()

    async def enter() -> None:
        async with condition:
            pass

    def enter_in_a_loop() -> None:
        asyncio.run(enter())

    for take in (condition.__enter__, enter_in_a_loop):
        dying = Placement(Client(ctx.address, None))
        dying.attach(condition.name).acquire()
        dying.client().close()
        until(lambda: condition.statistics().lock.owner is None)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(sk.OwnerDiedWarning):
                take()
        assert not condition.lock.locked()


def test_a_structure_whose_ticket_is_never_used_ends_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends although no client sends the server anything any more."""
    monkeypatch.setattr(object_registry, "TICKET_SECONDS", 0.05)
    here: Any = server.Manager(None, b"key").get_server()
    serving = Task(here.serve_forever)
    placement = Placement(Client(here.address, b"key"))
    client = placement.client()
    counter = placement.Counter()
    client.call(0, "ticket", "a ticket", counter._ident)
    counter.close()
    until(lambda: not here.registry._states and not here.registry._tickets)
    client.close()
    here.loop.soon(here.loop.stop)
    serving.result()
    here.listener.close()


def test_a_ticket_keeps_a_structure_alive_and_ends_when_it_is_used(ctx: Any, other: Any) -> None:
    counter = ctx.Counter(3)
    ctx.server.client().call(0, "ticket", "another ticket", counter._ident)
    ident = counter._ident
    counter.close()
    client = other.client()
    client.call(0, "arrive", ident, "", "another ticket")
    assert client.call(ident, "load", "") == 3
    with pytest.raises(sk.GoneError):
        ctx.server.client().call(0, "ticket", "a third", ident)


PADDED = (
    {"names": [], "formats": [], "itemsize": 8},
    {"names": ["a"], "formats": ["u1"], "itemsize": 8},
    {"names": ["a", "b"], "formats": ["u1", ({"names": ["c"], "formats": ["u1"], "offsets": [1]}, 3)], "itemsize": 8},
)


@pytest.mark.parametrize("dtype", PADDED)
def test_the_padding_of_a_copy_that_leaves_the_server_contains_no_other_data(dtype: Any) -> None:
    state = ArrayState("padded", {"shape": 3, "dtype": np.dtype(dtype)}, None)
    for key in (..., slice(None, None, -1), [2, 0]):
        for _ in range(100):
            secret = np.full(3 * state.array.itemsize // 8, 0x4141414141414141)
            del secret  # the next array of this size gets the same memory
            assert not any(state.do_read(Any, key).view("u1").reshape(-1))


class _Emptied(deque[Any]):
    """A deque that another thread empties between a check and the next step."""

    def __bool__(self) -> bool:
        return True

    def __contains__(self, item: object) -> bool:
        return True


def test_threads_that_report_released_handles_at_once_may_find_none_left(other: Any) -> None:
    counter = other.Counter()
    client = other.client()
    client.released, client.tickets = _Emptied(), _Emptied()
    assert counter.add(1) == 1
    client.tickets.append("told of")

    class Told(deque[Any]):
        def remove(self, ticket: Any) -> None:
            super().remove(ticket)
            super().remove(ticket)

    client.tickets = Told(["told of"])
    assert counter.add(1) == 2
    assert not client.tickets
