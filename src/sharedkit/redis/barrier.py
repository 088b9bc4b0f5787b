"""A barrier in a Redis server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import BrokenBarrierError
from typing import Any

from sharedkit._core.barrier_methods import BarrierMethods, checked_parties
from sharedkit._core.timeouts import span
from sharedkit.errors import SharedkitError
from sharedkit.redis.handle import DEFAULT_SEATS, Handle, pids
from sharedkit.redis.refusals import Refused
from sharedkit.redis.session import Session
from sharedkit.statistics import BarrierState, BarrierStatistics

__all__ = ["Barrier"]

_Passed = tuple[int, bytes]
"""The party's number, and its operation if it must call the action; otherwise nothing."""


class Barrier(BarrierMethods, Handle):
    """Barrier(parties, action=None, timeout=None, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Barrier`: `wait` returns when `parties` threads are in it. Before that, the last party to arrive calls
    its handle's `action`, which is pickled with the handle. `timeout`, in seconds, applies to a `wait` whose own
    timeout is None. A process that dies, ends or closes its handle inside breaks the barrier; so does one that is
    silent for its lease. `with` closes the handle.

    Raises ValueError for `parties` below 1, FileExistsError when `name` is taken and not `exist_ok`, ValueError when
    the existing structure differs in more than its action.
    """

    kind = "Barrier"
    lua = "barrier"

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        wanted = checked_parties(parties)
        self._action = action
        spec = {"parties": wanted, "timeout": span(timeout)}
        self._create(name, exist_ok, persist, seats, spec, b"%d" % wanted)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have come; return a number from 0 to `parties - 1`, a different one for each party.

        Raises threading.BrokenBarrierError when the time is over, which breaks the barrier for all parties, and when
        the barrier is reset or aborted meanwhile, or already broken. If the action raises, the barrier breaks, and its
        exception is raised here. Raises LeaseLostError if this process was silent for longer than its lease.
        """
        session, timeout, acts = self._begin(timeout)
        passed: _Passed | None = None
        failed: list[BaseException] = []

        def use(*came: Any) -> _Passed | None:
            passed = self._use(session, *came)
            if passed is not None and passed[1] and self._action is not None:
                try:
                    self._action()
                except BaseException as why:
                    failed.append(why)
                try:
                    session.call(self.lua, self._base, b"acted", passed[1], b"%d" % (not failed), shrinks=True)
                except Refused:  # the barrier was reset or broken meanwhile
                    return None
            return passed

        try:
            passed = session.take(
                self.lua, self._base, b"wait", acts, _willing(timeout),
                entry=acts, timeout=timeout, use=use, shrinks=False,
            )  # fmt: skip
        except SharedkitError as why:
            if not failed:
                raise self._told(why) from None
        if failed:
            raise failed[0]
        if passed is None:
            raise BrokenBarrierError
        return int(passed[0])

    async def await_(self, timeout: float | None = None) -> int:
        """Wait as `wait` does, without blocking the event loop. (`await` is a Python keyword.)

        The action runs in the event loop and should be short. A cancelled task counts as not arrived.
        """
        from sharedkit.redis.tasks import acall, atake

        session, timeout, acts = self._begin(timeout)
        try:
            passed = await atake(
                session, self.lua, self._base, b"wait", acts, _willing(timeout),
                entry=acts, timeout=timeout, use=lambda *came: self._use(session, *came), shrinks=False, keeps=_keeps,
            )  # fmt: skip
            if passed is not None and passed[1] and self._action is not None:
                try:
                    self._action()
                except BaseException:
                    with suppress(Refused, SharedkitError):
                        await acall(session, self.lua, self._base, b"acted", passed[1], b"0", shrinks=True)
                    raise
                await acall(session, self.lua, self._base, b"acted", passed[1], b"1", shrinks=True)
        except Refused:  # the barrier was reset or broken while the action was called
            passed = None
        except SharedkitError as why:
            raise self._told(why) from None
        if passed is None:
            raise BrokenBarrierError
        return int(passed[0])

    def _begin(self, timeout: float | None) -> tuple[Session, float | None, bytes]:
        """The session, the timeout that applies, and whether this handle has an action."""
        session = self._ensure_open()
        timeout = self._time(self._spec["timeout"] if span(timeout) is None else timeout)
        return session, timeout, b"%d" % (self._action is not None)

    def _use(self, session: Session, answer: Any, payload: bytes | None, number: int, left: int) -> _Passed | None:
        """How the party passed; None if the barrier is broken."""
        if answer[0] == 0 and payload is not None:
            session.acknowledge(self._base, number)
        given = answer[1] if answer[0] == 1 else payload
        if given is None or given == b"!":
            return None
        place, _, operation = given.partition(b" a ")
        return int(place), operation

    def reset(self) -> None:
        """Make the barrier empty and unbroken again; waiting threads get a BrokenBarrierError."""
        self._call(b"reset", shrinks=True)

    def abort(self) -> None:
        """Break the barrier until `reset()`: threads that wait or arrive get a BrokenBarrierError."""
        self._call(b"abort", shrinks=True)

    def statistics(self) -> BarrierStatistics:
        """Return the parties that have come and the state of the barrier: a BarrierStatistics."""
        parties, state, sids, sessions = self._read(b"statistics")
        owners = tuple(pids([sid])[0] for sid in sids)
        phase: BarrierState = state.decode()
        return BarrierStatistics(self._name, self.kind, int(parties), len(owners), phase, owners, pids(sessions))


def _willing(timeout: float | None) -> bytes:
    return b"%d" % (timeout is None or timeout > 0)


def _keeps(answer: Any, payload: bytes | None) -> bool:
    """Whether a party has passed, or met a broken barrier. One that does not call its action has not come."""
    given = payload if payload is not None else answer[1] if answer[0] == 1 else b""
    return b" a " not in given
