"""What every structure has in common: a name, a life, an end."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

__all__ = ["Handle", "Structure"]


class Structure(Protocol):
    """A handle on shared state. Any use after `close()` raises ClosedError, a ValueError."""

    @property
    def name(self) -> str:
        """What `attach` takes; random where no `name=` was given."""

    def close(self) -> None:
        """Let go of the structure. Again does nothing."""

    def unlink(self) -> None:
        """Take the name away: open handles work on, nobody attaches any more."""


class Handle(Structure, Protocol):
    """One that a `with` statement closes, or an `async with`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Closes."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Closes."""
