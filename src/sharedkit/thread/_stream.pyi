"""The stream of the threads of one process."""

from typing import Any, SupportsIndex, TypeVar

from numpy.typing import DTypeLike, NDArray
from typing_extensions import disjoint_base

from sharedkit.segments import Blueprint
from sharedkit.shm import _stream as shared
from sharedkit.shm._stream_reader import StreamReader

_T = TypeVar("_T")

def blueprint(
    shape: int | tuple[int, ...] | None,
    dtype: DTypeLike | None,
    slots: SupportsIndex,
    slot_bytes: SupportsIndex | None,
    overflow: str,
    max_readers: SupportsIndex,
) -> Blueprint: ...

@disjoint_base
class Filling:
    def __enter__(self) -> NDArray[Any]: ...
    def __exit__(self, kind: object, error: object, trace: object) -> None: ...
    async def __aenter__(self) -> NDArray[Any]: ...
    async def __aexit__(self, kind: object, error: object, trace: object) -> None: ...

class Reader(StreamReader[_T]): ...

class Stream(shared.Stream[_T]):
    """A stream for the threads of one process."""

    async def aput(
        self, item: _T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None: ...

@disjoint_base
class PublishWaiter(shared.RoomWaiter): ...
