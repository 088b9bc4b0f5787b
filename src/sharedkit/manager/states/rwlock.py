"""A lock for many readers or one writer, in the server. What a dead client held is free again."""

from __future__ import annotations

from time import time
from typing import Any

from sharedkit._times import check_wait
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
        self.torn = False
        self.to_write = Line(lambda: self.writer is None and not self.readers)
        self.to_read = Line(lambda: self.writer is None and not self.to_write.calls)
        self.lines = (self.to_write, self.to_read)

    def do_acquire_read(self, call: Call, blocking: bool, timeout: float) -> Waiting[tuple[bool, bool]]:
        check_wait(blocking, timeout)
        wait = Wait(self.to_read, None if timeout == -1 else timeout)
        if not self.to_read.ready() and (not blocking or not (yield wait)):
            return False, False
        self.readers[call.session] = self.readers.get(call.session, 0) + 1
        return True, self.torn

    def undo_acquire_read(self, call: Call, got: tuple[bool, bool], *args: Any) -> None:
        if got[0] and call.session in self.readers:
            self.do_release_read(call)

    def do_release_read(self, call: Call) -> None:
        if call.session not in self.readers:
            raise NotLockedError("release of a lock that this process does not read under")
        self.readers[call.session] -= 1
        if not self.readers[call.session]:
            del self.readers[call.session]

    def do_acquire_write(self, call: Call, blocking: bool, timeout: float) -> Waiting[tuple[bool, bool]]:
        check_wait(blocking, timeout)
        wait = Wait(self.to_write, None if timeout == -1 else timeout)
        if not self.to_write.ready() and (not blocking or not (yield wait)):
            return False, False
        self.writer, self.since = call.session, time()
        return True, self.torn

    def undo_acquire_write(self, call: Call, got: tuple[bool, bool], *args: Any) -> None:
        if got[0] and self.writer is call.session:
            self.writer = None

    def do_release_write(self, call: Call) -> None:
        if self.writer is None:
            raise NotLockedError("release of a lock that nobody writes under")
        self.writer = None
        self.torn = False

    def forget(self, session: Session) -> None:
        self.readers.pop(session, None)
        if self.writer is session:
            self.writer = None
            self.torn = True

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
            owner_died=self.torn,
            attached=self.attached(),
        )
