"""A stream in shared memory."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import GenericAlias
from typing import Any, Generic, Literal, Protocol, Self, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import disjoint_base

from sharedkit import errors as errors
from sharedkit._core.segment import Handle, Place, PrivatePlace, Segment
from sharedkit._core.watcher import Waiter
from sharedkit.segments import Blueprint
from sharedkit.shm._stream_reader import Form, StreamReader
from sharedkit.statistics import StreamReaderState, StreamStatistics

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

KIND_STREAM: int
STATES: tuple[str, ...]
MODES: tuple[str, ...]

class _Block(AbstractContextManager[_T_co], AbstractAsyncContextManager[_T_co], Protocol[_T_co]): ...

def make(
    place: Place | PrivatePlace | str,
    name: str | None,
    seats: int,
    flags: int,
    slots: int,
    slot_bytes: int,
    mode: int,
    readers: int,
    meta: bytes,
) -> Segment: ...
def form_of(shape: int | tuple[int, ...] | None, dtype: DTypeLike | None) -> Form: ...
def blueprint(
    shape: int | tuple[int, ...] | None,
    dtype: DTypeLike | None,
    slots: SupportsIndex,
    slot_bytes: SupportsIndex | None,
    overflow: str,
    max_readers: SupportsIndex,
) -> Blueprint: ...
def differs(there: Segment, form: Form, slots: int, slot_bytes: int, overflow: str, max_readers: int) -> str | None: ...

@disjoint_base
class Writing:
    def __enter__(self) -> NDArray[Any]: ...
    def __exit__(self, kind: object, error: object, trace: object) -> None: ...
    async def __aenter__(self) -> NDArray[Any]: ...
    async def __aexit__(self, kind: object, error: object, trace: object) -> None: ...

@disjoint_base
class Stream(Handle, Generic[_T]):
    """One to many: each message that a writer puts goes to every reader."""

    def __init__(
        self,
        shape: int | tuple[int, ...] | None = None,
        dtype: DTypeLike | None = None,
        *,
        slots: int = 8,
        slot_bytes: int | None = None,
        overflow: Literal["overwrite", "block"] = "overwrite",
        max_readers: int = 64,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = ...,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> None: ...
    @classmethod
    def _of(cls, segment: Segment) -> Self: ...
    def _open(self, segment: Segment) -> None: ...
    def _reader_at(self, position: int, lost: int) -> StreamReader[_T]: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def put(
        self, item: _T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None: ...
    def put_nowait(self, item: _T) -> None: ...
    async def aput(
        self, item: _T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None: ...
    def write(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> _Block[NDArray[Any]]: ...
    def awrite(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> _Block[NDArray[Any]]: ...
    def reader(self, start: Literal["next", "oldest", "latest"] = "next") -> StreamReader[_T]: ...
    def readers(self) -> tuple[StreamReaderState, ...]: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    @property
    def published(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def slot_bytes(self) -> int: ...
    @property
    def overflow(self) -> Literal["overwrite", "block"]: ...
    @property
    def max_readers(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...] | None: ...
    @property
    def dtype(self) -> np.dtype[Any] | None: ...
    @property
    def is_shutdown(self) -> bool: ...
    def shutdown(self, immediate: bool = False) -> None: ...
    def statistics(self) -> StreamStatistics: ...

@disjoint_base
class RoomWaiter(Waiter): ...

@disjoint_base
class PublishWaiter(RoomWaiter): ...

def state(segment: Segment) -> str: ...
