"""The protocol that every structure satisfies: it has a name, can be closed and can be unlinked."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

__all__ = ["Handle", "Structure"]


class Structure(Protocol):
    """A handle on shared state. Any use after `close()` raises ClosedError, which is a ValueError."""

    @property
    def name(self) -> str:
        """The name that `attach` takes; a random one if no `name=` was given."""

    def close(self) -> None:
        """Close this handle. Closing again does nothing."""

    def unlink(self) -> None:
        """Remove the name: open handles keep working, but `attach` does not find the structure any more."""


class Handle(Structure, Protocol):
    """A structure whose handle a `with` or `async with` statement closes."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close the handle."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close the handle."""
