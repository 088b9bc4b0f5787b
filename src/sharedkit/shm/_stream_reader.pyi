"""The readers of a stream."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import GenericAlias
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from sharedkit._core.segment import Handle, Segment
from sharedkit._core.watcher import Waiter

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

class _Block(AbstractContextManager[_T_co], AbstractAsyncContextManager[_T_co], Protocol[_T_co]): ...

@disjoint_base
class Form:
    """What the messages of a stream are: arrays of one shape and dtype, or any objects."""

    shape: tuple[int, ...] | None
    dtype: np.dtype[Any] | None
    nbytes: int
    def __init__(self, shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None) -> None: ...

@disjoint_base
class Registration: ...

@disjoint_base
class Slot: ...

@disjoint_base
class Reading:
    def __enter__(self) -> Any: ...
    def __exit__(self, *exc: object) -> None: ...
    async def __aenter__(self) -> Any: ...
    async def __aexit__(self, *exc: object) -> None: ...

@disjoint_base
class StreamReader(Handle, Generic[_T]):
    """A reader of a stream, with a position of its own: `stream.reader()` makes one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def get(
        self,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> _T: ...
    def get_nowait(self) -> _T: ...
    def latest(
        self,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> _T: ...
    def read(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> _Block[_T]: ...
    def aget(
        self,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> Coroutine[Any, Any, _T]: ...
    def alatest(
        self,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> Coroutine[Any, Any, _T]: ...
    def aread(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> _Block[_T]: ...
    def __iter__(self) -> Iterator[_T]: ...
    def __aiter__(self) -> AsyncIterator[_T]: ...
    @property
    def position(self) -> int: ...
    @property
    def lost(self) -> int: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    @property
    def shape(self) -> tuple[int, ...] | None: ...
    @property
    def dtype(self) -> np.dtype[Any] | None: ...

class Traveller:
    segment: Segment
    def __init__(self, segment: Segment) -> None: ...
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]: ...

def arrived(stream: Any, position: int, lost: int) -> StreamReader[Any]: ...

@disjoint_base
class ReadWaiter(Waiter): ...
