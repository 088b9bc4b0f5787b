"""An array in shared memory."""

import sys
from collections.abc import Iterator
from typing import Any, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from typing_extensions import disjoint_base

from sharedkit._core.segment import Handle, Place, Segment
from sharedkit.segments import Blueprint
from sharedkit.shm._lock import Lock
from sharedkit.statistics import ArrayStatistics

KIND_ARRAY: int
LARGEST: int
LOCK_AT: int

def blueprint(
    lengths: tuple[int, ...], element: np.dtype[Any], contents: NDArray[Any] | None, kind: int = 5
) -> Blueprint: ...

@disjoint_base
class Array(Handle):
    """A NumPy array of zeros, in C order, that threads and processes share; any dtype without Python objects."""

    def __init__(
        self,
        shape: SupportsIndex | tuple[SupportsIndex, ...],
        dtype: DTypeLike = "f8",
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = ...,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> None: ...
    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = ...,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> Self: ...
    def _open(self, segment: Segment) -> None: ...
    @classmethod
    def _of(cls, segment: Segment) -> Self: ...
    _lock_class: type[Lock]
    @property
    def ndarray(self) -> NDArray[Any]: ...
    @property
    def lock(self) -> Lock: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __setitem__(self, key: Any, value: ArrayLike, /) -> None: ...
    def fetch_add(self, index: SupportsIndex | tuple[SupportsIndex, ...], n: float) -> Any: ...
    def compare_exchange(
        self, index: SupportsIndex | tuple[SupportsIndex, ...], expected: Any, desired: Any
    ) -> bool: ...
    def add_at(self, indices: Any, values: ArrayLike) -> None: ...
    def statistics(self) -> ArrayStatistics: ...

def make(
    place: Place | str,
    name: str,
    seats: int,
    flags: int,
    itemsize: int,
    count: int,
    meta: bytes,
    contents: NDArray[Any] | None = None,
    kind: int = 5,
) -> Segment: ...
def state(segment: Segment) -> str: ...
