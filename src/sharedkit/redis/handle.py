"""The common part of all handles: a name, `close`, and pickling to any process that can reach the server."""

from __future__ import annotations

import json
import secrets
import weakref
from multiprocessing import context as mp_context
from typing import Any, ClassVar, TypeVar

from sharedkit._core import counts, readiness
from sharedkit._core.differences import is_another, unlike, with_another
from sharedkit._core.handle_methods import HandleMethods, StructureMethods
from sharedkit.errors import ClosedError, GoneError, SharedkitError
from sharedkit.redis import placement
from sharedkit.redis.session import INHERITED, Session
from sharedkit.segments import DEFAULT_SEATS, checked_name, checked_seats

__all__ = ["DEFAULT_SEATS", "Handle", "Structure", "integer", "pids"]

T = TypeVar("T", bound="Structure")


def integer(value: object) -> bytes:
    """`value` as the text of a 64-bit integer; TypeError if it is no integer, OverflowError if it does not fit."""
    return b"%d" % counts.integer(value)


def pids(sessions: list[bytes]) -> tuple[int, ...]:
    """The process ids of these sessions, sorted."""
    return tuple(sorted({int(sid.partition(b"-")[0]) for sid in sessions}))


class Asking:
    """What sends requests about the structure whose key is `_base`, to the function library named `lua`."""

    lua: str = ""
    _base: bytes
    _name: str

    def _ensure_open(self) -> Session:
        """This process's session. Raises ClosedError, LeaseLostError."""
        raise NotImplementedError

    def _told(self, why: SharedkitError) -> SharedkitError:
        """The error that names this handle, if another thread has closed it, otherwise `why`."""
        raise NotImplementedError

    def _call(self, method: bytes, *args: bytes, shrinks: bool = False) -> Any:
        session = self._ensure_open()
        try:
            return session.call(self.lua, self._base, method, *args, shrinks=shrinks)
        except SharedkitError as why:
            raise self._told(why) from None

    def _read(self, method: bytes, *args: bytes) -> Any:
        session = self._ensure_open()
        try:
            return session.ask(self.lua, self._base, method, *args)
        except SharedkitError as why:
            raise self._told(why) from None


class Structure(Asking, StructureMethods):
    """A handle on a structure in a server. Contexts make handles; `home` binds their classes to one server."""

    home: ClassVar[placement.Placement | None] = None

    _session: Session | None = None
    _spec: dict[str, Any]
    _release: weakref.finalize[..., Structure]

    def _create(
        self, name: str | None, exist_ok: bool, persist: bool, seats: int, spec: dict[str, Any], *begin: bytes
    ) -> bool:
        """Make the structure in the server, or open an existing one whose `spec` is equal; return whether it is new."""
        if self.home is None:
            raise TypeError(f'{type(self).__name__} is made by a context: get_context("redis").{type(self).__name__}')
        spec["seats"] = checked_seats(seats)
        name = f"redis-{secrets.token_hex(8)}" if name is None else checked_name(name)
        pointer = self.home.pointer(name)
        session = self.home.session(pointer)
        session.flush()
        while True:
            incarnation = secrets.token_hex(6).encode()
            base = pointer + b":" + incarnation
            ready = self._prepare(session, pointer, base)
            with session.lock, session.listening(base):
                there = session.ask(
                    self.lua, base, b"create", self.kind.encode(), json.dumps(spec).encode(), b"%d" % bool(persist),
                    session.lease_ms, *begin, shrinks=False,
                )  # fmt: skip
                _, _, found, kind = bytes(there).split(b" ")
                if found == incarnation:
                    self._open(session, name, base, spec)
                    if ready:
                        return True
                    self.unlink()
                    self.close()  # the structure that made it needless has ended meanwhile
                    continue
            if not exist_ok:
                raise FileExistsError(f"{name!r} is taken in the server at {session.address.public}")
            if kind.decode() != self.kind:
                raise is_another(repr(name), kind.decode(), self.kind)
            try:
                self._open_existing(session, name, pointer + b":" + found, spec, bool(persist))
            except GoneError:
                continue  # the existing structure has ended meanwhile
            return False

    def _open_existing(
        self,
        session: Session,
        name: str,
        base: bytes,
        spec: dict[str, Any] | None = None,
        persist: bool = False,
        ticket: bytes = b"",
    ) -> None:
        with session.lock, session.listening(base):
            text, persists = session.ask(self.lua, base, b"open", session.lease_ms, ticket)
            there = json.loads(text)
            self._open(session, name, base, there)
        if spec is None:
            return
        try:
            for key, wanted in {**spec, "persist": persist}.items():
                found = persists == b"1" if key == "persist" else there[key]
                if (difference := unlike(key, self._shown(key, found), self._shown(key, wanted))) is not None:
                    raise with_another(repr(name), self.kind, difference)
        except BaseException:
            self.close()
            raise

    def _shown(self, key: str, value: Any) -> Any:
        """A part of the spec as a user knows it; JSON has it as `value`."""
        return value

    def _prepare(self, session: Session, pointer: bytes, base: bytes) -> bool:
        """Write what must be in the server before the structure is made; return whether it may be made now."""
        return True

    def _open(self, session: Session, name: str, base: bytes, spec: dict[str, Any]) -> None:
        """Bind the handle, under the session's lock."""
        self._session, self._name, self._base, self._spec = session, name, base, spec
        session.open(base, self.lua)
        self._release = weakref.finalize(self, session.released.append, base)
        self._release.atexit = False

    @classmethod
    def _of(cls: type[T], session: Session, name: str, base: bytes, ticket: bytes = b"") -> T:
        """A handle on the structure with the key `base`. Raises GoneError."""
        handle = cls.__new__(cls)
        handle._open_existing(session, name, base, ticket=ticket)
        return handle

    # --- asking

    def _ensure_open(self) -> Session:
        session = self._session  # read once, because another thread may close the handle
        if session is None:
            raise self._is_closed()
        if session.over is not None:
            return self._open_again(session)
        return session

    def _open_again(self, session: Session) -> Session:
        """Return the session of a forked child, after opening the parent's structure in it. If the session is over
        for another reason, raise that reason, for example LeaseLostError."""
        if session.over is not INHERITED:
            raise session.reason()
        assert self.home is not None
        mine = self.home.session(self._base)
        self._release.detach()
        self._open_existing(mine, self._name, self._base, ticket=session.ticket)
        return mine

    def _use_grant(self, session: Session, answer: Any, payload: bytes | None, number: int, left: int) -> bool:
        """Whether a call has got what it asked for: at once, or by a grant that says nothing more than that."""
        if answer[0] == 0 and payload is not None:
            session.acknowledge(self._base, number)
        return bool(answer[0] == 1 or payload is not None)

    def _told(self, why: SharedkitError) -> SharedkitError:
        """The error that names this handle: a ClosedError if another thread has closed the handle, otherwise `why`."""
        if isinstance(why, ClosedError):
            return self._is_closed(why)
        return self._is_closed() if self._session is None else why

    @property
    def closed(self) -> bool:
        """Whether `close()` was called on this handle."""
        return self._session is None

    def close(self) -> None:
        """Close this handle. Using the handle afterwards raises ClosedError; closing again does nothing."""
        session, self._session = self._session, None
        if session is not None and self._release.detach() is not None:
            session.close(self._base)

    def unlink(self) -> None:
        """Remove the name: open handles keep working, but `attach` does not find the structure any more."""
        self._read(b"unlink", self._ensure_open().lease_ms)

    def __reduce__(self) -> tuple[Any, ...]:
        self._ensure_open()
        assert self.home is not None
        ticket = b""
        if mp_context.get_spawning_popen() is not None:
            ticket = b"ticket-" + secrets.token_hex(8).encode()
            self._read(b"ticket", ticket)
        return placement.arrive, (*self.home.travels(), self.kind, self._name, self._base, ticket)


class Handle(HandleMethods, Structure):
    """A handle that a `with` statement closes."""


readiness.refuse(Structure, readiness.BEHIND_A_SERVER)
