"""Every structure of one server: names, who has which open, and what is on its way to a process that starts.

A structure lives while a session has it open, while it is on its way (a *ticket*), or until `unlink()` if it persists.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from time import monotonic
from typing import Any

from sharedkit.errors import GoneError
from sharedkit.manager.states import ConditionState, LockState, Session, State, kinds

__all__ = ["House"]

TICKET_SECONDS = 120.0


class House:
    """All of it under one lock, which is held for the length of a look-up and never in a wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._states: dict[int, State] = {}
        self._names: dict[str, State] = {}
        self._persistent: set[State] = set()
        self._tickets: dict[str, tuple[float, dict[State, int]]] = {}
        self.sessions: dict[str, Session] = {}

    # --- structures

    def create(
        self, session: Session, kind: str, name: str, exist_ok: bool, persist: bool, spec: dict[str, Any], extra: Any
    ) -> int:
        """The number of a new structure, or of an equal one of that name where `exist_ok`."""
        with self._lock:
            self._expire()
            found = self._names.get(name)
            if found is not None:
                if not exist_ok:
                    raise FileExistsError(f"{found.kind} {name!r} exists; exist_ok=True attaches to it")
                _refuse_other(found, kind, spec)
                return self._refer(session, found)
            state = self._make(kind, name, spec, extra)
            self._adopt(state)
            self._names[name] = state
            if persist:
                self._persistent.update((state, *state.parts()))
            return self._refer(session, state)

    def _make(self, kind: str, name: str, spec: dict[str, Any], extra: Any) -> State:
        cls: Any = kinds[kind]
        if cls is ConditionState:
            lock: Any = None if spec["lock"] is None else self._states.get(spec["lock"])
            if spec["lock"] is not None and not isinstance(lock, LockState):
                raise GoneError("the lock of this condition is no longer there")
            state: State = cls(name, spec, lock)
        else:
            state = cls(name, spec, *extra)
        return state

    def _adopt(self, state: State) -> None:
        for each in (state, *state.parts()):
            if not each.ident:
                self._last += 1
                each.ident = self._last
                self._states[each.ident] = each

    def _refer(self, session: Session, state: State, count: int = 1) -> int:
        if session.dead:
            raise GoneError("the client has ended")
        for each in (state, *state.parts()):
            each.refs[session] = each.refs.get(session, 0) + count
        return state.ident

    def attach(self, session: Session, name: str) -> tuple[str, int]:
        """Kind and number of what is called `name`."""
        with self._lock:
            self._expire()
            state = self._names.get(name)
            if state is None:
                raise FileNotFoundError(f"no structure of this server is called {name!r}")
            return state.kind, self._refer(session, state)

    def arrive(self, session: Session, ident: int, name: str, ticket: str | None) -> None:
        """Open what was pickled; with a ticket it was kept alive on its way."""
        with self._lock:
            state = self._states.get(ident)
            if state is not None:
                self._refer(session, state)
            self._expire(ticket)
            if state is None:
                raise GoneError(f"{name!r} ended while the handle was on its way; keep one open, or use persist=True")

    def find(self, session: Session, ident: int) -> State:
        """The structure of that number, which the session must have open."""
        state = self._states.get(ident)
        if state is None or session not in state.refs:
            raise GoneError(f"structure {ident} is not open in this process")
        return state

    def release(self, session: Session, idents: Iterable[int]) -> None:
        """Some handles of the session were closed or forgotten."""
        for ident in idents:
            with self._lock:
                state = self._states.get(ident)
                left = () if state is None else self._drop(session, state, 1)
            for each in left:
                with each.changed:
                    each.forget(session)

    def _drop(self, session: Session, state: State, count: int) -> list[State]:
        """Strike references off; those of which the session has none left."""
        gone = []
        whole = (state, *state.parts())
        for each in whole:
            if session in each.refs:
                each.refs[session] -= count
                if each.refs[session] <= 0:
                    del each.refs[session]
                    gone.append(each)
        for each in whole:
            self._end_unused(each)
        return gone

    def _end_unused(self, state: State) -> None:
        """Let the structure go if nobody has it: no session, no ticket, and it does not persist."""
        if state.refs or state in self._persistent or any(state in kept for _, kept in self._tickets.values()):
            return
        self._states.pop(state.ident, None)
        if self._names.get(state.name) is state:
            del self._names[state.name]

    def unlink(self, state: State) -> None:
        """Give its name free; a structure that persists lives from now on as others do."""
        with self._lock:
            if self._names.get(state.name) is state:
                del self._names[state.name]
            for each in (state, *state.parts()):
                self._persistent.discard(each)
                self._end_unused(each)

    # --- on the way

    def ticket(self, session: Session, ticket: str, ident: int | None) -> None:
        """Keep a structure alive, or all that the session has open, until a process that starts has them."""
        with self._lock:
            self._expire()
            if ident is None:
                wanted = tuple(self._states.values())
            else:
                wanted = (self._states[ident], *self._states[ident].parts())
            kept = {state: state.refs[session] for state in wanted if session in state.refs}
            self._tickets[ticket] = monotonic() + TICKET_SECONDS, kept

    def redeem(self, session: Session, ticket: str) -> None:
        """A process that was forked has all that its parent had."""
        with self._lock:
            _, kept = self._tickets.get(ticket, (0.0, {}))
            for state, count in kept.items():
                state.refs[session] = state.refs.get(session, 0) + count
            self._expire(ticket)

    def _expire(self, used: str | None = None) -> None:
        now = monotonic()
        for ticket in [each for each, (until, _) in self._tickets.items() if each == used or until < now]:
            _, kept = self._tickets.pop(ticket)
            for state in kept:
                self._end_unused(state)

    # --- sessions

    def end(self, session: Session) -> None:
        """A client process is gone: end its waits, take back what it held, let go of what it had open."""
        session.dead = True
        for call in list(session.calls):
            call.cancel()
        with self._lock:
            self.sessions.pop(session.ident, None)
            mine = [state for state in self._states.values() if session in state.refs]
        for state in mine:
            with state.changed:
                state.forget(session)
        with self._lock:
            for state in mine:
                state.refs.pop(session, None)
            for state in mine:
                self._end_unused(state)


def _refuse_other(found: State, kind: str, spec: dict[str, Any]) -> None:
    difference = None if found.kind == kind else f"it is a {found.kind}, not a {kind}"
    if difference is None:
        for key, value in spec.items():
            if found.spec[key] != value:
                difference = f"{key} is {found.spec[key]!r}, not {value!r}"
    if difference is not None:
        raise ValueError(f"{found.name!r} exists and differs: {difference}")
