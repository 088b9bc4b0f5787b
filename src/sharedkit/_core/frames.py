"""Arrays over memory that belongs to a block: usable inside `with`, expired behind it."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

__all__ = ["ExpiredFrame", "Frame", "expire"]


class Frame(np.ndarray[Any, Any]):
    """An array over a slot of shared memory, for one `with` block. Its slices and results are plain arrays; those that
    share its memory keep that memory as it is, also behind the block."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return found.view(np.ndarray) if type(found) is Frame else found

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        if array is self or type(array) is not Frame:
            return array
        return array[()] if return_scalar else array.view(np.ndarray)

    def copy(self, order: Any = "C") -> Any:
        """A plain array with the same elements, in memory of its own."""
        return np.array(self, order=order, copy=True, subok=False)

    def __reduce__(self) -> Any:
        return self.copy().__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.copy().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise ValueError("the block of this view is over: copy what is needed behind it, for example view.copy()")


class ExpiredFrame(np.ndarray[Any, Any]):
    """A frame whose block is over: whatever is done with it raises ValueError. C code that takes the memory of an array
    without asking it still finds the same message there."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, name) if name == "__class__" else _refuse()

    __len__ = __iter__ = __getitem__ = __setitem__ = __contains__ = __repr__ = __str__ = __format__ = _refuse
    __array_finalize__ = __array_ufunc__ = __array_function__ = __bool__ = __int__ = __float__ = __complex__ = _refuse
    __index__ = __copy__ = __deepcopy__ = __reduce__ = __reduce_ex__ = _refuse


def expire(frame: Any) -> None:
    """Make every use of the frame raise ValueError from now on."""
    frame.__class__ = ExpiredFrame
