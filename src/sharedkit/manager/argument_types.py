"""The kinds of arguments of requests: how a client makes a plain value, and how the server checks it.

A value is *plain* if its type is exactly the named one: no subclass, because its methods would be the client's code,
and no NumPy scalar. A value that fails a check causes an exception for the client that sent it. Packed items belong to
the clients: the server never unpickles them, nor the pickle of a key: it identifies a key by its canonical form.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from math import isnan
from operator import index
from types import EllipsisType, NoneType
from typing import Any, NamedTuple

import numpy as np

from sharedkit._core.array_spec import plain_dtype
from sharedkit._core.timeouts import seconds
from sharedkit._core.value_methods import CTYPES
from sharedkit.manager._door import only

__all__ = [
    "ANY",
    "BYTES",
    "CODE",
    "COUNT",
    "DTYPE",
    "ENTRIES",
    "FIRST",
    "FLAG",
    "FORM",
    "HOME",
    "ITEMS",
    "KEY",
    "MARKS",
    "METHOD",
    "NAMES",
    "NOTHING",
    "NUMBER",
    "OVERFLOW",
    "PACKED",
    "PARTIES",
    "PERMITS",
    "PID",
    "PLACE",
    "POLICY",
    "POSITION",
    "RANKED",
    "SCALAR",
    "SCALARS",
    "SHAPE",
    "SPAN",
    "TEXT",
    "TIME",
    "VALUE",
    "VALUES",
    "WHOLE",
    "WHOLES",
    "WORD",
    "Argument",
    "check_all",
    "check_one",
    "optional",
    "tuple_of",
]

BITS = 64
LIMIT = 1 << BITS
MOST_BYTES = 4096  # in the name or the key of a counter
RANK_DEPTH = 16  # of tuples within each other in the rank of an item
RANKS = frozenset({bool, int, float, str, bytes})


class Argument(NamedTuple):
    """One argument: its permitted types, how a client converts a value to one of them, and the server's further checks.

    Values of the types in `sure` need no test. The client also checks the parts of a `deep` argument.
    """

    what: str
    types: frozenset[type] | None  # None: any type
    plain: Callable[[Any], Any]
    test: Callable[[Any], object] | None = None
    deep: bool = False
    sure: frozenset[type] = frozenset({NoneType, bool})


# --- tests and conversions


def _is_short(number: int) -> None:
    if not -LIMIT <= number <= LIMIT:
        raise OverflowError(f"a number of {number.bit_length()} bits, where {BITS} are the most")


def _whole(value: Any) -> int:
    return int(index(value))


def _real(value: Any) -> float:
    if isinstance(value, str | bytes | bytearray | np.flexible) or not hasattr(type(value), "__float__"):
        return float(index(value))  # index() raises the TypeError, in its own words
    return float(value)


def _number(value: Any) -> int | float:
    return _whole(value) if hasattr(type(value), "__index__") else _real(value)


def _is_time(value: int | float) -> None:
    if isnan(value):  # isnan() raises OverflowError for an int that is larger than all floats
        raise ValueError("a timeout must not be NaN")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a str is wanted, not {type(value).__name__}")
    return str.__str__(value)


def _key(value: Any) -> str:
    hash(value)
    if not isinstance(value, str):
        raise KeyError(value)
    return str.__str__(value)


def _is_text(value: str | None) -> None:
    if value is not None and len(value) > MOST_BYTES:
        raise ValueError(f"a text of {len(value)} characters, where {MOST_BYTES} are the most")


def _is_packed(value: Any) -> None:
    if type(value) is tuple and (not value or not all(type(each) in BUFFERS for each in value)):
        raise TypeError("an item is bytes, or a tuple of buffers")


def _are_packed(value: list[Any]) -> None:
    if only(bytes, value):  # nearly always
        return
    for each in value:
        if type(each) not in PACKED.types:  # type: ignore[operator]
            raise TypeError(f"an item is bytes, or a tuple of buffers, not {type(each).__name__}")
        _is_packed(each)


def _is_rank(value: Any, depth: int = RANK_DEPTH) -> None:
    """Check that the value can be compared without running a client's code."""
    if type(value) is tuple:
        if not depth:
            raise TypeError(f"a rank is of tuples in at most {RANK_DEPTH} tuples")
        for part in value:
            _is_rank(part, depth - 1)
    elif type(value) not in RANKS:
        raise TypeError(f"a rank is of numbers, str and bytes, not {type(value).__name__}")


def _are_ranked(value: list[Any]) -> None:
    for each in value:
        if type(each) is not tuple or len(each) != 2:
            raise TypeError("a list of ranks and items is wanted")
        rank, packed = each
        _is_rank(rank)
        if type(packed) not in PACKED.types:  # type: ignore[operator]
            raise TypeError(f"an item is bytes, or a tuple of buffers, not {type(packed).__name__}")
        _is_packed(packed)


def _is_form(value: str | int | bytes) -> None:
    if type(value) is int:
        _is_short(value)


def _are_entries(value: list[Any]) -> None:
    for each in value:
        if type(each) is not tuple or len(each) != 3:
            raise TypeError("a list of forms of keys, pickled keys and items is wanted")
        form, first, packed = each
        if type(form) not in FORMS:
            raise TypeError(f"the form of a key is wanted, not {type(form).__name__}")
        _is_form(form)
        if first is not None and type(first) is not bytes:
            raise TypeError(f"a pickled key or None is wanted, not {type(first).__name__}")
        if type(packed) is not bytes:
            if type(packed) is not tuple:
                raise TypeError(f"an item is bytes, or a tuple of buffers, not {type(packed).__name__}")
            _is_packed(packed)


def _are_whole(value: Iterable[Any]) -> None:
    _are_ints(value)
    for each in value:
        _is_short(each)


def _are_ints(value: Iterable[Any]) -> None:
    for each in value:
        if type(each) is not int:
            raise TypeError(f"an int is wanted, not {type(each).__name__}")


def _is_scalar(value: float | str | bytes) -> None:
    if type(value) is int:
        _is_short(value)
    elif type(value) in (str, bytes) and len(value) != 1:  # type: ignore[arg-type]
        raise ValueError(f"one character is wanted, not {len(value)}")  # type: ignore[arg-type]


def _is_code(value: str) -> None:
    if value not in CTYPES:
        raise ValueError(f"no type of a value: {value!r:.20}")


def _is_position(value: tuple[Any, ...] | int) -> None:
    if type(value) is tuple:
        _are_ints(value)


def _position(value: Any) -> int | tuple[int, ...]:
    if type(value) is int:
        return value
    return tuple(map(_whole, value)) if isinstance(value, tuple) else _whole(value)


def _is_place(value: Any) -> None:
    """Check that the value can index an array without running a client's code."""
    for each in value if type(value) is tuple else (value,):
        kind = type(each)
        if kind is slice:
            _are_ints([part for part in (each.start, each.stop, each.step) if part is not None])
        elif kind is np.ndarray:
            if each.dtype.kind not in "biu":
                raise IndexError("arrays used as indices must be of integer (or boolean) type")
        elif kind is list:
            if not all(type(name) is str for name in each):
                raise TypeError("a list that indexes is one of names of fields")
        elif kind not in (int, bool, str, EllipsisType, NoneType):
            raise IndexError(f"{kind.__name__} indexes no array")


def _place(value: Any) -> Any:
    if type(value) is int:
        return value
    return tuple(map(_axis, value)) if isinstance(value, tuple) else _axis(value)


def _axis(value: Any) -> Any:
    if type(value) in (int, bool, str, EllipsisType, NoneType):
        return value
    if isinstance(value, slice):
        return slice(*(None if part is None else _whole(part) for part in (value.start, value.stop, value.step)))
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return [str.__str__(each) for each in value]
    if not isinstance(value, np.ndarray) and hasattr(type(value), "__index__"):
        return _whole(value)
    found = np.asarray(value)
    if found.dtype.kind in "biu":
        return _data(found)
    if found.size:  # raised here as NumPy would, before sending: what pickling an object does is up to its class
        raise IndexError(
            "arrays used as indices must be of integer (or boolean) type"
            if found.ndim
            else "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays "
            f"are valid indices, not {type(value).__name__}"
        )
    return np.empty(found.shape, np.intp)


def _is_data(value: Any) -> None:
    if type(value) is np.ndarray and value.dtype.hasobject:
        raise TypeError(f"an array cannot hold Python objects: {value.dtype}")


def _data(value: Any) -> Any:
    """The value as an array of NumPy's own class, whose dtype is sent without any object of the user's."""
    found = np.asarray(value)
    plain = plain_dtype(found.dtype)
    return found if plain is found.dtype else found.view(plain)


def _same(value: Any) -> Any:
    return value


def _is_dtype(value: Any) -> None:
    if not isinstance(value, np.dtype) or value.hasobject:
        raise TypeError(f"an array cannot be of {value!r}")


def _names(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, value))


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(map(_whole, value))


def _are_names(value: tuple[Any, ...]) -> None:
    for each in value:
        if type(each) is not str:
            raise TypeError(f"the name of a counter must be a str, not {type(each).__name__}")
        _is_text(each)
    if not value or len(set(value)) != len(value):
        raise ValueError("a group needs names that differ")


def _is_home(value: dict[Any, Any]) -> None:
    """Check the paths where a client finds its modules, as `calls.home_of_client` makes them."""
    for key, known in value.items():
        lists = key in ("sys_path", "sys_argv")
        if type(key) is not str or type(known) is not (list if lists else str):
            raise TypeError("the paths of an executor's maker are lists of str, and its main module is a str")
        if lists and not all(type(each) is str for each in known):
            raise TypeError("the paths of an executor's maker are str")
    if "sys_path" not in value:
        raise ValueError("an executor's maker says where it finds its modules")


def _is_method(value: str) -> None:
    if value not in ("fork", "spawn", "forkserver"):
        raise ValueError(f"no start method of workers: {value!r}")


def _is_policy(value: str) -> None:
    if value not in ("warn", "raise"):
        raise ValueError(f"on_owner_died must be 'warn' or 'raise': {value!r}")


def _is_overflow(value: str) -> None:
    if value not in ("block", "drop_oldest"):
        raise ValueError(f"overflow must be 'block' or 'drop_oldest': {value!r}")


def _is_positive(value: int | None) -> None:
    if value is not None and not 1 <= value <= 1 << 20:
        raise ValueError(f"1 to {1 << 20} is wanted: {value}")


def _is_pid(value: int) -> None:
    if not 0 < value < 1 << 31:
        raise ValueError(f"no process has the number {value}")


def _is_permits(value: int) -> None:
    if not 0 <= value < 1 << 31:
        raise ValueError(f"a semaphore counts from 0 to {(1 << 31) - 1}: {value}")


def optional(argument: Argument) -> Argument:
    """The same argument, which may also be None."""
    types, test, make = argument.types, argument.test, argument.plain
    return Argument(
        f"{argument.what} or None",
        None if types is None else types | {NoneType},
        lambda value: None if value is None else make(value),
        None if test is None else lambda value: None if value is None else test(value),
        deep=argument.deep,
        sure=argument.sure | {NoneType},
    )


# --- the arguments

BUFFERS = frozenset({bytes, bytearray, memoryview, pickle.PickleBuffer})

FORMS = frozenset({str, int, bytes})

FLAG = Argument("a bool", frozenset({bool}), bool)
WHOLE = Argument("an int", frozenset({int}), _whole, _is_short)
WORD = Argument("an int of 64 bits", frozenset({int}), _whole, _is_short)
TIME = Argument("a number of seconds", frozenset({int, float}), seconds, _is_time)
SPAN = optional(TIME)
TEXT = Argument("a str", frozenset({str}), _text, _is_text)
KEY = Argument("a str", frozenset({str}), _key)
ANY = Argument("anything", None, _same)
BYTES = Argument("bytes", frozenset({bytes}), bytes)
PACKED = Argument("an item", frozenset({bytes, tuple}), _same, _is_packed, sure=frozenset({bytes}))
ITEMS = Argument("a list of items", frozenset({list}), list, _are_packed)
RANKED = Argument("a list of ranks and items", frozenset({list}), list, _are_ranked)
FORM = Argument("the form of a key", FORMS, _same, _is_form, sure=frozenset({str, bytes}))
FIRST = Argument("a pickled key or None", frozenset({bytes, NoneType}), _same)
ENTRIES = Argument("a list of forms, pickled keys and items", frozenset({list}), list, _are_entries)
MARKS = Argument("a list of ints", frozenset({list}), list, _are_whole)
POSITION = Argument(
    "the place of an element", frozenset({int, tuple}), _position, _is_position, deep=True, sure=frozenset({int})
)
PLACE = Argument(
    "what indexes an array",
    frozenset({int, bool, str, slice, tuple, list, np.ndarray, EllipsisType, NoneType}),
    _place,
    _is_place,
    deep=True,
    sure=frozenset({int, bool, str, EllipsisType, NoneType}),
)
NUMBER = Argument("a number", frozenset({int, float, bool}), _number)
SCALARS = frozenset({int, float, bool, complex, str, bytes})
VALUE = Argument("a value", SCALARS | {np.ndarray}, _data, _is_data, deep=True, sure=SCALARS)
SCALAR = Argument("a number, a bool or a character", frozenset({int, float, bool, str, bytes}), _same, _is_scalar)
VALUES = Argument("an array", frozenset({np.ndarray}), _data, _is_data, deep=True)

# of the requests that make a structure, and of the first message of a connection
POLICY = TEXT._replace(test=_is_policy)
OVERFLOW = TEXT._replace(test=_is_overflow)
PERMITS = WHOLE._replace(test=_is_permits)
PARTIES = WHOLE._replace(test=_is_positive)
CODE = TEXT._replace(test=_is_code)
METHOD = TEXT._replace(test=_is_method)
COUNT = Argument("a positive int", frozenset({int}), _whole, _is_positive)
PID = COUNT._replace(test=_is_pid)
NAMES = Argument("a tuple of str", frozenset({tuple}), _names, _are_names, deep=True)
SHAPE = Argument("a tuple of ints", frozenset({tuple}), _shape, _are_whole, deep=True)
DTYPE = Argument("a dtype", None, plain_dtype, _is_dtype)
HOME = Argument("a dict of paths", frozenset({dict}), dict, _is_home)
WHOLES = Argument("a tuple", frozenset({tuple}), tuple, _are_whole)
NOTHING = Argument("None", frozenset({NoneType}), _same)


def tuple_of(what: str, *parts: Argument) -> Argument:
    """A tuple of these."""
    return Argument(what, frozenset({tuple}), _same, lambda value: check_all(parts, value))


# --- checks


def check_one(argument: Argument, value: Any) -> None:
    """Raises TypeError, ValueError, OverflowError if the value is not plain, or fails the argument's own test."""
    if argument.types is not None and type(value) not in argument.types:
        raise TypeError(f"{argument.what} is wanted, not {type(value).__name__}")
    if argument.test is not None:
        argument.test(value)


def check_all(arguments: tuple[Argument, ...], values: tuple[Any, ...]) -> None:
    """Check as many values as there are arguments."""
    if len(values) != len(arguments):
        raise TypeError(f"{len(arguments)} values are wanted, not {len(values)}")
    for argument, value in zip(arguments, values, strict=True):
        check_one(argument, value)
