"""The common part of all handles: a name, `close`, and pickling to any process that can reach the server."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing import context as mp_context
from secrets import token_hex
from typing import Any, ClassVar, TypeVar

from sharedkit._core import readiness
from sharedkit._core.handle_methods import HandleMethods, StructureMethods
from sharedkit.errors import ClosedError, GoneError
from sharedkit.manager import placement
from sharedkit.manager._exchange import Request, call
from sharedkit.manager.arguments import plain, plain_created
from sharedkit.manager.awaiting import acall
from sharedkit.manager.client import Client
from sharedkit.manager.requests import Pending
from sharedkit.segments import DEFAULT_SEATS, checked_name, checked_seats

__all__ = ["DEFAULT_SEATS", "Handle", "Structure"]

T = TypeVar("T", bound="Structure")


class Structure(StructureMethods):
    """A handle on a structure in a server. Contexts make handles; `home` binds their classes to one server."""

    home: ClassVar[placement.Placement | None] = None

    _ident: int
    _client: Client | None = None
    _release: weakref.finalize[..., Structure]

    def _create(
        self, name: str | None, exist_ok: bool, persist: bool, seats: int, spec: dict[str, Any], *extra: Any
    ) -> None:
        """Make the structure in the server, or open an existing one whose `spec` is equal."""
        if self.home is None:
            raise TypeError(f'{type(self).__name__} is made by a context: get_context("manager").{type(self).__name__}')
        spec["seats"] = checked_seats(seats)
        spec, extra = plain_created(self.kind, spec, extra)
        name = f"manager-{token_hex(8)}" if name is None else checked_name(name)
        client = self.home.client()
        released = client.released
        ident = client.call(0, "create", self.kind, name, bool(exist_ok), bool(persist), spec, extra)
        self._open(client, released, name, ident)

    def _open(self, client: Client, released: deque[int], name: str, ident: int) -> None:
        self._client, self._name, self._ident = client, name, ident
        self._release = weakref.finalize(self, released.append, ident)
        self._release.atexit = False
        client.handles[id(self)] = self

    @classmethod
    def _of(cls: type[T], client: Client, released: deque[int], name: str, ident: int) -> T:
        """A handle on a structure that was opened in the session whose `released` was read before."""
        handle = cls.__new__(cls)
        handle._open(client, released, name, ident)
        return handle

    def _call(
        self,
        method: str,
        *args: Any,
        patience: float | None = 0.1,
        thread: int = 0,
        request: Request | None = None,
        bound: float | None = None,
    ) -> Any:
        """Ask the server. With `request`, the call is undone or completed if the caller raises later.

        StandsStill if the `bound` seconds of a call are over and the server stands still; then the request is left.
        """
        client = self._client
        if client is None:
            raise self._is_closed()
        args = plain(self.kind, method, args)
        try:
            if request is not None:
                return request.ask(client, self._ident, method, args, patience, thread, bound)
            return call(client, self._ident, method, args, patience, thread, bound)
        except ClosedError as why:
            raise self._is_closed(why) from None
        except GoneError:
            if self._client is None:  # another thread has closed it since the check above
                raise self._is_closed() from None
            raise

    async def _acall(
        self,
        method: str,
        *args: Any,
        thread: int = 0,
        leave: Callable[[Pending], object] = Pending.cancel,
        bound: float | None = None,
    ) -> Any:
        client = self._ensure_open()
        args = plain(self.kind, method, args)
        try:
            return await acall(client, self._ident, method, *args, thread=thread, leave=leave, bound=bound)
        except ClosedError as why:
            raise self._is_closed(why) from None
        except GoneError:
            if self._client is None:  # another thread has closed it since the check above
                raise self._is_closed() from None
            raise

    def _ensure_open(self) -> Client:
        client = self._client  # read once, because another thread may close the handle
        if client is None:
            raise self._is_closed()
        return client

    @property
    def closed(self) -> bool:
        """Whether `close()` was called on this handle."""
        return self._client is None

    def close(self) -> None:
        """Close this handle. Using the handle afterwards raises ClosedError; closing again does nothing."""
        client, self._client = self._client, None
        if client is not None:
            self._release()
            client.flush()

    def unlink(self) -> None:
        """Remove the name: open handles keep working, but `attach` does not find the structure any more."""
        self._ensure_open().call(0, "unlink", self._ident)

    def __reduce__(self) -> tuple[Any, ...]:
        client = self._ensure_open()
        ticket = None
        if mp_context.get_spawning_popen() is not None:
            ticket = token_hex(8)
            client.call(0, "ticket", ticket, self._ident)
        encrypted = () if client.tls is None else (True,)
        return placement.arrive, (client.address, self.kind, self._name, self._ident, ticket, *encrypted)


class Handle(HandleMethods, Structure):
    """A handle that a `with` statement closes."""


readiness.refuse(Structure, readiness.BEHIND_A_SERVER)
