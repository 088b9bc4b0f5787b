"""A lock for many readers or one writer, in the server. What a dead client held is free again."""

from __future__ import annotations

from time import time
from typing import Any

from sharedkit.errors import NotLockedError
from sharedkit.manager.states.base import Call, Session, State, check_wait
from sharedkit.statistics import RWLockStatistics

__all__ = ["RWLockState"]


class RWLockState(State):
    kind = "RWLock"

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.readers: dict[Session, int] = {}
        self.writer: Session | None = None
        self.since = 0.0
        self.waiting_readers = 0
        self.waiting_writers = 0
        self.torn = False

    def _may_read(self) -> bool:
        return self.writer is None and not self.waiting_writers

    def _may_write(self) -> bool:
        return self.writer is None and not self.readers

    def do_acquire_read(self, call: Call, blocking: bool, timeout: float) -> tuple[bool, bool]:
        check_wait(blocking, timeout)
        with self.changed:
            if not self._may_read():
                if not blocking:
                    return False, False
                self.waiting_readers += 1
                try:
                    if not self.await_it(call, self._may_read, None if timeout == -1 else timeout):
                        return False, False
                finally:
                    self.waiting_readers -= 1
            self.readers[call.session] = self.readers.get(call.session, 0) + 1
            call.undo = lambda: self.do_release_read(call)
            return True, self.torn

    def do_release_read(self, call: Call) -> None:
        with self.changed:
            if call.session not in self.readers:
                raise NotLockedError("release of a lock that this process does not read under")
            self.readers[call.session] -= 1
            if not self.readers[call.session]:
                del self.readers[call.session]
            self.changed.notify_all()

    def do_acquire_write(self, call: Call, blocking: bool, timeout: float) -> tuple[bool, bool]:
        check_wait(blocking, timeout)
        with self.changed:
            if not self._may_write():
                if not blocking:
                    return False, False
                self.waiting_writers += 1
                try:
                    if not self.await_it(call, self._may_write, None if timeout == -1 else timeout):
                        return False, False
                finally:
                    self.waiting_writers -= 1
                    self.changed.notify_all()  # readers had waited for this one
            self.writer, self.since = call.session, time()
            call.undo = lambda: self._undo_write(call.session)
            return True, self.torn

    def _undo_write(self, session: Session) -> None:
        with self.changed:
            if self.writer is session:
                self.writer = None
                self.changed.notify_all()

    def do_release_write(self, call: Call) -> None:
        with self.changed:
            if self.writer is None:
                raise NotLockedError("release of a lock that nobody writes under")
            self.writer = None
            self.torn = False
            self.changed.notify_all()

    def forget(self, session: Session) -> None:
        self.readers.pop(session, None)
        if self.writer is session:
            self.writer = None
            self.torn = True
        self.changed.notify_all()

    def do_statistics(self, call: Call) -> RWLockStatistics:
        with self.changed:
            readers: dict[int, int] = {}
            for session, count in self.readers.items():
                readers[session.pid] = readers.get(session.pid, 0) + count
            return RWLockStatistics(
                name=self.name,
                kind=self.kind,
                writer=None if self.writer is None else self.writer.pid,
                since=None if self.writer is None else self.since,
                readers=readers,
                waiting_readers=self.waiting_readers,
                waiting_writers=self.waiting_writers,
                owner_died=self.torn,
                attached=self.attached(),
            )
