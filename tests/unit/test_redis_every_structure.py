"""What happens to a server happens to every structure in it: functions are flushed, memory ends, the server restarts
with and without its data, a replica takes its place; and a client is stopped past its lease, or its task is
cancelled."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty
from threading import BrokenBarrierError
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.kinds import KINDS
from conformance.watchdog import LIMIT, Task, until
from cut_line import CutLine
from far import CALLS, HELD, Far
from mutations import MUTATIONS, Mutation, outcome_of
from redis_server import ABSENT, Server

import sharedkit as sk

if ABSENT is None:
    from sharedkit.redis.operation import Operation
    from sharedkit.redis.refusals import Refused

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))

each_mutation = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
IN_REDIS = [kind for kind in KINDS if kind.cls not in ("LifoQueue", "PriorityQueue", "Stream")]


@pytest.fixture(scope="module")
def ctx(server: Server) -> Iterator[Any]:
    with sk.get_context("redis", url=server.url, prefix="every") as context:
        yield context


def in_threads(mutation: Mutation) -> Any:
    """The structure of the mutation among threads, which shows what a call returns and leaves."""
    model = mutation.make(sk.get_context("thread"))
    mutation.prepare(model)
    return model


@each_mutation
def test_a_call_that_finds_no_functions_or_scripts_loads_them_and_runs_once(
    mutation: Mutation, ctx: Any, server: Server
) -> None:
    model, structure = in_threads(mutation), mutation.make(ctx)
    mutation.prepare(structure)
    server.ask("FUNCTION", "FLUSH")
    server.ask("SCRIPT", "FLUSH")
    assert outcome_of(mutation.do, structure) == outcome_of(mutation.do, model)
    server.ask("FUNCTION", "FLUSH")
    assert mutation.look(structure) == mutation.look(model)
    structure.close()


@each_mutation
def test_without_memory_a_call_is_refused_and_changes_nothing_or_works(
    mutation: Mutation, ctx: Any, server: Server
) -> None:
    model, untouched, structure = in_threads(mutation), in_threads(mutation), mutation.make(ctx)
    mutation.prepare(structure)
    server.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        found = outcome_of(mutation.do, structure)
    finally:
        server.ask("CONFIG", "SET", "maxmemory", "0")
    if mutation.grows and found == "OutOfSharedMemory":
        assert mutation.look(structure) == mutation.look(untouched)
    else:
        assert found == outcome_of(mutation.do, model)
        assert mutation.look(structure) == mutation.look(model)
    structure.close()


# --- servers that restart, and others that take their place


def made_and_changed(ctx: Any) -> dict[Any, tuple[Any, Any]]:
    """A structure of each kind, changed, and its state."""
    made = {}
    for kind in IN_REDIS:
        structure = kind.make(ctx, name=f"kept {kind.name}", persist=True)
        kind.change(structure)
        made[kind] = structure, kind.look(structure)
    return made


def all_lost(made: dict[Any, tuple[Any, Any]]) -> None:
    """Every handle says that what it held may be another's now."""
    for kind, (structure, _) in made.items():
        with pytest.raises(sk.LeaseLostError, match="restarted, or another"):
            kind.change(structure)


def all_there(ctx: Any, made: dict[Any, tuple[Any, Any]]) -> None:
    for kind, (_, state) in made.items():
        again = ctx.attach(f"kept {kind.name}")
        if kind.lasting:
            assert kind.look(again) == state, kind.name
        kind.change(again)
        again.unlink()


@pytest.mark.filterwarnings("ignore::sharedkit.errors.OwnerDiedWarning")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_after_a_restart_with_its_append_only_file_everything_that_persists_is_there(how: int) -> None:
    with (
        Server("--appendonly", "yes", "--appendfsync", "always") as server,
        sk.get_context("redis", url=server.url, prefix="again", lease=30.0) as ctx,
    ):
        made = made_and_changed(ctx)
        server.stop(how)
        server.start()
        all_lost(made)
        all_there(ctx, made)


@pytest.mark.filterwarnings("ignore::sharedkit.errors.OwnerDiedWarning")
def test_after_a_restart_without_its_data_everything_is_gone_and_can_be_made_anew() -> None:
    with Server() as server, sk.get_context("redis", url=server.url, prefix="again", lease=30.0) as ctx:
        made = made_and_changed(ctx)
        server.stop(signal.SIGKILL)
        server.start()
        all_lost(made)
        for kind in made:
            with pytest.raises(FileNotFoundError):
                ctx.attach(f"kept {kind.name}")
        all_there(ctx, made_and_changed(ctx))


def test_no_call_reaches_another_server_before_the_session_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that hears the end of its connection learns of the new server first, and is slow to say so."""
    with Server() as server, sk.get_context("redis", url=server.url, prefix="again", lease=30.0) as ctx:
        counter = ctx.Counter()
        session, learnt, go_on = counter._session, threading.Event(), threading.Event()
        lose = session.lose

        def loses_late(what: str) -> Any:
            if threading.current_thread().name == "sharedkit redis wakes":
                learnt.set()
                go_on.wait(LIMIT)
            return lose(what)

        monkeypatch.setattr(session, "lose", loses_late)
        server.stop(signal.SIGKILL)
        server.start()
        assert learnt.wait(LIMIT)
        try:
            with pytest.raises(sk.LeaseLostError, match="restarted"):
                counter.add()
        finally:
            go_on.set()


@pytest.mark.filterwarnings("ignore::sharedkit.errors.OwnerDiedWarning")
def test_when_a_replica_is_promoted_handles_are_lost_and_what_it_had_can_be_attached() -> None:
    with Server(port=True) as primary, Server("--replicaof", "127.0.0.1", str(primary.port), port=True) as replica:
        until(lambda: primary.ask("INFO", "replication")["connected_slaves"] == 1)
        with CutLine(("127.0.0.1", primary.port)) as line:
            url = f"redis://127.0.0.1:{line.address[1]}/0"
            with sk.get_context("redis", url=url, prefix="again", lease=30.0) as ctx:
                made = made_and_changed(ctx)
                until(lambda: primary.ask("DBSIZE") == replica.ask("DBSIZE"))
                assert primary.ask("WAIT", 1, 60_000) == 1
                primary.stop(signal.SIGKILL)
                replica.ask("REPLICAOF", "NO", "ONE")
                line.lead_to(("127.0.0.1", replica.port))
                all_lost(made)
                all_there(ctx, made)


# --- handles that are closed while others use them


def test_a_structure_that_is_closed_during_a_heartbeat_costs_no_lease(
    ctx: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sk.get_context("redis", url=f"{server.url}?db=0", prefix="every") as other, ctx.Counter() as stays:
        closing = ctx.Counter()
        other.attach(closing.name)
        session, base = closing._session, closing._base
        ask = session.ask_as_keeper

        def closes_first(kind: str, asked: bytes, *method: bytes) -> Any:
            if asked == base:
                closing.close()
            return ask(kind, asked, *method)

        monkeypatch.setattr(session, "ask_as_keeper", closes_first)
        assert session._beat()
        assert stays.add() == 1


def test_a_call_on_a_structure_that_another_thread_closes_costs_no_lease(ctx: Any, server: Server) -> None:
    def use(handle: Any) -> None:
        with pytest.raises(sk.ClosedError):
            while True:
                handle.add(1)

    with sk.get_context("redis", url=f"{server.url}?db=0", prefix="every") as other, ctx.Counter() as stays:
        theirs = other.Counter()
        for _ in range(100):
            handle = ctx.attach(theirs.name)
            users = [Task(use, handle) for _ in range(2)]
            before = theirs.value
            until(lambda before=before: theirs.value > before)  # type: ignore[misc]
            handle.close()
            for each in users:
                each.result()
        assert stays.add() == 1


def test_each_thread_that_is_refused_learns_that_the_lease_is_over(server: Server) -> None:
    with sk.get_context("redis", url=server.url, prefix="refused") as own, own.Counter() as counter:
        session = counter._session
        session.lose("a thread has learnt it")
        made = Operation(counter.lua, counter._base, 1, False)
        assert type(session.refusal(Refused("SKFENCED", ""), made)) is sk.LeaseLostError


# --- a client that stands still


@pytest.mark.filterwarnings("ignore::sharedkit.errors.OwnerDiedWarning")
def test_a_client_that_was_stopped_past_its_lease_is_refused_by_every_structure(server: Server) -> None:
    with sk.get_context("redis", url=server.url, prefix="far") as ctx, Far() as client:
        assert client.do(f"ctx = sk.get_context('redis', url={server.url!r}, prefix='far', lease=1.0)") == "ok"
        for cls, (made, call) in CALLS.items():
            arguments = f"name='far {cls}'"
            assert client.do(f"{cls} = ctx.{made.format(arguments)}") == "ok"
            assert not client.do(f"{cls}.{call}").startswith("LeaseLost")
        theirs = {cls: ctx.attach(f"far {cls}") for cls in CALLS}
        client.process.send_signal(signal.SIGSTOP)
        for cls, (_, call) in HELD.items():
            assert Task(eval, f"h.{call}", {"h": theirs[cls]}).result() is True
        client.process.send_signal(signal.SIGCONT)
        for cls, (_, call) in CALLS.items():
            assert client.do(f"{cls}.{call}").startswith("LeaseLostError the lease of this process"), cls
        assert (theirs["Counter"].value, theirs["Queue"].qsize(), theirs["Set"].as_set()) == (1, 1, {1})
        assert (theirs["Array"][0], theirs["Semaphore"].get_value()) == (1, 2)


# --- tasks that are cancelled


def a_condition(ctx: Any) -> Any:
    class Told:
        """A condition and its event, as one structure."""

        def __init__(self) -> None:
            self.condition, self.told = ctx.Condition(), ctx.Event()

    return Told()


async def awaits_told(c: Any) -> bool:
    async with c.condition:
        return bool(await c.condition.await_for(c.told.is_set))


def told(c: Any) -> None:
    with c.condition:
        c.told.set()
        c.condition.notify_all()


def held(make: Callable[[Any], Any], take: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The structure after another thread has taken it."""

    def made(ctx: Any) -> Any:
        structure = make(ctx)
        take(structure)
        return structure

    return made


class ByAnotherThread:
    """An RLock that a thread holds until it is told to release it."""

    def __init__(self, ctx: Any) -> None:
        self.lock = ctx.RLock()
        self._ends = ctx.Event()
        self._thread = Task(self._hold)
        until(self.lock.locked)

    def _hold(self) -> None:
        with self.lock:
            self._ends.wait()

    def release(self) -> None:
        self._ends.set()
        self._thread.result()


TWINS: dict[str, tuple[Any, Any, Any, Any]] = {
    "aget": (lambda ctx: ctx.Queue(), lambda q: q.aget(), lambda q: q.put(1), lambda q: q.get(timeout=30) == 1),
    "aget_many": (
        lambda ctx: ctx.Queue(), lambda q: q.aget_many(2), lambda q: q.put_many([1, 2]),
        lambda q: [q.get(timeout=30), q.get(timeout=30)] == [1, 2],
    ),
    "aput": (
        held(lambda ctx: ctx.Queue(1), lambda q: q.put(1)), lambda q: q.aput(2), lambda q: q.get(),
        lambda q: q.empty() and q.statistics().waiting_putters == 0,
    ),
    "aput_many": (
        held(lambda ctx: ctx.Queue(2), lambda q: q.put_many([1, 2])), lambda q: q.aput_many([3, 4]),
        lambda q: q.get_many(), lambda q: q.empty() and q.statistics().waiting_putters == 0,
    ),
    "ajoin": (
        held(lambda ctx: ctx.Queue(), lambda q: q.put(1)), lambda q: q.ajoin(), lambda q: q.task_done(),
        lambda q: q.unfinished_tasks == 0,
    ),
    "Lock.aacquire": (
        held(lambda ctx: ctx.Lock(), lambda x: x.acquire()), lambda x: x.aacquire(), lambda x: x.release(),
        lambda x: x.acquire(timeout=30),
    ),
    "RLock.aacquire": (
        ByAnotherThread, lambda x: x.lock.aacquire(), lambda x: x.release(), lambda x: x.lock.acquire(timeout=30),
    ),
    "Semaphore.aacquire": (
        lambda ctx: ctx.Semaphore(0), lambda s: s.aacquire(), lambda s: s.release(), lambda s: s.acquire(timeout=30),
    ),
    "BoundedSemaphore.aacquire": (
        held(lambda ctx: ctx.BoundedSemaphore(1), lambda s: s.acquire()), lambda s: s.aacquire(),
        lambda s: s.release(), lambda s: s.acquire(timeout=30),
    ),
    "aacquire_read": (
        held(lambda ctx: ctx.RWLock(), lambda x: x.acquire_write()), lambda x: x.aacquire_read(),
        lambda x: x.release_write(), lambda x: x.acquire_write(timeout=30),
    ),
    "aacquire_write": (
        held(lambda ctx: ctx.RWLock(), lambda x: x.acquire_read()), lambda x: x.aacquire_write(),
        lambda x: x.release_read(), lambda x: x.acquire_write(timeout=30),
    ),
    "Event.await_": (lambda ctx: ctx.Event(), lambda e: e.await_(), lambda e: e.set(), lambda e: e.wait(30)),
    "Condition.await_for": (a_condition, awaits_told, told, lambda c: c.condition.acquire(timeout=30)),
    "Barrier.await_": (
        lambda ctx: ctx.Barrier(2), lambda b: b.await_(), lambda b: suppressed(lambda: b.wait(0)),
        lambda b: b.reset() is None and b.n_waiting == 0,
    ),
}  # fmt: skip


def suppressed(do: Callable[[], Any]) -> None:
    with suppress(BrokenBarrierError):
        do()


STEPS = (*range(12), 16, 24, 40, 80)


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("given", ["before the wait", "in the wait", "never"])
def test_a_task_that_is_cancelled_at_any_of_its_awaits_takes_nothing(name: str, given: str, ctx: Any) -> None:
    make, call, give, free = TWINS[name]

    async def cancelled_after(steps: int, structure: Any) -> bool:
        """Whether the task was cancelled; otherwise it had returned before."""

        async def awaited() -> Any:
            return await call(structure)

        if given == "before the wait":
            give(structure)
        task = asyncio.create_task(awaited())
        if given == "in the wait":
            for _ in range(20):
                await asyncio.sleep(0.0005)
            give(structure)
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
        except BrokenBarrierError:
            return False
        return False

    def attempt(steps: int) -> None:
        structure = make(ctx)
        was_cancelled = asyncio.run(cancelled_after(steps, structure))
        if given == "never":
            assert was_cancelled
            give(structure)
        if was_cancelled and not name.startswith("aput"):
            assert free(structure), steps
        elif name.startswith("aput"):  # an item that has gone in says so
            for _ in range(2):
                with suppress(Empty):
                    structure.get_nowait()
            assert free(structure), steps

    for steps in STEPS:
        Task(attempt, steps).result()


@pytest.mark.parametrize(
    "mutation", [each for each in MUTATIONS if "coroutine" in vars(each.do)], ids=lambda each: each.name
)
def test_a_task_that_is_cancelled_while_the_server_is_silent_has_done_nothing_or_everything(
    mutation: Mutation,
) -> None:
    with Server(port=True) as server, CutLine(("127.0.0.1", server.port)) as line:
        url = f"redis://127.0.0.1:{line.address[1]}/0"
        with (
            sk.get_context("redis", url=url, prefix="silent", lease=600.0) as ctx,
            sk.get_context("redis", url=server.url, prefix="silent") as other,
        ):
            with ctx.Event() as warm:
                warm.set()
                assert asyncio.run(warm.await_())
            for steps in range(8):
                structure = mutation.make(ctx)
                mutation.prepare(structure)
                observer = other.attach(structure.name)
                Task(asyncio.run, cancelled_in_silence(mutation, structure, steps, line)).result()
                model = in_threads(mutation)
                before = mutation.look(in_threads(mutation))
                outcome_of(mutation.do, model)
                after = mutation.look(model)
                if mutation.takes:
                    until(lambda o=observer, b=before: shows(mutation, o, b))  # type: ignore[misc]
                else:
                    until(lambda o=observer, b=before, a=after: shows(mutation, o, b) or shows(mutation, o, a))  # type: ignore[misc]
                structure.close()
                observer.close()


def shows(mutation: Mutation, observer: Any, state: Any) -> bool:
    """Whether the structure is in that state. Looking at a queue empties it, so its items are counted first."""
    if mutation.name.startswith("Queue") and observer.qsize() != len(state[0]):
        return False
    return bool(mutation.look(observer) == state)


async def cancelled_in_silence(mutation: Mutation, structure: Any, steps: int, line: CutLine) -> None:
    line.silent = True
    task = asyncio.create_task(vars(mutation.do)["coroutine"](structure))
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    task.cancel()
    line.silent = False
    with suppress(asyncio.CancelledError, sk.ServerGoneError, sk.NotLockedError):
        await task
