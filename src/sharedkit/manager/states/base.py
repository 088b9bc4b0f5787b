"""What the server keeps of one structure, and who may go on in it.

Between two requests the first of each line of a state cannot go on: after each step `settle` has let everybody go on
who could, the longest waiting first. So a newcomer that need not wait passes nobody, nothing wakes in vain, and what
was meant for a client that died or left goes to the next.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sharedkit.manager.sessions import Session
from sharedkit.manager.states.call import Call, Line, Wait, Waiting

__all__ = ["Call", "Line", "Session", "State", "Wait", "Waiting", "kinds"]

kinds: dict[str, type[State]] = {}


class State:
    """One structure in the server. `refs` counts the open handles of each session; `keepers` are those that persist
    and need it, itself among them.

    A method `do_x(call, ...)` is what a client may ask for as "x", and `undo_x(call, result, ...)` takes it back for a
    client that it did not reach. `spec` is what an equal structure has equal.
    """

    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
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
        """The process ids of those that have it open."""
        return tuple(sorted({session.pid for session in self.refs if session.is_open()}))

    def parts(self) -> tuple[State, ...]:
        """Further states that live and end with this one."""
        return ()

    def settle(self) -> None:
        """Let everybody go on who can."""
        moved = True
        while moved:
            moved = False
            for line in self.lines:
                while line.calls and line.ready():
                    next(iter(line.calls)).go_on(True)
                    moved = True

    def forget(self, session: Session) -> None:
        """Take back what this session held here: it died, or closed its last handle."""

    def end(self, at_once: bool = False) -> None:
        """Nobody has it any more; or, `at_once`, the server ends. Called once, in the loop: it waits for nothing."""
