"""The server's state of one structure, and the calls that wait in it.

A call that must wait joins a *line*, a queue of waiting calls. After each step, `settle` continues every call that can
go on, in each line the one that has waited longest first. So between two requests, the first call of a line never could
go on. A new call that need not wait therefore overtakes no other call, no wake-up is wasted, and if a client has died
or left, the next call gets what that client's call would have got.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sharedkit.manager.sessions import Session
from sharedkit.manager.states.call import Call, Line, Wait, Waiting

__all__ = ["Call", "Line", "Session", "State", "Wait", "Waiting", "kinds"]

kinds: dict[str, type[State]] = {}


class State:
    """One structure in the server. `refs` counts the open handles of each session. `keepers` are the persistent
    structures that need this one; a persistent structure is its own keeper.

    A client's request "x" is the method `do_x(call, ...)`. `undo_x(call, result, ...)` takes its result back if the
    result did not reach the client; `undoable` are the methods that have one. `spec` contains the structure's
    parameters; a client that opens the structure with `exist_ok` must give equal ones.
    """

    kind: ClassVar[str] = ""
    undoable: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        cls.undoable = frozenset(name.removeprefix("undo_") for name in dir(cls) if name.startswith("undo_"))
        if cls.kind:
            kinds[cls.kind] = cls

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        self.name = name
        self.spec = spec
        self.ident = 0
        self.refs: dict[Session, int] = {}
        self.keepers: set[State] = set()
        self.lines: tuple[Line, ...] = ()

    def attached(self) -> tuple[int, ...]:
        """The process ids of the sessions that have the structure open."""
        return tuple(sorted({session.pid for session in self.refs if session.is_open()}))

    def parts(self) -> tuple[State, ...]:
        """Further states that live and end with this one."""
        return ()

    def settle(self) -> None:
        """Continue every call that can go on."""
        moved = True
        while moved:
            moved = False
            for line in self.lines:
                while line.calls and line.ready():
                    next(iter(line.calls)).go_on(True)
                    moved = True

    def forget(self, session: Session) -> None:
        """Release everything that this session holds here, because it died or closed its last handle."""

    def end(self, at_once: bool = False) -> None:
        """End the state, because no session has it open or, if `at_once`, because the server ends. Called once, in the
        loop; must not wait."""
