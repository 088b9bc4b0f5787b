"""All structures of one server: their names, the sessions that have them open, and those in transit to a new process.

A structure lives while a session has it open, while a *ticket* keeps it alive in transit, or until `unlink()` if it
persists.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import partial
from time import monotonic
from typing import Any

from sharedkit._core.differences import is_another, unlike, with_another
from sharedkit.errors import GoneError
from sharedkit.manager.arguments import REGISTRY
from sharedkit.manager.loop import Timer
from sharedkit.manager.states import Call, ConditionState, LockState, Session, State, kinds

__all__ = ["ObjectRegistry"]

TICKET_SECONDS = 120.0


class ObjectRegistry:
    """The structures of a server. It also handles requests itself: as in a State, method `do_x` handles request `x`."""

    kind = REGISTRY
    undoable = frozenset({"create", "attach", "arrive"})

    def __init__(self) -> None:
        # random, so that a handle of an earlier server at this address cannot name a structure of this server
        self._last = secrets.randbits(60)
        self._states: dict[int, State] = {}
        self._names: dict[str, State] = {}
        self._tickets: dict[str, tuple[Timer, dict[State, int]]] = {}
        self.sessions: dict[str, Session] = {}

    def settle(self) -> None:
        """Do nothing: no request to the registry itself waits."""

    # --- structures

    def do_create(
        self, call: Call, kind: str, name: str, exist_ok: bool, persist: bool, spec: dict[str, Any], extra: Any
    ) -> int:
        """The number of the new structure; or of the existing one of that name, if `exist_ok` is true and it is
        equal."""
        found = self._names.get(name)
        if found is not None:
            if not exist_ok:
                raise FileExistsError(f"{found.kind} {name!r} exists; exist_ok=True attaches to it")
            _refuse_other(found, kind, spec, persist)
            return self._add_reference(call.session, found)
        state = self._make(kind, name, spec, extra)
        self._adopt(state)
        self._names[name] = state
        if persist:
            for each in (state, *state.parts()):
                each.keepers.add(state)
        return self._add_reference(call.session, state)

    def undo_create(self, call: Call, ident: int, *args: Any) -> None:
        self.release(call.session, (ident,))

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

    def _add_reference(self, session: Session, state: State) -> int:
        for each in (state, *state.parts()):
            each.refs[session] = each.refs.get(session, 0) + 1
        return state.ident

    def do_attach(self, call: Call, name: str) -> tuple[str, int]:
        """Kind and number of the structure called `name`."""
        state = self._names.get(name)
        if state is None:
            raise FileNotFoundError(f"no structure of this server is called {name!r}")
        return state.kind, self._add_reference(call.session, state)

    def undo_attach(self, call: Call, found: tuple[str, int], *args: Any) -> None:
        self.release(call.session, (found[1],))

    def do_arrive(self, call: Call, ident: int, name: str, ticket: str | None) -> None:
        """Open the structure of an unpickled handle. `ticket`: the ticket that kept the structure alive in transit;
        None if there was none."""
        state = self._states.get(ident)
        if state is not None:
            self._add_reference(call.session, state)
        self._drop_ticket(ticket)
        if state is None:
            raise GoneError(
                f"{name!r} ended while the handle was on its way; keep another handle open until it arrives, or use "
                "persist=True"
            )

    def undo_arrive(self, call: Call, result: None, ident: int, *args: Any) -> None:
        self.release(call.session, (ident,))

    def find(self, session: Session, ident: int) -> State:
        """The structure of that number; the session must have it open."""
        state = self._states.get(ident)
        if state is None or session not in state.refs:
            raise GoneError(
                f"structure {ident} is not open in this process: it was closed, or it belonged to an earlier or another"
                " server; make or attach it again"
            )
        return state

    def do_release(self, call: Call) -> None:
        """Do nothing: every request carries the handles released since the last one, and `release` has handled them."""

    def do_undone(self, call: Call) -> None:
        """Do nothing but answer. A client sends this to see that the server runs; after an `undo`, the server answers
        this request in its place."""

    def do_lost(self, call: Call, ident: int, number: int) -> None:
        """Take back the answer to request `number` over another connection of the session, which did not come."""
        call.session.lose(ident, number)

    def release(self, session: Session, released: Iterable[int | str]) -> None:
        """Handle what a request carries, in order: numbers of structures whose handles the session closed or forgot,
        and, before them, tickets of children that were forked while those handles were still open."""
        for each in released:
            if isinstance(each, str):
                self._keep(session, each, self._states.values())
                continue
            state = self._states.get(each)
            if state is not None:
                self._drop(session, state)

    def _drop(self, session: Session, state: State) -> None:
        """Remove one reference. If it was the session's last reference to a structure, also end the session's waits
        there and release what it holds there."""
        whole = (state, *state.parts())
        lost = []
        for each in whole:
            if session in each.refs:
                each.refs[session] -= 1
                if each.refs[session] <= 0:
                    del each.refs[session]
                    lost.append(each)
        for each in lost:
            for call in session.waiting_in(each):
                call.cancel()
        for each in lost:
            each.forget(session)
            each.settle()
        for each in whole:
            self._end_unused(each)

    def _end_unused(self, state: State) -> None:
        """End the structure if it is unused: no session has it open, no ticket keeps it, and it does not persist."""
        if state.refs or state.keepers or any(state in kept for _, kept in self._tickets.values()):
            return
        if self._states.pop(state.ident, None) is not None:
            state.end()
        if self._names.get(state.name) is state:
            del self._names[state.name]

    def do_unlink(self, call: Call, ident: int) -> None:
        """Free the name of the structure. From now on a persistent structure, too, lives only while it is in use."""
        state = self.find(call.session, ident)
        if self._names.get(state.name) is state:
            del self._names[state.name]
        for each in (state, *state.parts()):
            each.keepers.discard(state)
            self._end_unused(each)

    # --- in transit

    def do_ticket(self, call: Call, ticket: str, ident: int | None) -> None:
        """Keep a structure, or all that the session has open, alive until a starting process has opened them."""
        state = None if ident is None else self.find(call.session, ident)
        self._keep(call.session, ticket, self._states.values() if state is None else (state, *state.parts()))

    def _keep(self, session: Session, ticket: str, wanted: Iterable[State]) -> None:
        """Make a ticket for structures that the session has open. If the ticket exists, add structures that were opened
        since.

        The first message about a ticket may come before the parent has forked the child. Structures that the parent
        opens before the fork belong to the ticket too.
        """
        if ticket in session.redeemed or session.life is None:
            return
        kept = {each: each.refs[session] for each in wanted if session in each.refs}
        if ticket in self._tickets:
            self._tickets[ticket][1].update(kept)
        else:
            end = partial(self._drop_ticket, ticket)
            self._tickets[ticket] = session.life.loop.timers.at(monotonic() + TICKET_SECONDS, end), kept

    def redeem(self, session: Session, inherited: tuple[str, str | None, tuple[int, ...]]) -> None:
        """Give a forked process the structures that its parent had open and that the child has handles on.

        The ticket may come after the child itself; then the parent's session still has all structures.
        """
        parent, ticket, idents = inherited
        before = self.sessions.get(parent)
        kept = self._tickets[ticket][1] if ticket in self._tickets else {}
        for ident in idents:
            state = self._states.get(ident)
            if state is not None and (state in kept or before in state.refs):
                self._add_reference(session, state)
        session.ticket = ticket
        if before is not None and ticket is not None:
            before.redeemed.append(ticket)
        self._drop_ticket(ticket)

    def do_arrived(self, call: Call) -> None:
        """Record that a forked child knows its session."""
        call.session.arrived = True

    def _drop_ticket(self, ticket: str | None) -> None:
        """Remove a ticket that was used or has expired."""
        if ticket in self._tickets:
            timer, kept = self._tickets.pop(ticket)
            timer.cancel()
            for state in kept:
                self._end_unused(state)

    # --- sessions

    def end(self, session: Session) -> None:
        """End the session of a client process that has ended: end its waits, release what it held (locks, permits), and
        drop its references to structures."""
        if session.dead:
            return
        session.dead = True
        session.keep_none()
        self.sessions.pop(session.ident, None)
        for channel in list(session.channels):
            channel.close()
        mine = [state for state in self._states.values() if session in state.refs]
        # `arrived` is false: the child closed the connection before it learnt of this session, and may connect again
        # with the same ticket
        if session.ticket is not None and not session.arrived:
            self._keep(session, session.ticket, mine)
        for state in mine:
            state.forget(session)
        for state in mine:
            del state.refs[session]
            state.settle()
        for state in mine:
            self._end_unused(state)

    def close(self) -> None:
        """End all structures, when the server ends."""
        for state in list(self._states.values()):
            state.end(at_once=True)


def _refuse_other(found: State, kind: str, spec: dict[str, Any], persist: bool) -> None:
    """Raise a ValueError that says how the existing structure differs from the requested one, if it does."""
    if found.kind != kind:
        raise is_another(repr(found.name), found.kind, kind)
    for key, value in spec.items():
        there = found.spec[key]
        if key == "lock" and there != value:  # the numbers of locks say nothing to a user
            raise with_another(
                repr(found.name), kind, "a lock of its own, not the one given" if there is None else "another lock"
            )
        if key == "names":  # a list or a tuple; all placements compare them as lists
            there, value = list(there), list(value)
        if (difference := unlike(key, there, value)) is not None:
            raise with_another(repr(found.name), kind, difference)
    if (difference := unlike("persist", found in found.keepers, bool(persist))) is not None:
        raise with_another(repr(found.name), kind, difference)
