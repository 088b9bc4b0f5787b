"""A lock for many readers or one writer, in the server. A dead client's holds are released.

A waiting writer goes before a newly arriving reader. When a writer ends, the readers that wait at that time go before
the next writer. So at most one writer overtakes a waiting reader, and one round of readers overtakes a waiting writer.
"""

from __future__ import annotations

from time import time
from typing import Any

from sharedkit._core.timeouts import check_wait
from sharedkit.errors import NotLockedError
from sharedkit.manager.states.base import Call, Line, Session, State, Wait, Waiting
from sharedkit.statistics import RWLockStatistics

__all__ = ["RWLockState"]


class RWLockState(State):
    kind = "RWLock"

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.readers: dict[Session, int] = {}
        self.writer: Session | None = None
        self.since = 0.0
        self.poisoned = False
        self.owed = 0  # how many of the waiting readers go before the next writer
        self.to_write = Line(lambda: self.writer is None and not self.readers and not self.owed_now())
        self.to_read = Line(lambda: self.writer is None and (not self.to_write.calls or self.owed_now() > 0))
        self.lines = (self.to_write, self.to_read)

    def owed_now(self) -> int:
        """How many of the readers that go before the next writer still wait."""
        self.owed = min(self.owed, len(self.to_read))
        return self.owed

    def write_ends(self) -> None:
        self.writer = None
        self.owed = len(self.to_read)

    def do_acquire_read(self, call: Call, blocking: bool, timeout: float) -> Waiting[tuple[bool, bool]]:
        check_wait(blocking, timeout)
        wait = Wait(self.to_read, None if timeout == -1 else timeout)
        may = self.writer is None and not self.to_write.calls
        if not may:
            if not blocking or not (yield wait):
                return False, False
            self.owed = max(self.owed - 1, 0)
        self.readers[call.session] = self.readers.get(call.session, 0) + 1
        return True, self.poisoned

    def undo_acquire_read(self, call: Call, got: tuple[bool, bool], *args: Any) -> None:
        if got[0] and call.session in self.readers:
            self.do_release_read(call)

    def do_release_read(self, call: Call) -> None:
        if call.session not in self.readers:
            raise NotLockedError("release of a read lock that this process does not hold")
        self.readers[call.session] -= 1
        if not self.readers[call.session]:
            del self.readers[call.session]

    def do_acquire_write(self, call: Call, blocking: bool, timeout: float) -> Waiting[tuple[bool, bool]]:
        check_wait(blocking, timeout)
        wait = Wait(self.to_write, None if timeout == -1 else timeout)
        if not self.to_write.ready() and (not blocking or not (yield wait)):
            return False, False
        self.writer, self.since = call.session, time()
        return True, self.poisoned

    def undo_acquire_write(self, call: Call, got: tuple[bool, bool], *args: Any) -> None:
        if got[0] and self.writer is call.session:
            self.write_ends()

    def do_release_write(self, call: Call) -> None:
        if self.writer is not call.session:
            raise NotLockedError("release of a write lock that this process does not hold")
        self.write_ends()
        self.poisoned = False

    def forget(self, session: Session) -> None:
        self.readers.pop(session, None)
        if self.writer is session:
            self.write_ends()
            self.poisoned = True

    def do_statistics(self, call: Call) -> RWLockStatistics:
        readers: dict[int, int] = {}
        for session, count in self.readers.items():
            readers[session.pid] = readers.get(session.pid, 0) + count
        return RWLockStatistics(
            name=self.name,
            kind=self.kind,
            writer=None if self.writer is None else self.writer.pid,
            since=None if self.writer is None else self.since,
            readers=readers,
            waiting_readers=len(self.to_read),
            waiting_writers=len(self.to_write),
            owner_died=self.poisoned,
            attached=self.attached(),
        )
