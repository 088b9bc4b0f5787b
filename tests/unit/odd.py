"""Values whose classes behave oddly, with which a server must not compute. A server can import them from here."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import numpy as np


class _Sly:
    """Is less than, greater than and equal to anything, and can be added to anything."""

    def __lt__(self, other: object) -> bool:
        return True

    __gt__ = __le__ = __ge__ = __lt__

    def __add__(self, other: object) -> Any:
        raise SystemExit("added")

    __radd__ = __sub__ = __rsub__ = __add__


class Time(_Sly, float):
    pass


class Count(_Sly, int):
    def __index__(self) -> int:
        return int.__index__(self)


class Name(str):
    def __eq__(self, other: object) -> bool:
        raise SystemExit("compared")

    __hash__ = str.__hash__


class Raw(bytes):
    def __len__(self) -> int:
        raise SystemExit("measured")


class Items(list[Any]):
    def __len__(self) -> int:
        raise SystemExit("measured")


class Pair(tuple[Any, ...]):
    def __iter__(self) -> Any:
        raise SystemExit("iterated")


class Table(dict[Any, Any]):
    def keys(self) -> Any:
        raise SystemExit("asked for keys")


class Ends:
    """Ends the thread that unpickles it, by SystemExit."""

    def __reduce__(self) -> Any:
        return sys.exit, ("unpickled",)


class Kills:
    """Ends the process that unpickles it, whatever exceptions that process catches."""

    def __reduce__(self) -> Any:
        return os._exit, (99,)


class EndsLater:
    """Raises SystemExit when it is hashed, compared or shown."""

    def _end(self, *_: object) -> NoReturn:
        raise SystemExit("touched")

    __eq__ = __bool__ = __index__ = __float__ = __len__ = __iter__ = __hash__ = __repr__ = _end  # type: ignore[assignment]


class Array:
    """NumPy makes an array of it whose only element is 7."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.full(1, 7, dtype)
