"""A condition in a Redis server."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from sharedkit._core.callers import warn_caller
from sharedkit._core.condition_methods import ConditionMethods
from sharedkit._core.counts import perhaps_a_name
from sharedkit._core.timeouts import check_wait, refuse_too_long, span
from sharedkit.errors import GoneError, OwnerDiedWarning, SharedkitError
from sharedkit.redis.asleep import Nap
from sharedkit.redis.handle import DEFAULT_SEATS, Structure, pids
from sharedkit.redis.lock import Lock, PartLock, RLock, death_of, lend
from sharedkit.redis.refusals import Refused, name_of
from sharedkit.redis.session import Session
from sharedkit.statistics import ConditionStatistics

__all__ = ["Condition"]


class Condition(ConditionMethods, Structure):
    """Condition(lock=None, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Condition` over `lock`, a Lock or RLock of the same server and prefix, or over an RLock of its own. A
    notification for a process that has died goes to the next waiter. A condition over another lock lives no longer than
    that lock. `with` takes the lock; it does not close the handle.

    Raises TypeError for another lock, FileExistsError when `name` is taken and not `exist_ok`, ValueError when the
    existing structure is not a condition over the same lock with the same `seats` and `persist`.
    """

    kind = "Condition"
    lua = "condition"

    _over: Structure | None = None  # a handle on the other lock
    _ticket = b""  # by which that handle is opened

    def __init__(
        self,
        lock: Any = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        if lock is not None and (not isinstance(lock, Lock | RLock) or lock.home is not self.home):
            what = f"lock must be a Lock or RLock of the same server or None, not {type(lock).__name__}"
            raise TypeError(what + perhaps_a_name(lock))
        over = None
        if lock is not None:
            lock._ensure_open()
            over = f"{lock.kind} {lock._base.decode('utf-8', 'surrogateescape')}"
        self._create(name, exist_ok, persist, seats, {"lock": over}, b"0", b"1")
        self._open_lock()

    # --- the lock

    def _open_existing(
        self,
        session: Session,
        name: str,
        base: bytes,
        spec: dict[str, Any] | None = None,
        persist: bool = False,
        ticket: bytes = b"",
    ) -> None:
        self._ticket = ticket
        super()._open_existing(session, name, base, spec, persist, ticket)
        self._open_lock()

    def _open_lock(self) -> None:
        """Open the other lock, which in a cluster may belong to another session. Not under a session's lock."""
        lock = self._spec["lock"]
        if lock is None or self._over is not None:
            return
        assert self.home is not None
        kind, _, key = lock.partition(" ")
        over = key.encode("utf-8", "surrogateescape")
        try:
            self._over = self.home.classes[kind]._of(self.home.session(over), name_of(over), over, self._ticket)
        except BaseException as why:
            if isinstance(why, GoneError):
                self.unlink()  # so that its name can be used again
            super().close()
            raise

    def close(self) -> None:
        """Close this handle. Using the handle afterwards raises ClosedError; closing again does nothing."""
        super().close()
        if self._over is not None:
            self._over.close()

    def __reduce__(self) -> tuple[Any, ...]:
        arrive, arguments = super().__reduce__()
        if self._over is not None and arguments[-1]:
            self._over._read(b"ticket", arguments[-1])
        return arrive, arguments

    def _part(self) -> PartLock:
        if self._over is None:
            return PartLock(self, self.lua, self._base, RLock.kind, self._name)
        return PartLock(self, self._over.lua, self._over._base, self._over.kind, self._over._name, self._over)

    @property
    def lock(self) -> PartLock:
        """The lock of the condition."""
        self._ensure_open()
        return self._part()

    def _who(self) -> bytes:
        return self.lock._who()

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock, as its own `acquire` does."""
        return self.lock._acquire(blocking if block is None else block, timeout)

    def _task(self) -> bytes:
        return self._part()._task()

    async def _atake(self, blocking: bool, timeout: float | None, who: Any) -> bool:
        willing = bool(blocking)
        check_wait(willing, timeout)
        return await self._part()._atake(willing, timeout, who)

    def release(self) -> None:
        """Release the lock; RuntimeError if it is not held. A release that has begun is completed, as for a Lock."""
        self.lock.release()

    async def _arelease(self, who: Any) -> None:
        await self.lock._arelease(who)

    def locked(self) -> bool:
        """Whether the lock is held now."""
        return self.lock.locked()

    def __enter__(self) -> bool:
        return self.lock._acquire(True, -1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lock.release()

    def _is_owned(self) -> bool:
        part = self.lock
        return bool(self._ensure_open().ask(self.lua, part._base, b"is_owned", part._who()))

    # --- waiting

    def _ident(self) -> bytes:
        """What tells the waits for this condition from those for another one over the same lock."""
        return self._base.rpartition(b":")[2]

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait up to `timeout` seconds (None: for ever) to be notified, and take the lock again.

        Returns whether it was notified. Gives an OwnerDiedWarning if a process died while it held the lock meanwhile.
        Raises RuntimeError if the caller does not hold the lock; LeaseLostError if this process was silent for longer
        than its lease.
        """
        timeout = span(timeout)
        refuse_too_long(timeout)
        part = self.lock
        try:
            told, died, _ = Nap(part._ensure_open(), part._base, self._ident(), part._who(), timeout).sleep()
        except Refused as why:
            raise _not_held(why, "wait on") from None
        except SharedkitError as why:
            raise self._told(why) from None
        if died:
            warn_caller(death_of(part._name), OwnerDiedWarning)
        return told

    async def _await(self, who: bytes, timeout: float | None) -> bool:
        from sharedkit.redis.tasks_asleep import asleep

        refuse_too_long(timeout)
        part = self.lock
        key = part._key()
        times = lend(key, who)
        try:
            told, died, _ = await asleep(Nap(part._ensure_open(), part._base, self._ident(), who, timeout))
        except Refused as why:
            raise _not_held(why, "wait on") from None
        except SharedkitError as why:
            raise self._told(why) from None
        finally:
            if times:
                part._count(who, times)
        if died:
            warn_caller(death_of(part._name), OwnerDiedWarning)
        return told

    def _wake(self, n: int | None) -> None:
        part = self.lock
        count = b"%d" % (1 << 62 if n is None else n)
        try:
            part._ensure_open().call(self.lua, part._base, b"notify", self._ident(), part._who(), count, shrinks=True)
        except Refused as why:
            raise _not_held(why, "notify on") from None
        except SharedkitError as why:
            raise self._told(why) from None

    def statistics(self) -> ConditionStatistics:
        """Return the state of the lock, and how many threads wait or must take it again: a ConditionStatistics."""
        part = self.lock
        lock = part.statistics()
        attached = lock.attached if self._over is None else self._attached()
        waiting, notified = part._ensure_open().ask(self.lua, part._base, b"waiting", self._ident())
        return ConditionStatistics(self._name, self.kind, lock, waiting, notified, attached)

    def _attached(self) -> tuple[int, ...]:
        return pids(self._read(b"statistics")[-1])

    def _called(self) -> str:
        return f"{id(self):#x}"


def _not_held(why: Refused, what: str) -> Exception:
    return RuntimeError(f"cannot {what} un-acquired lock") if why.code == "SKNOTLOCKED" else why
