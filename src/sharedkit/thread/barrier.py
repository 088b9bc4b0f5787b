"""A barrier for the threads of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from operator import index

from sharedkit.statistics import BarrierState, BarrierStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Handle
from sharedkit.thread.registry import DEFAULT_SEATS, State

__all__ = ["Barrier"]


class _Action:
    """What the last to come calls, and whether it is being called now."""

    def __init__(self, call: Callable[[], object] | None) -> None:
        self.call = call
        self.running = False

    def __call__(self) -> None:
        if self.call is not None:
            self.running = True
            try:
                self.call()
            finally:
                self.running = False


class _BarrierState(State):
    __slots__ = ("action", "core", "inside")

    kind = "Barrier"

    def __init__(self, name: str, parties: int, action: Callable[[], object] | None, timeout: float | None) -> None:
        super().__init__(name)
        self.action = _Action(action)
        self.inside: set[int] = set()
        self.core = threading.Barrier(parties, self.action, timeout)

    def phase(self) -> BarrierState:
        if self.core.broken:
            return "broken"
        if self.action.running:
            return "acting"
        return "draining" if self.inside and not self.core.n_waiting else "filling"


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

        def differs(found: State) -> str | None:
            if not isinstance(found, _BarrierState):
                return f"it is a {found.kind}, not a Barrier"
            if found.core.parties != wanted:
                return f"it is for {found.core.parties} parties, not {wanted}"
            return None

        super().__init__(
            registry.open_state(
                lambda name: _BarrierState(name, wanted, action, timeout),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                differs=differs,
            )
        )

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have come; a number from 0 to `parties - 1`, to each its own.

        Raises threading.BrokenBarrierError when the time is over, which breaks the barrier for everybody, and when it
        is reset or aborted meanwhile, or broken already.
        """
        state = self._state
        me = threading.get_ident()
        state.inside.add(me)
        try:
            return state.core.wait(timeout)
        finally:
            state.inside.discard(me)

    def reset(self) -> None:
        """Make it empty and whole; threads that wait get a BrokenBarrierError."""
        self._state.core.reset()

    def abort(self) -> None:
        """Break it: threads that wait, and all that come until `reset()`, get a BrokenBarrierError."""
        self._state.core.abort()

    @property
    def parties(self) -> int:
        """How many have to come."""
        return self._state.core.parties

    @property
    def n_waiting(self) -> int:
        """How many have come."""
        return self._state.core.n_waiting

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self._state.core.broken

    def statistics(self) -> BarrierStatistics:
        """Who has come and in what state it is, as one frozen picture."""
        state = self._state
        waiting = state.core.n_waiting
        return BarrierStatistics(
            name=state.name,
            kind=state.kind,
            parties=state.core.parties,
            waiting=waiting,
            state=state.phase(),
            owners=(os.getpid(),) * waiting,
            attached=(os.getpid(),),
        )

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        core = self._state.core
        shown = "broken" if core.broken else f"waiters={core.n_waiting}/{core.parties}"
        return f"<sharedkit.Barrier at {id(self):#x} name={self._name!r}: {shown}>"
