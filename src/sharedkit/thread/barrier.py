"""A barrier for the threads of this process.

threading's design, but for its draining: who passes together is a round, which keeps its fate, so newcomers need not
wait until the last of it has gone. The action runs without the mutex, so that an event loop may look meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from operator import index
from threading import BrokenBarrierError
from time import monotonic
from typing import Any, Literal

from sharedkit._differences import unlike
from sharedkit._times import check_span, span
from sharedkit.statistics import BarrierState, BarrierStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Handle
from sharedkit.thread.registry import DEFAULT_SEATS, State
from sharedkit.thread.waiters import NOT_YET, Everybody, Turn, deadline_in, wait

__all__ = ["Barrier"]


class _Round:
    """The indices of those `inside`, and what became of them."""

    __slots__ = ("fate", "inside")

    def __init__(self) -> None:
        self.fate: Literal["open", "passed", "broken"] = "open"
        self.inside: set[int] = set()

    def answer(self, mine: int) -> int:
        if self.fate == "broken":
            raise BrokenBarrierError
        return mine


class _BarrierState(State):
    """Everything under `mutex`. `acting`: the last of the round runs the action, and nobody comes in."""

    __slots__ = ("acting", "action", "broken", "changed", "mutex", "parties", "round", "timeout")

    kind = "Barrier"

    def __init__(self, name: str, parties: int, action: Callable[[], object] | None, timeout: float | None) -> None:
        super().__init__(name)
        self.parties = parties
        self.action = action
        self.timeout = timeout
        self.mutex = threading.Lock()
        self.changed = Everybody(self.mutex)
        self.round = _Round()
        self.broken = False
        self.acting = False

    # Steps; the mutex is held.

    def come_in(self) -> int:
        """An index in the round. Who completes it has to `act`."""
        if self.broken:
            raise BrokenBarrierError
        inside = self.round.inside
        mine = next(i for i in range(self.parties) if i not in inside) if len(inside) in inside else len(inside)
        inside.add(mine)
        self.acting = len(inside) == self.parties
        return mine

    def go_out(self, round: _Round, mine: int) -> None:
        """Leave with an exception, as if one had not come."""
        if round.fate == "open":
            round.inside.discard(mine)

    def decide(self, fate: Literal["passed", "broken"]) -> None:
        """End the round."""
        self.round.fate = fate
        self.round = _Round()
        self.changed.notify_all()

    def break_(self) -> None:
        self.broken = True
        self.decide("broken")

    def run_out(self, round: _Round) -> None:
        """Somebody's time is over."""
        if round.fate == "open":
            self.break_()

    # Whole operations.

    def act(self, round: _Round, mine: int) -> int:
        """Run the action, and let the round pass if that went well, and if it was not broken meanwhile."""
        well = False
        try:
            if self.action is not None:
                self.action()
            well = True
        finally:
            with self.mutex:
                self.acting = False
                if round.fate != "open":
                    self.changed.notify_all()
                elif well:
                    self.decide("passed")
                else:
                    self.break_()
        return round.answer(mine)

    def wait(self, timeout: float | None) -> int:
        with self.mutex:
            while self.acting:
                self.changed.wait()
            round = self.round
            mine = self.come_in()
            if not self.acting:
                try:
                    self.await_fate(round, self.timeout if timeout is None else timeout)
                except BaseException:
                    self.go_out(round, mine)
                    raise
                return round.answer(mine)
        return self.act(round, mine)

    def await_fate(self, round: _Round, timeout: float | None) -> None:
        """The time that the action takes does not count."""
        deadline = None if timeout is None else monotonic() + timeout
        while round.fate == "open":
            remaining = None if deadline is None or self.acting else deadline - monotonic()
            if remaining is not None and remaining <= 0:
                self.run_out(round)
            else:
                self.changed.wait(remaining)

    def phase(self) -> BarrierState:
        if self.broken:
            return "broken"
        if self.acting:
            return "acting"
        return "draining" if self.changed.told and not self.round.inside else "filling"


class _Arrival(Turn):
    """A task's wait for the others."""

    __slots__ = ("barrier", "mine", "round", "timeout")

    def __init__(self, barrier: _BarrierState, timeout: float | None) -> None:
        self.timeout = barrier.timeout if timeout is None else timeout
        super().__init__(barrier.changed, deadline_in(self.timeout))
        self.barrier = barrier
        self.round: _Round | None = None
        self.mine = 0

    def look(self, told: bool) -> Any:
        barrier = self.barrier
        if self.round is None:
            if barrier.acting:
                return NOT_YET
            if not barrier.broken and len(barrier.round.inside) + 1 < barrier.parties:
                check_span(self.timeout)
            self.round = barrier.round
            self.mine = barrier.come_in()
            if barrier.acting:
                return barrier.act
        if self.round.fate != "open":
            return self.round.answer(self.mine)
        if barrier.acting:
            self.deadline = None
        elif self.over:
            barrier.run_out(self.round)
            return self.round.answer(self.mine)
        return NOT_YET

    def step(self, wake: Any) -> Any:
        answer = super().step(wake)
        return answer(self.round, self.mine) if answer == self.barrier.act else answer

    def quit(self) -> None:
        super().quit()
        if self.round is not None and not self.gone():
            with self.waiters.lock:
                self.barrier.go_out(self.round, self.mine)


class Barrier(Handle[_BarrierState], kind="Barrier"):
    """Barrier(parties, action=None, timeout=None, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Barrier`: `wait` returns when `parties` threads are in it; one of them has called `action` before.
    `timeout` is what `wait` takes for its own where it is given none. `with` closes the handle.

    Raises ValueError for `parties` below 1, FileExistsError when the name is taken, ValueError when what is there is
    not a barrier of as many parties.
    """

    __slots__ = ()

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
        wanted = index(parties)
        if wanted < 1:
            raise ValueError(f"parties must be > 0: {wanted}")
        limit = span(timeout)

        def differs(found: Any) -> str | None:
            return unlike("parties", found.parties, wanted) or unlike("timeout", found.timeout, limit)

        super().__init__(
            registry.open_state(
                lambda name: _BarrierState(name, wanted, action, limit),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                kind="Barrier",
                differs=differs,
            )
        )

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have come; a number from 0 to `parties - 1`, to each its own.

        Raises threading.BrokenBarrierError when the time is over, which breaks the barrier for everybody, and when it
        is reset or aborted meanwhile, or broken already.
        """
        return self._state.wait(span(timeout))

    async def await_(self, timeout: float | None = None) -> int:
        """`wait`, which lets the event loop go on meanwhile. A task that is cancelled has not come.

        An action is called as it is, in the loop where a task is the last to come.
        """
        mine: int = await wait(_Arrival(self._state, span(timeout)))
        return mine

    def reset(self) -> None:
        """Make it empty and whole; threads that wait get a BrokenBarrierError."""
        state = self._state
        with state.mutex:
            state.broken = False
            state.decide("broken")

    def abort(self) -> None:
        """Break it: threads that wait, and all that come until `reset()`, get a BrokenBarrierError."""
        state = self._state
        with state.mutex:
            state.break_()

    @property
    def parties(self) -> int:
        """How many have to come."""
        return self._state.parties

    @property
    def n_waiting(self) -> int:
        """How many have come."""
        return len(self._state.round.inside)

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self._state.broken

    def statistics(self) -> BarrierStatistics:
        """Who has come and in what state it is, as one frozen picture."""
        state = self._state
        waiting = len(state.round.inside)
        return BarrierStatistics(
            name=state.name,
            kind=state.kind,
            parties=state.parties,
            waiting=waiting,
            state=state.phase(),
            owners=(os.getpid(),) * waiting,
            attached=(os.getpid(),),
        )

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        shown = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<sharedkit.Barrier at {id(self):#x} name={self._name!r}: {shown}>"
