"""The common part of the arrays behind a server: what follows from shape and dtype, and copies of all elements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sharedkit._core.handle_methods import StructureMethods

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["ArrayMethods"]


class ArrayMethods(StructureMethods):
    """The rest of an array, built on `_geometry` and `__getitem__`."""

    @abstractmethod
    def _geometry(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and dtype, which never change. Raises ClosedError."""

    @abstractmethod
    def __getitem__(self, key: Any) -> Any: ...

    @property
    def ndarray(self) -> NDArray[Any]:
        """A copy of all elements, of the handle's shape and dtype, that cannot be written to."""
        copied: NDArray[Any] = np.asarray(self[...])
        copied.flags.writeable = False
        return copied

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._geometry()[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of one element."""
        return self._geometry()[1]

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements there are."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def nbytes(self) -> int:
        """How many bytes the elements take in the server."""
        return self.size * self.dtype.itemsize

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        array = self.ndarray
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"{array.dtype} cannot become {np.dtype(dtype)} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __len__(self) -> int:
        shape = self.shape
        if not shape:
            raise TypeError("len() of unsized object")
        return shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.ndarray)
