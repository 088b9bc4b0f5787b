"""The common part of the handles on structures behind a server: a name, the errors of a closed handle, and `with`."""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import Any, ClassVar, Self

from sharedkit.errors import ClosedError

__all__ = ["HandleMethods", "StructureMethods"]


class StructureMethods:
    """A handle on a structure in a server; a placement's class says how it is made, found and closed there."""

    kind: ClassVar[str] = ""

    _name: str = ""  # so that a handle whose constructor raised is closed and nameless

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether `close()` was called on this handle."""

    @abstractmethod
    def close(self) -> None:
        """Close this handle. Using the handle afterwards raises ClosedError; closing again does nothing."""

    @abstractmethod
    def _ensure_open(self) -> Any:
        """This process's access to the server. Raises ClosedError."""

    def _is_closed(self, why: ClosedError | None = None) -> ClosedError:
        """The error that names the handle; `why` is set if it was closed during a call."""
        called = f"operation on a closed {type(self).__name__} {self._name!r}"
        return ClosedError(called if why is None else f"{called}: {why}")

    @property
    def name(self) -> str:
        """The name that `attach` takes; a random one if no `name=` was given."""
        self._ensure_open()
        return self._name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self._name!r}{' closed' if self.closed else ''}>"


class HandleMethods(StructureMethods):
    """A handle that a `with` statement closes."""

    def __enter__(self) -> Self:
        self._ensure_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._ensure_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
