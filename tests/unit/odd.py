"""Values whose classes answer odd things: what a server must not compute with. It can import them from here."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import numpy as np


class _Sly:
    """Is less, more and equal, and can be added to anything."""

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
    """Ends who unpickles it."""

    def __reduce__(self) -> Any:
        return sys.exit, ("unpickled",)


class Kills:
    """Ends the process of who unpickles it, whatever that catches."""

    def __reduce__(self) -> Any:
        return os._exit, (99,)


class EndsLater:
    """Ends who hashes, compares or shows it."""

    def _end(self, *_: object) -> NoReturn:
        raise SystemExit("touched")

    __eq__ = __bool__ = __index__ = __float__ = __len__ = __iter__ = __hash__ = __repr__ = _end  # type: ignore[assignment]


class Array:
    """An array of one seven for NumPy."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.full(1, 7, dtype)
