"""One server and prefix, and the classes that are bound to it."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import threading
import weakref
from contextlib import suppress
from multiprocessing import util
from typing import Any
from urllib.parse import urlsplit

from sharedkit._core.weak_sets import members
from sharedkit.errors import GoneError, ServerGoneError, SharedkitError
from sharedkit.redis.address import Address, Restarted
from sharedkit.redis.cluster import Cluster, slot_of
from sharedkit.redis.refusals import Refused, refused
from sharedkit.redis.session import Session
from sharedkit.redis.url import CLUSTER, Place
from sharedkit.segments import checked_name

__all__ = ["ALIASES", "KINDS", "MISSING", "Placement", "arrive", "at", "placement_of"]

KINDS: dict[str, type[Any]] = {}
ALIASES: dict[str, str] = {}  # further names of these classes
MISSING: dict[str, str] = {}  # the classes that this placement does not have: the text of the error
SHORTEST_LEASE = 0.5
LAYOUT = b"2"  # as in prelude.lua
ALONE: Place = ("", 0)  # in the place of host and port: a server that is no node of a cluster
_known: dict[tuple[str, str], Placement] = {}
_placements: weakref.WeakSet[Placement] = weakref.WeakSet()
_lock = threading.RLock()


def at(url: str, prefix: str, lease: float, timeout: float) -> Placement:
    """The placement of that server and prefix. A process uses it until a call names another password or lease.

    Raises TypeError or ValueError for invalid arguments.
    """
    if not isinstance(url, str):
        raise TypeError(f"the url of a server is a str, not {type(url).__name__}")
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix is a str, not {type(prefix).__name__}")
    if not prefix or set(prefix) & set("{}: \0") or len(prefix.encode()) > 100:
        raise ValueError(f"a prefix has 1 to 100 bytes, and no braces, colons, spaces and NULs: {prefix!r}")
    for what, seconds, least in (("lease", lease, SHORTEST_LEASE), ("timeout", timeout, 0.01)):
        if not isinstance(seconds, int | float):
            raise TypeError(f"{what} is a number of seconds, not {type(seconds).__name__}")
        if not least <= seconds <= 86400:
            raise ValueError(f"{what} is from {least} to 86400 seconds: {seconds}")
    kind = Cluster if urlsplit(url).scheme in CLUSTER else Address
    address = kind(url, float(timeout))
    with _lock:
        found = _known.get((address.public, prefix))
        if found is None or found.differs(url, float(lease)):
            found = _known[address.public, prefix] = Placement(address, prefix, float(lease))
        return found


def placement_of(url: str, prefix: str, lease: float, timeout: float) -> Placement:
    """The placement for what came from another process: the one that this process uses already, which may know the
    password, or a new one."""
    with _lock:
        here = _known.get((url, prefix))
    return at(url, prefix, lease, timeout) if here is None else here


def arrive(
    url: str, prefix: str, lease: float, timeout: float, kind: str, name: str, base: bytes, ticket: bytes
) -> Any:
    """The pickled handle, opened in this process. Raises GoneError, ServerGoneError, AuthkeyError."""
    here = placement_of(url, prefix, lease, timeout)
    try:
        return here.classes[kind]._of(here.session(base), name, base, ticket)
    except GoneError:
        raise GoneError(f"{name!r} ended while the handle was on its way; keep one open, or use persist=True") from None


class Placement:
    """The classes of one server or cluster and prefix, and this process's session there: in a cluster, one for each
    node of which it has used structures."""

    def __init__(self, address: Address | Cluster, prefix: str, lease: float) -> None:
        self.address, self.prefix, self.lease = address, prefix, lease
        self._sessions: dict[Place, Session] = {}
        self._starting = threading.RLock()
        self.classes: dict[str, type[Any]] = {}
        for name, cls in KINDS.items():
            members_ = {"__doc__": cls.__doc__, "__module__": cls.__module__, "__qualname__": name, "home": self}
            self.classes[name] = type(name, (cls,), members_)
        _placements.add(self)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["classes"][ALIASES.get(name, name)]
        except KeyError:
            why = MISSING.get(name, f'the placement "redis" has no attribute {name!r}')
            raise AttributeError(why, name=name, obj=self) from None

    def differs(self, url: str, lease: float) -> bool:
        """Whether the lease, or the password in `url`, is another one; a url without a password fits any password."""
        return url not in (self.address.url, self.address.public) or self.lease != lease

    def travels(self) -> tuple[str, str, float, float]:
        """The arguments by which a pickled handle finds its server; without a password."""
        return self.address.public, self.prefix, self.lease, self.address.timeout

    def pointer(self, name: str) -> bytes:
        """The key that stands for a name in the server."""
        return f"{{{self.prefix}:{name}}}".encode("utf-8", "surrogateescape")

    def open(self) -> None:
        """Find out whether the server can be used. Raises as `Address.connect` does."""
        if isinstance(self.address, Cluster):
            self.address.refresh()
        else:
            self.session()

    def session(self, base: bytes = b"") -> Session:
        """This process's session with the server of the structure with that key; it begins now if there is none.

        Raises as `Address.connect` does.
        """
        place = self._place_of(base)
        session = self._sessions.get(place)
        if session is not None and session.over is None:
            return session
        with self._starting:
            while True:
                session = self._sessions.get(place)
                if session is None or session.over is not None:
                    try:
                        session = self._begun(place)
                    except ServerGoneError:
                        if not isinstance(self.address, Cluster):
                            raise
                        self.address.refresh(place)
                        before, place = place, self._place_of(base)
                        if place == before:
                            raise
                        continue
                    if multiprocessing.parent_process() is not None:
                        util.Finalize(None, self.end, exitpriority=0)  # such a process ends without `atexit`
                    self._sessions[place] = session
                return session

    def _place_of(self, base: bytes) -> Place:
        return self.address.place_of(slot_of(base)) if isinstance(self.address, Cluster) else ALONE

    def _begun(self, place: Place) -> Session:
        if isinstance(self.address, Cluster):
            session = Session(self.address.address(place), self.lease, self.address)
            session.begin()
            return session
        session = Session(self.address, self.lease)
        try:
            session.begin()
        except Restarted as other:
            self.address.run_id = other.run_id
            session.begin()
        return session

    def attach(self, name: str) -> Any:
        """A further handle on the structure of that name in the server. Raises FileNotFoundError."""
        name = checked_name(name)
        pointer = self.pointer(name)
        session = self.session(pointer)
        session.flush()
        said = self._get(session, pointer)
        missing = FileNotFoundError(f"no structure in the server at {self.address.public} is called {name!r}")
        if said is None:
            raise missing
        whose, layout, incarnation, kind = (*said.split(b" "), b"", b"", b"")[:4]
        if whose != b"sharedkit" or not kind:
            raise self._refused("SKFOREIGN", pointer.decode("utf-8", "replace"), pointer)
        if layout != LAYOUT or kind.decode() not in self.classes:
            raise self._refused("SKLAYOUT", layout.decode("utf-8", "replace"), pointer)
        cls = self.classes[kind.decode()]
        try:
            return cls._of(session, name, pointer + b":" + incarnation)
        except GoneError:
            raise missing from None

    def _get(self, session: Session, key: bytes) -> bytes | None:
        """The value of that key; None if there is none."""
        try:
            value: bytes | None = session.ask_plain(key, b"GET", key)
        except Refused as why:
            code = "SKFOREIGN" if why.code == "WRONGTYPE" else why.code
            raise self._refused(code, key.decode("utf-8", "replace"), key) from None
        return value

    def _refused(self, code: str, text: str, pointer: bytes) -> Exception:
        return refused(Refused(code, text), self.address.public, pointer + b":")

    def end(self) -> None:
        """End this process's session: what its handles hold is released. Calling this again does nothing."""
        for session in list(self._sessions.values()):
            if session.over is None:
                why = GoneError("this context was closed, and its handles with it; make or attach them anew")
                session.end(why, True)


def _at_exit() -> None:
    for each in members(_placements):
        with suppress(SharedkitError):
            each.end()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    for each in members(_placements):
        each._starting = threading.RLock()
        if isinstance(each.address, Cluster):
            each.address.in_child()
        for session in each._sessions.values():
            session.in_child()


def _after_fork_in_parent() -> None:
    for each in members(_placements):
        for session in members(each._sessions.values()):
            session.in_parent()


atexit.register(_at_exit)
os.register_at_fork(after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
