"""A lock that many hold to read or one to write, for the threads of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from time import monotonic, time
from types import TracebackType
from typing import Any

from sharedkit._times import check_wait
from sharedkit.errors import NotLockedError
from sharedkit.statistics import RWLockStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Handle
from sharedkit.thread.registry import DEFAULT_SEATS, State
from sharedkit.thread.waiters import NOT_YET, Turn, Waiters, deadline_in, wait

__all__ = ["RWLock"]

HONOUR = 0.01  # seconds


class _RWLockState(State):
    """Everything under `mutex`. Who wants to read waits until there is `no_writer`, who wants to write for `nobody`.

    Who waits to write goes before who comes to read, but only one writer before a reader that waits: when it is done,
    those that wait to read may begin whoever waits to write, and a thread that would write steps back for them, for
    `HONOUR` seconds at most (they may have given up, or their loop may not run).
    """

    __slots__ = ("due", "mutex", "no_writer", "nobody", "readers", "since", "writes", "writing")

    kind = "RWLock"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.mutex = threading.Lock()
        self.no_writer = Waiters(self.mutex)
        self.nobody = Waiters(self.mutex)
        self.readers = 0
        self.writing = False
        self.writes = 0  # how many have begun to write
        self.due = 0.0  # until when (monotonic) those that wait to read go first
        self.since = 0.0

    # Steps; the mutex is held.

    def read(self, came: int | None = None) -> bool:
        """Begin to read if one may; `came` is how many had written when the wait for it began."""
        if self.writing or (self.nobody.anybody() and (came is None or came == self.writes)):
            return False
        self.readers += 1
        self.due = 0.0
        return True

    def write(self) -> bool:
        """Begin to write if one may."""
        if self.writing or self.readers:
            return False
        self.writing = True
        self.writes += 1
        self.since = time()
        return True

    def write_in_turn(self) -> bool:
        """The same unless those that wait to read go first."""
        return monotonic() >= self.due and self.write()

    def pass_on(self) -> None:
        """Wake who may come next: a writer, or where none waits the readers."""
        if not self.nobody.anybody():
            if self.no_writer.line:
                self.no_writer.notify_all()
        elif not self.readers and not self.writing:
            self.nobody.notify()

    def came(self) -> int:
        """What a wait to read begins with: a writer that is in now is the one that goes before it."""
        return self.writes - self.writing

    def acquire_read(self, blocking: bool, timeout: float) -> bool:
        timeout = check_wait(blocking, timeout)
        with self.mutex:
            came = self.came()
            return self.read() or (blocking and _await(self.no_writer, lambda: self.read(came), timeout))

    def release_read(self) -> None:
        with self.mutex:
            if not self.readers:
                raise NotLockedError("release of a lock that nobody reads under")
            self.readers -= 1
            if not self.readers:
                self.pass_on()

    def acquire_write(self, blocking: bool, timeout: float) -> bool:
        timeout = check_wait(blocking, timeout)
        with self.mutex:
            came = self.write_in_turn() if blocking else self.write()
            if not came and blocking:
                try:
                    came = _await(self.nobody, self.write_in_turn, timeout, self)
                finally:
                    if not came:  # readers had waited for this one
                        self.pass_on()
            return came

    def release_write(self) -> None:
        with self.mutex:
            if not self.writing:
                raise NotLockedError("release of a lock that nobody writes under")
            self.writing = False
            if self.no_writer.anybody():
                self.due = monotonic() + HONOUR
                self.no_writer.notify_all()
            self.pass_on()

    async def aacquire(self, turn: type[Read], blocking: bool, timeout: float) -> bool:
        timeout = check_wait(blocking, timeout)
        got: bool = await wait(turn(self, deadline_in(None if timeout == -1 else timeout) if blocking else 0.0))
        return got


def _await(waiters: Waiters, begin: Callable[[], bool], timeout: float, writes: _RWLockState | None = None) -> bool:
    """Begin as soon as one may, or answer False where that does not come in time. The mutex is held. Who `writes` looks
    again when those that go first have had their time."""
    deadline = None if timeout == -1 else monotonic() + timeout
    while not begin():
        now = monotonic()
        remaining = None if deadline is None else deadline - now
        if remaining is not None and remaining <= 0:
            return False
        if writes is not None and writes.due > now:
            remaining = writes.due - now if remaining is None else min(remaining, writes.due - now)
        waiters.wait(remaining)
    return True


class Read(Turn):
    """A task's wait to read."""

    __slots__ = ("born", "rw")

    def __init__(self, rw: _RWLockState, deadline: float | None) -> None:
        super().__init__(waiters := self.among(rw), deadline, waiters)
        self.rw = rw
        self.born = rw.came()

    def among(self, rw: _RWLockState) -> Waiters:
        return rw.no_writer

    def begin(self) -> bool:
        return self.rw.read(self.born)

    def look(self, told: bool) -> Any:
        if self.begin():
            return True
        return False if self.over else NOT_YET


class Write(Read):
    """A task's wait to write, for which readers wait as well."""

    __slots__ = ("came",)

    def among(self, rw: _RWLockState) -> Waiters:
        self.came = False
        return rw.nobody

    def begin(self) -> bool:
        self.came = self.rw.write()
        return self.came

    def quit(self) -> None:
        if not self.came and not self.gone():
            with self.waiters.lock:
                self.waiters.leave(self)
                self.rw.pass_on()


class _Side:
    """Reading or writing, with the face of a Lock."""

    __slots__ = ("_aacquire", "_acquire", "_locked", "_release")

    def __init__(
        self,
        acquire: Callable[[bool, float | None], bool],
        aacquire: Callable[[bool, float | None], Awaitable[bool]],
        release: Callable[[], None],
        locked: Callable[[], bool],
    ) -> None:
        self._acquire = acquire
        self._aacquire = aacquire
        self._release = release
        self._locked = locked

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """As `RWLock.acquire_read` or `acquire_write`."""
        return self._acquire(blocking if block is None else block, timeout)

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """As `RWLock.aacquire_read` or `aacquire_write`."""
        return await self._aacquire(blocking if block is None else block, timeout)

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

    async def __aenter__(self) -> bool:
        return await self._aacquire(True, -1)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()


class RWLock(Handle[_RWLockState], kind="RWLock"):
    """RWLock(*, name=None, exist_ok=False, persist=False, seats=192)

    A lock that many threads hold to read or one to write: `with rw.reader:`, `with rw.writer:`. While somebody waits to
    write nobody new begins to read, but who has waited to read while another wrote goes before the next writer. It
    cannot be upgraded, and who reads must not begin to read again, which would wait for a writer that waits for the
    first reading to end. `with` on the handle itself closes it.

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
        super().__init__(
            registry.open_state(_RWLockState, name, exist_ok=exist_ok, persist=persist, seats=seats, kind="RWLock")
        )

    def acquire_read(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to read beside others, and say whether that came about before `timeout` seconds were over.

        Raises as `Lock.acquire` does.
        """
        return self._state.acquire_read(blocking if block is None else block, -1 if timeout is None else timeout)

    async def aacquire_read(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """`acquire_read`, which lets the event loop go on while it waits."""
        return await self._state.aacquire(
            Read, blocking if block is None else block, -1 if timeout is None else timeout
        )

    def release_read(self) -> None:
        """End reading, in any thread; NotLockedError where nobody reads."""
        self._state.release_read()

    def acquire_write(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to write alone, and say whether that came about before `timeout` seconds were over.

        Raises as `Lock.acquire` does.
        """
        return self._state.acquire_write(blocking if block is None else block, -1 if timeout is None else timeout)

    async def aacquire_write(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """`acquire_write`, which lets the event loop go on while it waits. Who is cancelled keeps no reader out."""
        return await self._state.aacquire(
            Write, blocking if block is None else block, -1 if timeout is None else timeout
        )

    def release_write(self) -> None:
        """End writing, in any thread; NotLockedError where nobody writes."""
        self._state.release_write()

    @property
    def reader(self) -> _Side:
        """Reading, with the face of a Lock."""
        self._state.ensure_open()
        return _Side(self.acquire_read, self.aacquire_read, self.release_read, lambda: self._state.readers > 0)

    @property
    def writer(self) -> _Side:
        """Writing, with the face of a Lock."""
        self._state.ensure_open()
        return _Side(self.acquire_write, self.aacquire_write, self.release_write, lambda: self._state.writing)

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
                waiting_readers=len(state.no_writer),
                waiting_writers=len(state.nobody),
                owner_died=False,
                attached=(me,),
            )

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        state = self._state
        held = "writing" if state.writing else f"readers={state.readers}"
        return f"<sharedkit.RWLock at {id(self):#x} name={state.name!r}: {held}>"
