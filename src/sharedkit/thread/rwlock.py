"""A lock that many hold to read or one to write, for the threads of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic, time
from types import TracebackType

from sharedkit.errors import NotLockedError
from sharedkit.statistics import RWLockStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Handle
from sharedkit.thread.registry import DEFAULT_SEATS, State
from sharedkit.thread.rlock import check_wait

__all__ = ["RWLock"]


class _RWLockState(State):
    """Everything under `mutex`, on which both conditions are."""

    __slots__ = ("mutex", "no_writer", "nobody", "readers", "since", "waiting_readers", "waiting_writers", "writing")

    kind = "RWLock"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.mutex = threading.Lock()
        self.no_writer = threading.Condition(self.mutex)
        self.nobody = threading.Condition(self.mutex)
        self.readers = 0
        self.writing = False
        self.since = 0.0
        self.waiting_readers = 0
        self.waiting_writers = 0

    def may_read(self) -> bool:
        return not self.writing and not self.waiting_writers

    def may_write(self) -> bool:
        return not self.writing and not self.readers

    def acquire_read(self, blocking: bool, timeout: float) -> bool:
        check_wait(blocking, timeout)
        with self.mutex:
            if not self.may_read():
                self.waiting_readers += 1
                try:
                    if not _await(self.no_writer, self.may_read, blocking, timeout):
                        return False
                finally:
                    self.waiting_readers -= 1
            self.readers += 1
        return True

    def release_read(self) -> None:
        with self.mutex:
            if not self.readers:
                raise NotLockedError("release of a lock that nobody reads under")
            self.readers -= 1
            if not self.readers:
                self.nobody.notify()

    def acquire_write(self, blocking: bool, timeout: float) -> bool:
        check_wait(blocking, timeout)
        with self.mutex:
            if not self.may_write():
                self.waiting_writers += 1
                came = False
                try:
                    came = _await(self.nobody, self.may_write, blocking, timeout)
                    if not came:
                        return False
                finally:
                    self.waiting_writers -= 1
                    if not came:  # readers had waited for this one, and a wake-up may have been for it
                        self.nobody.notify()
                        self.no_writer.notify_all()
            self.writing = True
            self.since = time()
        return True

    def release_write(self) -> None:
        with self.mutex:
            if not self.writing:
                raise NotLockedError("release of a lock that nobody writes under")
            self.writing = False
            if self.waiting_writers:
                self.nobody.notify()
            else:
                self.no_writer.notify_all()


def _await(changed: threading.Condition, may: Callable[[], bool], blocking: bool, timeout: float) -> bool:
    """Return True as soon as one may, or False where that does not come in time. The mutex is held."""
    deadline = None if timeout == -1 else monotonic() + timeout
    while blocking and not may():
        remaining = None if deadline is None else deadline - monotonic()
        if remaining is not None and remaining <= 0:
            break
        changed.wait(remaining)
    return may()


class _Side:
    """Reading or writing, with the face of a Lock."""

    __slots__ = ("_acquire", "_locked", "_release")

    def __init__(
        self, acquire: Callable[[bool, float | None], bool], release: Callable[[], None], locked: Callable[[], bool]
    ) -> None:
        self._acquire = acquire
        self._release = release
        self._locked = locked

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """As `RWLock.acquire_read` or `acquire_write`."""
        return self._acquire(blocking if block is None else block, timeout)

    def release(self) -> None:
        """As `RWLock.release_read` or `release_write`."""
        self._release()

    def locked(self) -> bool:
        """Whether somebody reads, or writes."""
        return self._locked()

    def __enter__(self) -> bool:
        return self._acquire(True, -1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()


class RWLock(Handle[_RWLockState], kind="RWLock"):
    """RWLock(*, name=None, exist_ok=False, persist=False, seats=192)

    A lock that many threads hold to read or one to write: `with rw.reader:`, `with rw.writer:`. While somebody waits to
    write nobody new begins to read. It cannot be upgraded, and who reads must not begin to read again, which would wait
    for a writer that waits for the first reading to end. `with` on the handle itself closes it.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an RWLock.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        def differs(found: State) -> str | None:
            return None if isinstance(found, _RWLockState) else f"it is a {found.kind}, not an RWLock"

        super().__init__(
            registry.open_state(_RWLockState, name, exist_ok=exist_ok, persist=persist, seats=seats, differs=differs)
        )

    def acquire_read(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to read beside others, and say whether that came about before `timeout` seconds were over.

        Raises as `Lock.acquire` does.
        """
        return self._state.acquire_read(blocking if block is None else block, -1 if timeout is None else timeout)

    def release_read(self) -> None:
        """End reading, in any thread; NotLockedError where nobody reads."""
        self._state.release_read()

    def acquire_write(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to write alone, and say whether that came about before `timeout` seconds were over.

        Raises as `Lock.acquire` does.
        """
        return self._state.acquire_write(blocking if block is None else block, -1 if timeout is None else timeout)

    def release_write(self) -> None:
        """End writing, in any thread; NotLockedError where nobody writes."""
        self._state.release_write()

    @property
    def reader(self) -> _Side:
        """Reading, with the face of a Lock."""
        self._state.ensure_open()
        return _Side(self.acquire_read, self.release_read, lambda: self._state.readers > 0)

    @property
    def writer(self) -> _Side:
        """Writing, with the face of a Lock."""
        self._state.ensure_open()
        return _Side(self.acquire_write, self.release_write, lambda: self._state.writing)

    @property
    def owner_died(self) -> bool:
        """False: the threads of a process do not die without it."""
        self._state.ensure_open()
        return False

    def statistics(self) -> RWLockStatistics:
        """Who writes, how many read and how many wait, as one frozen picture."""
        state = self._state
        me = os.getpid()
        with state.mutex:
            return RWLockStatistics(
                name=state.name,
                kind=state.kind,
                writer=me if state.writing else None,
                since=state.since if state.writing else None,
                readers={me: state.readers} if state.readers else {},
                waiting_readers=state.waiting_readers,
                waiting_writers=state.waiting_writers,
                owner_died=False,
                attached=(me,),
            )

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        state = self._state
        held = "writing" if state.writing else f"readers={state.readers}"
        return f"<sharedkit.RWLock at {id(self):#x} name={state.name!r}: {held}>"
