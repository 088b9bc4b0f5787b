"""`get_context`: the same class names for each placement of the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field, fields
from functools import cache
from importlib import import_module
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from sharedkit._core.unsupported import ABSENT

if TYPE_CHECKING:
    from ssl import SSLContext

    from sharedkit import manager, protocols, redis

__all__ = ["Context", "ManagerContext", "RedisContext", "get_context"]


@dataclass(frozen=True, repr=False, eq=False)
class Context:
    """The classes of one placement, in the manner of `multiprocessing.get_context()`.

    `method` is the placement's name. `attach(name)` opens the existing structure of that name, and raises
    FileNotFoundError if there is none. `with get_context(method) as ctx:` works for every placement; structures in
    threads or shared memory still live as long as their handles.
    """

    method: str
    placement: InitVar[ModuleType | manager.Placement | redis.Placement]
    Array: type[protocols.Array] = field(init=False)
    Barrier: type[protocols.Barrier] = field(init=False)
    BoundedSemaphore: type[protocols.BoundedSemaphore] = field(init=False)
    Condition: type[protocols.Condition] = field(init=False)
    Counter: type[protocols.Counter] = field(init=False)
    Counters: type[protocols.Counters] = field(init=False)
    Dict: type[protocols.Dict] = field(init=False)
    Event: type[protocols.Event] = field(init=False)
    Executor: type[protocols.Executor] = field(init=False)
    JoinableQueue: type[protocols.Queue[Any]] = field(init=False)
    LifoQueue: type[protocols.LifoQueue[Any]] = field(init=False)
    Lock: type[protocols.Lock] = field(init=False)
    PriorityQueue: type[protocols.PriorityQueue[Any]] = field(init=False)
    Queue: type[protocols.Queue[Any]] = field(init=False)
    RLock: type[protocols.RLock] = field(init=False)
    RWLock: type[protocols.RWLock] = field(init=False)
    RawValue: type[protocols.RawValue] = field(init=False)
    Semaphore: type[protocols.Semaphore] = field(init=False)
    Set: type[protocols.Set] = field(init=False)
    SimpleQueue: type[protocols.Queue[Any]] = field(init=False)
    Stream: type[protocols.Stream[Any]] = field(init=False)
    Value: type[protocols.Value] = field(init=False)
    attach: Callable[[str], Any] = field(init=False)

    def __post_init__(self, placement: ModuleType | manager.Placement | redis.Placement) -> None:
        absent = ABSENT.get(self.method, ())
        for each in fields(self):
            if not each.init and each.name not in absent:
                object.__setattr__(self, each.name, getattr(placement, each.name))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            why = ABSENT.get(self.method, {}).get(name, f"{type(self).__name__!r} object has no attribute {name!r}")
            raise AttributeError(why, name=name, obj=self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __repr__(self) -> str:
        return f"<sharedkit context {self.method!r}>"

    def __reduce__(self) -> tuple[Callable[[str], Context], tuple[str]]:
        return get_context, (self.method,)


@dataclass(frozen=True, repr=False, eq=False)
class ManagerContext(Context):
    """The classes of one server. `with` starts the server, if the context has no running one, and ends it.

    If the context is connected to a server that another process has started, leaving it ends only this process's
    session there: the server releases whatever the session's handles held, and keeps running.
    """

    Executor: type[manager.Executor] = field(init=False)
    server: manager.Placement = field(init=False)

    def __post_init__(self, placement: ModuleType | manager.Placement | redis.Placement) -> None:
        object.__setattr__(self, "server", placement)
        for each in fields(Context):
            if not each.init and each.name not in ABSENT["manager"]:
                object.__setattr__(self, each.name, getattr(placement, each.name))

    @property
    def address(self) -> Any:
        """Where the server listens, for `get_context("manager", address=...)` in other processes: a path, or (host,
        port)."""
        return self.server.client().address

    def __enter__(self) -> Self:
        self.server.client().open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        from sharedkit.aio import waiters

        await waiters.in_thread(self.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from sharedkit.aio import waiters

        await waiters.in_thread(self.close)

    def close(self) -> None:
        """End the server, or this process's session with a server that another process has started.

        Closing again does nothing.
        """
        self.server.end()

    def __reduce__(self) -> tuple[Callable[..., Context], tuple[Any, ...]]:
        if self.server.client().tls is not None:
            raise TypeError(
                "a context with ssl cannot be pickled, because an ssl.SSLContext cannot: call get_context('manager', "
                "address=..., ssl=...) in the other process"
            )
        return get_context, ("manager", self.address)


@dataclass(frozen=True, repr=False, eq=False)
class RedisContext(Context):
    """The classes of one Redis or Valkey server. A class that this placement does not have yet raises AttributeError.

    `close()`, or the end of a `with` block, ends this process's session: whatever its handles held is released, and
    the server keeps running.
    """

    Executor: type[redis.Executor] = field(init=False)
    server: redis.Placement = field(init=False)

    def __post_init__(self, placement: ModuleType | manager.Placement | redis.Placement) -> None:
        object.__setattr__(self, "server", placement)
        for each in fields(Context):
            if not each.init and (found := getattr(placement, each.name, None)) is not None:
                object.__setattr__(self, each.name, found)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name == "server":
                raise AttributeError(name)
            return getattr(self.server, name)  # raises AttributeError with the reason

    @property
    def url(self) -> str:
        """Where the server is, without a password."""
        return self.server.address.public

    def __enter__(self) -> Self:
        self.server.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        from sharedkit.aio import waiters

        await waiters.in_thread(self.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from sharedkit.aio import waiters

        await waiters.in_thread(self.close)

    def close(self) -> None:
        """End this process's session with the server. Closing again does nothing; the next use begins a new one."""
        self.server.end()

    def __reduce__(self) -> tuple[Callable[..., Context], tuple[Any, ...]]:
        return _redis_context, self.server.travels()


def _redis_context(url: str, prefix: str, lease: float, timeout: float) -> RedisContext:
    from sharedkit import redis

    return RedisContext("redis", redis.at(url, prefix, lease, timeout))


_METHODS = ("thread", "shm")


@cache
def _context_of(method: str) -> Context:
    """Return the one context of that placement. The import is here because each placement imports much that the others
    do not need."""
    return Context(method, import_module(f"sharedkit.{method}"))


@overload
def get_context(
    method: Literal["manager"], address: Any = None, authkey: bytes | None = None, *, ssl: SSLContext | None = None
) -> ManagerContext: ...
@overload
def get_context(
    method: Literal["redis"], *, url: str = ..., prefix: str = ..., lease: float = ..., timeout: float = ...
) -> RedisContext: ...
@overload
def get_context(
    method: str | None = None,
    address: Any = None,
    authkey: bytes | None = None,
    *,
    ssl: SSLContext | None = None,
    url: str | None = None,
    prefix: str | None = None,
    lease: float | None = None,
    timeout: float | None = None,
) -> Context: ...
def get_context(
    method: str | None = None,
    address: Any = None,
    authkey: bytes | None = None,
    *,
    ssl: SSLContext | None = None,
    url: str | None = None,
    prefix: str | None = None,
    lease: float | None = None,
    timeout: float | None = None,
) -> Context:
    """Return the context of the placement `method`: "thread", "shm" (the default), "manager" or "redis".

    "manager" without an `address` gives a new ManagerContext; its server starts at the first use and ends with this
    process or with the context's `with` statement. `address`, (host, port) or the path of a socket, is that of a
    running server; `authkey` is that server's, by default `multiprocessing.current_process().authkey`.
    With `ssl`, an ssl.SSLContext for clients, everything goes over TLS, to a server with a certificate whose address is
    (host, port). The context says which certificates are accepted; `host` is the name that it checks.

    For "redis", `url` is that of a Redis or Valkey server ("redis://localhost:6379/0", "rediss://" for TLS, "unix://"
    and a path, "redis+sentinel://"; it has the options of TLS, too), and `prefix` begins the names of its keys there
    ("sharedkit"). A process that is silent for `lease` seconds (10) is taken for dead. The server has `timeout` seconds
    (5) for each answer.

    Raises ValueError for an unknown method, an argument of another one, or an `ssl` that is not for such an address;
    TypeError for an argument of the wrong type; ImportError if redis-py is not installed.
    """
    if method != "redis" and (url, prefix, lease, timeout) != (None, None, None, None):
        raise ValueError('url, prefix, lease and timeout are for get_context("redis")')
    if method != "manager" and (address is not None or authkey is not None or ssl is not None):
        raise ValueError('address, authkey and ssl are for get_context("manager")')
    if method == "manager":
        from sharedkit import manager

        if address is None and ssl is not None:
            raise ValueError("ssl is for the address of a running server: a server that starts here uses no network")
        return ManagerContext("manager", manager.Placement() if address is None else manager.at(address, authkey, ssl))
    if method == "redis":
        return _redis_context(
            "redis://localhost:6379/0" if url is None else url,
            "sharedkit" if prefix is None else prefix,
            10.0 if lease is None else lease,
            5.0 if timeout is None else timeout,
        )
    if method is None or method in _METHODS:
        return _context_of("shm" if method is None else method)
    known = ", ".join(repr(known) for known in (*_METHODS, "manager", "redis"))
    raise ValueError(f"unknown context {method!r}; the known ones are {known}")
