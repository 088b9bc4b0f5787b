"""What every handle of this placement can do: be named, attached to, closed, and refuse to travel."""

from __future__ import annotations

from types import TracebackType
from typing import Any, ClassVar, Generic, NoReturn, TypeVar, cast

from sharedkit.errors import ClosedError
from sharedkit.thread import registry
from sharedkit.thread.registry import State

__all__ = ["Handle", "Structure", "attach"]

S = TypeVar("S", bound=State)
H = TypeVar("H", bound="Handle[Any]")
T = TypeVar("T", bound="Structure[Any]")


class _Closed:
    """Stands where the state was, so that an open handle pays nothing for the check."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __getattr__(self, attribute: str) -> NoReturn:
        raise ClosedError(f"operation on a closed {self._what}")


class Structure(Generic[S]):
    """A handle on shared state. It keeps the state alive until it is closed or forgotten itself."""

    __slots__ = ("__weakref__", "_name", "_state")

    _handles: ClassVar[dict[str, type[Structure[Any]]]] = {}

    def __init__(self, state: S) -> None:
        self._state = state
        self._name = state.name

    def __init_subclass__(cls, *, kind: str = "") -> None:
        super().__init_subclass__()
        if kind:
            Structure._handles[kind] = cls

    @classmethod
    def _of(cls: type[T], state: Any) -> T:
        """A further handle on `state`."""
        handle = cls.__new__(cls)
        Structure.__init__(handle, state)
        return handle

    @property
    def name(self) -> str:
        """The name by which `attach` finds the structure; a random one where none was given."""
        self._state.ensure_open()
        return self._name

    @property
    def closed(self) -> bool:
        """Whether `close()` was called on this handle."""
        return isinstance(self._state, _Closed)

    def close(self) -> None:
        """Let go of the structure. Using this handle then raises ClosedError; closing again does nothing."""
        if not self.closed:
            self._state = cast(S, _Closed(f"{type(self).__name__} {self._name!r}"))

    def unlink(self) -> None:
        """Give the name free: handles that are open work on, and nobody attaches any more."""
        self._state.ensure_open()
        registry.forget(self._state)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle {type(self).__name__} {self._name!r}: thread state cannot leave its process; "
            'get_context("shm") has one that can'
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self._name!r}{' closed' if self.closed else ''}>"


class Handle(Structure[S]):
    """A handle that a `with` statement closes, and an `async with` as well."""

    __slots__ = ()

    def __enter__(self: H) -> H:
        self._state.ensure_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self: H) -> H:
        self._state.ensure_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def attach(name: str) -> Structure[Any]:
    """A further handle on the structure of that name in this process, whatever it is.

    Raises FileNotFoundError where there is none.
    """
    state = registry.find(name)
    return Structure._handles[state.kind]._of(state)
