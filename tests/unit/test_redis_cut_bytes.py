"""The line to a Redis server is cut after every byte of a request, of its reply, and of a message that ends a wait:
each call has run once, with the right result. If no answer comes at all, it is an error, and what was taken goes
back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.kinds import KINDS
from conformance.watchdog import Task, until
from cut_line import CutLine
from mutations import MUTATIONS, Mutation, outcome_of
from redis_server import ABSENT, Server

import sharedkit as sk

if ABSENT is None:
    from sharedkit.redis import session

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))

STEP = 23  # the distance of two cuts in a request, except under `make stress`; a prime
LEASE = 600.0  # seconds: no heartbeat comes between a cut and its call
each_mutation = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(port=True) as running:
        yield running


@pytest.fixture(scope="module")
def line(server: Server) -> Iterator[CutLine]:
    with CutLine(("127.0.0.1", server.port)) as between:
        yield between


@pytest.fixture(scope="module")
def ctx(line: CutLine) -> Iterator[Any]:
    """A context whose connections go over the line. Its keeper is silent: a cut is meant for a call."""
    with (
        pytest.MonkeyPatch.context() as patch,
        sk.get_context("redis", url=f"redis://127.0.0.1:{line.address[1]}/0", prefix="cut", lease=LEASE) as context,
    ):
        patch.setattr(session, "TICK", LEASE)
        yield context


@pytest.fixture(scope="module")
def other(server: Server) -> Iterator[Any]:
    """A context whose connections do not: another session, with the same structures."""
    with sk.get_context("redis", url=server.url, prefix="cut", lease=LEASE) as context:
        yield context


def expected_of(mutation: Mutation) -> tuple[Any, Any]:
    model = mutation.make(sk.get_context("thread"))
    mutation.prepare(model)
    return outcome_of(mutation.do, model), mutation.look(model)


def runs_once(mutation: Mutation, what: Any, step: int, ctx: Any, line: CutLine) -> None:
    expected = expected_of(mutation)
    after = -step  # first without a cut: the connection may have to be made
    while True:
        structure = mutation.make(ctx)
        mutation.prepare(structure)
        if after >= 0:
            line.arm(what, after)
        found = outcome_of(mutation.do, structure)
        line.disarm()
        assert (found, mutation.look(structure)) == expected, after
        structure.close()
        if after >= 0 and not line.was_cut:
            break
        after += step
    assert after > 3


@each_mutation
def test_a_call_whose_reply_is_cut_after_any_byte_runs_once(mutation: Mutation, ctx: Any, line: CutLine) -> None:
    Task(runs_once, mutation, "reply", 1, ctx, line).result()


@each_mutation
def test_a_call_whose_request_is_cut_runs_once(mutation: Mutation, ctx: Any, line: CutLine) -> None:
    Task(runs_once, mutation, "request", STEP, ctx, line).result()


@pytest.mark.stress
@each_mutation
def test_a_call_whose_request_is_cut_after_any_byte_runs_once(mutation: Mutation, ctx: Any, line: CutLine) -> None:
    Task(runs_once, mutation, "request", 1, ctx, line).result()


def gives_up(mutation: Mutation, ctx: Any, other: Any, line: CutLine) -> None:
    (returned, after), before = expected_of(mutation), expected_of_nothing(mutation)
    structure = mutation.make(ctx)
    observer = other.attach(structure.name)
    mutation.prepare(structure)
    with ctx.Event() as warm:  # the line of threads and that of tasks are connected
        warm.set()
        assert asyncio.run(warm.await_())
    line.silent = True
    try:
        assert outcome_of(mutation.do, structure) in ("ServerGoneError", returned)
    finally:
        line.silent = False
    if mutation.takes:  # what nobody knows of goes back
        until(lambda: handed_back(mutation, observer, before))
    else:
        until(lambda: mutation.look(observer) in (before, after))
    structure.close()
    observer.close()


def handed_back(mutation: Mutation, observer: Any, before: Any) -> bool:
    """Whether the state is as before. Looking at a queue empties it, so its items are counted first."""
    if mutation.name.startswith("Queue"):
        return bool(observer.qsize() == len(before[0])) and bool(mutation.look(observer) == before)
    return bool(mutation.look(observer) == before)


def expected_of_nothing(mutation: Mutation) -> Any:
    model = mutation.make(sk.get_context("thread"))
    mutation.prepare(model)
    return mutation.look(model)


@each_mutation
def test_a_call_that_is_never_answered_is_an_error_and_leaves_nothing_half_done(
    mutation: Mutation, ctx: Any, other: Any, line: CutLine
) -> None:
    Task(gives_up, mutation, ctx, other, line).result()


# --- making, opening and closing


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.cls not in ("LifoQueue", "PriorityQueue", "Stream")], ids=lambda k: k.name
)
def test_a_structure_that_is_made_opened_or_closed_over_a_cut_line_is_whole(
    kind: Any, ctx: Any, other: Any, line: CutLine, server: Server
) -> None:
    def attempts(what: Any, step: int) -> None:
        made: list[Any] = []
        steps: tuple[tuple[Callable[[], Any], Callable[[], Any]], ...] = (
            (lambda: None, lambda: made.append(kind.make(ctx, name="whole"))),
            (lambda: made.append(kind.make(other, name="whole")), lambda: made.append(ctx.attach("whole"))),
            (lambda: made.append(kind.make(ctx, name="whole")), lambda: made.pop().close()),
        )
        for before, do in steps:
            after = 0
            while True:
                before()
                line.arm(what, after)
                do()
                was_cut = line.was_cut
                line.disarm()
                if made:
                    kind.change(made[-1])
                    assert kind.look(made[-1]) is not None
                while made:
                    made.pop().close()
                assert server.ask("KEYS", "{cut:whole}*") == []
                if not was_cut:
                    break
                after += step

    Task(attempts, "reply", 1).result()
    Task(attempts, "request", 4 * STEP).result()


# --- waits


def in_condition(c: Any) -> Any:
    with c:
        return c.wait()


def notify(c: Any) -> None:
    with c:
        c.notify()


def alone(cls: str, *args: Any, first: Any = None) -> Callable[[Any], Any]:
    def make(ctx: Any) -> Any:
        made = getattr(ctx, cls)(*args)
        if first is not None:
            first(made)
        return made

    return make


WAITS: dict[str, tuple[Any, Any, Any, Any]] = {
    "Queue.get": (alone("Queue"), lambda q: q.get(), lambda q: q.put("it"), "it"),
    "Queue.get of a long item": (alone("Queue"), lambda q: len(q.get()), lambda q: q.put(bytes(100_000)), 100_000),
    "Queue.put": (alone("Queue", 1, first=lambda q: q.put("it")), lambda q: q.put("x"), lambda q: q.get(), None),
    "Queue.join": (alone("Queue", first=lambda q: q.put(1)), lambda q: q.join(), lambda q: q.task_done(), None),
    "Lock.acquire": (alone("Lock", first=lambda x: x.acquire()), lambda x: x.acquire(), lambda x: x.release(), True),
    "Semaphore.acquire": (alone("Semaphore", 0), lambda s: s.acquire(), lambda s: s.release(), True),
    "BoundedSemaphore.acquire": (
        alone("BoundedSemaphore", first=lambda s: s.acquire()), lambda s: s.acquire(), lambda s: s.release(), True,
    ),
    "Event.wait": (alone("Event"), lambda e: e.wait(), lambda e: e.set(), True),
    "Condition.wait": (alone("Condition"), in_condition, notify, True),
    "Barrier.wait": (alone("Barrier", 2), lambda b: b.wait(), lambda b: b.wait(), 0),
    "RWLock.acquire_read": (
        alone("RWLock", first=lambda x: x.acquire_write()), lambda x: x.acquire_read(),
        lambda x: x.release_write(), True,
    ),
    "RWLock.acquire_write": (
        alone("RWLock", first=lambda x: x.acquire_read()), lambda x: x.acquire_write(),
        lambda x: x.release_read(), True,
    ),
}  # fmt: skip


def waiting(structure: Any) -> int:
    """How many threads wait in a structure of any kind."""
    s = structure.statistics()
    return sum(
        int(getattr(s, field, 0))
        for field in ("waiting", "waiting_getters", "waiting_putters", "waiting_readers", "waiting_writers")
    )


def begun(what: str, structure: Any, server: Server) -> bool:
    if what == "Queue.join":  # its waits are in no statistics
        return bool(server.ask("LLEN", structure._base + b":second") == 1)
    return waiting(structure) == 1


@pytest.mark.parametrize("what", WAITS)
def test_a_wait_whose_message_is_cut_after_any_byte_ends_once(
    what: str, ctx: Any, other: Any, line: CutLine, server: Server
) -> None:
    make, wait, end, result = WAITS[what]
    after = 0
    while True:
        # a side of an RWLock, and a permit of a BoundedSemaphore, belong to a session: the waiter's made them
        own = make(ctx)
        theirs = own if what.startswith(("RWLock", "Bounded")) else other.attach(own.name)
        task = Task(wait, own)
        until(lambda own=own: begun(what, own, server))  # type: ignore[misc]
        until(lambda: len(server.ask("PUBSUB", "CHANNELS", "*")) == 2)  # both sessions listen again
        line.arm("message", after)
        end(theirs)
        assert task.result() == result, after
        until(lambda: line.was_cut or line.passed > 0)
        was_cut = line.was_cut
        line.disarm()
        assert waiting(own) == 0
        for each in (own, theirs):
            each.close()
        if not was_cut:
            break
        after += 1
    assert after > 50  # there was a message
