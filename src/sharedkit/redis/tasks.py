"""Calls that a task of an event loop awaits. No thread waits for the answer."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from sharedkit.aio import waiters
from sharedkit.aio.undelivered import add_undelivered
from sharedkit.errors import ServerGoneError, SharedkitError
from sharedkit.redis.operation import GoesBack, Kept, Operation, Use, kept
from sharedkit.redis.refusals import Refused
from sharedkit.redis.session import TOOK, Session

__all__ = ["TaskWait", "acall", "asked", "atake", "finish", "undo_later"]

LEAVE = 10.0  # seconds that a cancelled task gives the server to undo its call

Keeps = Callable[[Any, "bytes | None"], bool]
"""Whether an answer, and what was granted, stay with the task even if its loop does not run; otherwise they go back."""

_looking = threading.Lock()
"""Guards the decision whether an answer is seen or given back; its task goes on after that decision."""


def _in_child() -> None:
    global _looking
    _looking = threading.Lock()


os.register_at_fork(after_in_child=_in_child)


class TaskWait:
    """A task that waits for an answer, and then, if the answer says so, for what its operation will be granted."""

    def __init__(
        self, session: Session, made: Operation, loop: asyncio.AbstractEventLoop, keeps: Keeps | None = None
    ) -> None:
        self.session, self.made, self.loop, self.keeps = session, made, loop, keeps
        self.kind, self.base = made.kind, made.base
        self.answered: asyncio.Future[None] = loop.create_future()
        self.answer: Any = None
        self.payload: bytes | BaseException | None = None
        self.over = False  # everything that the task waits for has come
        self.seen = False  # the task has read it, or waits no longer
        self.gone_back = False  # the loop did not run, so what was granted went to others

    def answers(self, answer: Any) -> None:
        """Store the server's answer. Called by another thread."""
        self.answer = answer
        parked = isinstance(answer, list) and answer[0] == 0
        if parked:
            self.session.line.free_lane(self.made)
        if not parked or self.payload is not None:
            self._end()

    def resolve(self, payload: bytes | BaseException) -> None:
        """Store what was granted, which may come before the answer that the call waits. Called by another thread."""
        if self.payload is None:
            self.payload = payload
            if self.answer is not None or isinstance(payload, BaseException):
                self._end()

    def _end(self) -> None:
        with _looking:
            if self.over or self.seen:
                return
            self.over = True
        if not isinstance(self.payload, BaseException) and not isinstance(self.answer, Exception):
            if self.keeps is not None and self.keeps(self.answer, self.payload):
                pass
            elif not self.loop.is_running():
                self._give_back()
            else:
                add_undelivered(self)
        with suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)

    def _give_back(self) -> None:
        self.gone_back = True
        self.session.waits.pop(self.made.number, None)
        with suppress(SharedkitError):
            cancel(self.session, self.made, b"undo", self.undone)

    def undone(self, said: Any) -> None:
        """Make the lane free, unless the undo was not answered: its repetition finds the operation by its lane."""
        if not isinstance(said, ServerGoneError):
            self.free_lane()

    def free_lane(self) -> None:
        """Make the lane free for others: the server need not know any more what its operation has answered. After an
        operation that was not answered it stays occupied, because `cancel` finds the operation by its lane."""
        parked = isinstance(self.answer, list) and self.answer[0] == 0
        if not parked and not isinstance(self.answer, ServerGoneError):
            self.session.line.free_lane(self.made)

    def used(self) -> None:
        """The task has what it waited for: acknowledge what the operation took, and make its lane free for others."""
        if isinstance(self.answer, list) and self.answer[0] == TOOK:
            self.session.acknowledge(self.base, self.made.number, self.made.lane)
        if self.over:
            self.free_lane()

    def reclaim(self) -> bool:
        """Give back what was granted to the task if its loop has stopped since; returns whether to call this again."""
        with _looking:
            if self.seen:
                return False
            if self.loop.is_running():
                return True
            self._give_back()
            return False

    def abandon(self) -> None:
        """Undo the operation without waiting for that, because the coroutine is closed."""
        self.see()
        with suppress(SharedkitError):
            if not self.gone_back:
                cancel(self.session, self.made, b"undo", lambda _: None)

    def see(self) -> None:
        """Record that the task now reads the answer, or needs none."""
        with _looking:
            self.seen = True


def cancel(session: Session, of: Operation, how: bytes, done: Callable[[Any], object]) -> None:
    """Ask the server to end the operation, in a request that follows that of the operation. If no answer to an
    undo comes, the keeper asks for it again until it reaches the server."""
    made = Operation(of.kind, of.base, 0, True)

    def answered(answer: Any) -> None:
        if how == b"undo" and isinstance(answer, ServerGoneError):
            undo_later(session, of)
        done(answer)

    session.line.submit(made, (b"cancel", b"%d" % of.lane, b"%d" % of.number, how, session.entry_of(of)), answered)


def undo_later(session: Session, of: Operation) -> None:
    """Have the keeper undo an operation that may have happened, although no answer has come."""
    if session.over is None:
        session.later(lambda: session._undo(of))


async def asked(submit: Callable[[Callable[[Any], object]], None]) -> Any:
    """The answer of a request that is not undone. A cancellation is raised after the answer has come."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()
    came: list[Any] = []

    def wake() -> None:
        if not answered.done():
            answered.set_result(None)

    def done(answer: Any) -> None:
        came.append(answer)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(wake)

    submit(done)
    await waiters.insist(lambda: asyncio.shield(answered))
    return came[0]


async def acall(session: Session, kind: str, base: bytes, method: bytes, *args: bytes, shrinks: bool = False) -> Any:
    """Await `Session.call`: it completes even if the task is cancelled, which is raised afterwards."""
    made = Operation(kind, base, next(session.numbers), shrinks)

    def done(answer: Any, tell: Callable[[Any], object]) -> None:
        session.line.free_lane(made)
        tell(answer)

    answer = await asked(lambda tell: session.line.submit(made, (method, *args), lambda got: done(got, tell)))
    return finish(session, made, answer)


def finish(session: Session, made: Operation, answer: Any) -> Any:
    """Return the answer; raise it if it is an exception."""
    if isinstance(answer, Refused):
        raise session.refusal(answer, made)
    if isinstance(answer, BaseException):
        raise answer
    return answer


async def atake(
    session: Session,
    kind: str,
    base: bytes,
    method: bytes,
    *args: bytes,
    entry: bytes = b"",
    timeout: float | None,
    use: Use,
    shrinks: bool = True,
    taken_back: Callable[[list[Any]], object] | None = None,
    keeps: Keeps | None = None,
) -> Any:
    """Await `Session.take`. A cancelled task goes on when the server has undone the operation. `taken_back` is called
    with the answer to the operation and the answer to the undo."""
    loop = asyncio.get_running_loop()
    deadline = None if timeout is None else monotonic() + timeout
    while True:
        made = Operation(kind, base, next(session.numbers), shrinks, entry)
        wait = TaskWait(session, made, loop, keeps)
        session.waits[made.number] = wait
        try:
            session.line.submit(made, (method, *args), wait.answers)
            got = await _outcome(session, wait, deadline)
        except asyncio.CancelledError:
            wait.see()
            await _leave(session, wait, taken_back)
            raise
        except ServerGoneError:
            undo_later(session, made)
            raise
        except GeneratorExit:
            wait.abandon()
            raise
        finally:
            session.waits.pop(made.number, None)
        if got is not AGAIN:
            answer, payload, left = got
            try:
                result = use(answer, payload, made.number, left)
            except GoesBack as why:
                await _leave(session, wait, taken_back)
                raise why.error from None
            except Kept as why:
                wait.used()
                raise why.error from None
            wait.used()
            return result


AGAIN: Any = object()


async def _outcome(session: Session, wait: TaskWait, deadline: float | None) -> Any:
    """Answer, payload and parts, as for `Use`; AGAIN if the grant went to others while the loop did not run."""
    left = None if deadline is None else max(0.0, deadline - monotonic())
    if left is None:
        await asyncio.shield(wait.answered)
    else:
        await asyncio.wait([wait.answered], timeout=left)
        while not wait.over and wait.answer is None:  # the server has not even answered
            await asyncio.wait([wait.answered], timeout=0.05)
    wait.see()
    if wait.gone_back:
        return AGAIN
    if wait.over:
        if isinstance(wait.payload, BaseException):
            raise wait.payload
        if isinstance(wait.answer, BaseException):
            wait.free_lane()
        return finish(session, wait.made, wait.answer), wait.payload, 0
    said = finish(session, wait.made, await asked(lambda tell: cancel(session, wait.made, b"keep", tell)))
    return wait.answer, *kept(said)


async def _leave(session: Session, wait: TaskWait, taken_back: Callable[[list[Any]], object] | None) -> None:
    """Wait up to LEAVE seconds until the server has undone the operation of a cancelled task."""
    if isinstance(wait.answer, ServerGoneError):
        undo_later(session, wait.made)
    if wait.gone_back or isinstance(wait.answer, Exception) or session.over is not None:
        return

    async def left() -> None:
        with suppress(SharedkitError, Refused):
            said = await asked(lambda tell: cancel(session, wait.made, b"undo", tell))
            wait.undone(said)
            if taken_back is not None and isinstance(said, list):
                taken_back([wait.answer, *said])

    leaving = asyncio.ensure_future(left())
    until = monotonic() + LEAVE
    await waiters.insist(lambda: asyncio.wait([leaving], timeout=max(0.0, until - monotonic())))
