"""Leases of the items of a queue in shared memory."""

from types import TracebackType
from typing import Generic, TypeVar, final

from sharedkit.shm._taking import QueueWaiter

_T = TypeVar("_T")

@final
class Lease(Generic[_T]):
    """What `Queue.lease()` returns: `with` takes the first item."""

    def __enter__(self) -> _T: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    async def __aenter__(self) -> _T: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    def _enter_at_once(self) -> _T: ...
    @property
    def deliveries(self) -> int: ...

@final
class LeaseWaiter(QueueWaiter): ...

@final
class GetIntoWaiter(QueueWaiter): ...
