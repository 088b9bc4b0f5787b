"""The arguments of each request, in one table. A client converts its arguments to plain values, and the server checks
them.

The server computes only with data from a client that has passed these checks. A value is *plain* if its type is exactly
the named one: no subclass, because its methods would be the client's code, and no NumPy scalar. A value that fails a
check causes an exception for the client that sent it. `Packed` items belong to the clients: the server never unpickles
them, nor the pickle of a key: it identifies a key by its canonical form.
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
from sharedkit.manager._door import Known, is_envelope, only

__all__ = [
    "REGISTRY",
    "REQUESTS",
    "SCALARS",
    "Argument",
    "check",
    "check_envelope",
    "check_first",
    "check_result",
    "plain",
    "plain_created",
]

REGISTRY = "registry"  # the kind of the registry, which is no structure
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


class Takes(NamedTuple):
    """The arguments of a request; the last ones may be omitted."""

    arguments: tuple[Argument, ...] = ()
    least: int = 0


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


def _is_positive(value: int | None) -> None:
    if value is not None and not 1 <= value <= 1 << 20:
        raise ValueError(f"1 to {1 << 20} is wanted: {value}")


def _is_pid(value: int) -> None:
    if not 0 < value < 1 << 31:
        raise ValueError(f"no process has the number {value}")


def _is_permits(value: int) -> None:
    if not 0 <= value < 1 << 31:
        raise ValueError(f"a semaphore counts from 0 to {(1 << 31) - 1}: {value}")


def _optional(argument: Argument) -> Argument:
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
SPAN = _optional(TIME)
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

# --- the requests, by kind

_NONE = Takes()


def _of(*arguments: Argument, least: int | None = None) -> Takes:
    return Takes(arguments, len(arguments) if least is None else least)


_LOCK = {
    "acquire": _of(FLAG, TIME),
    "release": _NONE,
    "mark_consistent": _NONE,
    "is_owned": _NONE,
    "release_save": _NONE,
    "acquire_restore": _of(WHOLE),
    "statistics": _NONE,
}
_SEMAPHORE = {"acquire": _of(FLAG, SPAN), "release": _of(WHOLE), "release_one": _NONE, "statistics": _NONE}
_WORDS = {
    "add": _of(KEY, WORD),
    "load": _of(KEY),
    "exchange": _of(KEY, WORD),
    "compare_exchange": _of(KEY, WORD, WORD),
    "statistics": _NONE,
}

_QUEUE = {
    "put_many": _of(ITEMS, FLAG, SPAN, FLAG, least=3),
    "take_back": _of(ITEMS, MARKS),
    "get_many": _of(_optional(WHOLE), FLAG, SPAN),
    "task_done": _NONE,
    "join": _NONE,
    "shutdown": _of(FLAG),
    "qsize": _NONE,
    "set_maxsize": _of(WHOLE),
    "get_maxsize": _NONE,
    "statistics": _NONE,
}

_VALUE = {"type": _NONE, "get": _NONE, "set": _of(SCALAR), "statistics": _NONE}

REQUESTS: dict[str, dict[str, Takes]] = {
    REGISTRY: {
        "create": _of(TEXT, TEXT, FLAG, FLAG, ANY, ANY),  # the last two are checked by `check_created`
        "attach": _of(TEXT),
        "arrive": _of(WHOLE, TEXT, _optional(TEXT)),
        "unlink": _of(WHOLE),
        "ticket": _of(TEXT, _optional(WHOLE)),
        "arrived": _NONE,
        "release": _NONE,
        "undone": _NONE,
    },
    "Lock": _LOCK,
    "RLock": _LOCK,
    "Semaphore": _SEMAPHORE,
    "BoundedSemaphore": _SEMAPHORE,
    "Event": {"is_set": _NONE, "set": _NONE, "clear": _NONE, "wait": _of(SPAN), "statistics": _NONE},
    "Barrier": {
        "wait": _of(SPAN, FLAG),
        "acted": _of(FLAG),
        "reset": _NONE,
        "abort": _NONE,
        "timeout": _NONE,
        "statistics": _NONE,
    },
    "Condition": {"lock": _NONE, "wait": _of(SPAN), "notify": _of(_optional(WHOLE)), "statistics": _NONE},
    "RWLock": {
        "acquire_read": _of(FLAG, TIME),
        "release_read": _NONE,
        "acquire_write": _of(FLAG, TIME),
        "release_write": _NONE,
        "statistics": _NONE,
    },
    "Queue": _QUEUE,
    "LifoQueue": _QUEUE,
    "PriorityQueue": {
        **_QUEUE,
        "put_many": _of(RANKED, FLAG, SPAN, FLAG, least=3),
        "take_back": _of(RANKED, MARKS),
    },
    "Counter": _WORDS,
    "Counters": {**_WORDS, "items": _NONE},
    "Dict": {
        "get": _of(FORM),
        "has": _of(FORM),
        "set": _of(ENTRIES),
        "setdefault": _of(FORM, FIRST, PACKED),
        "pop": _of(FORM),
        "popitem": _NONE,
        "add": _of(FORM, FIRST, NUMBER),
        "swap": _of(FORM, FIRST, _optional(PACKED), PACKED),
        "clear": _NONE,
        "items": _NONE,
        "keys": _NONE,
        "len": _NONE,
        "statistics": _NONE,
    },
    "RawValue": _VALUE,
    "Value": {**_VALUE, "lock": _NONE},
    "Set": {
        "has": _of(FORM),
        "insert": _of(ENTRIES),
        "discard": _of(FORM),
        "popitem": _NONE,
        "clear": _NONE,
        "keys": _NONE,
        "len": _NONE,
        "statistics": _NONE,
    },
    "Array": {
        "geometry": _NONE,
        "read": _of(PLACE),
        "write": _of(PLACE, VALUE),
        "fetch_add": _of(POSITION, NUMBER),
        "compare_exchange": _of(POSITION, NUMBER, NUMBER),
        "add_at": _of(PLACE, VALUES),
        "statistics": _NONE,
    },
    "Executor": {
        "run": _of(TEXT, WHOLE, PACKED, SPAN),
        "take_back": _of(TEXT, WHOLE, FLAG),
        "is_running": _of(TEXT, WHOLE),
        "shutdown": _of(FLAG),
        "end_workers": _of(FLAG),
        "join": _NONE,
        "statistics": _NONE,
    },
}

# --- the arguments that make a structure: those that must be equal in an existing one, and its initial contents

_POLICY = {"on_owner_died": TEXT._replace(test=_is_policy)}
_FIRST = {"value": WHOLE._replace(test=_is_permits)}
_COUNT = Argument("a positive int", frozenset({int}), _whole, _is_positive)

_QUEUES: tuple[dict[str, Argument], tuple[Argument, ...]] = ({"maxsize": WHOLE}, (WHOLE,))

_VALUES: tuple[dict[str, Argument], tuple[Argument, ...]] = ({"type": TEXT._replace(test=_is_code)}, (SCALAR,))

_CREATED: dict[str, tuple[dict[str, Argument], tuple[Argument, ...]]] = {
    "Lock": (_POLICY, ()),
    "RLock": (_POLICY, ()),
    "Semaphore": (_FIRST, ()),
    "BoundedSemaphore": (_FIRST, ()),
    "Event": ({}, ()),
    "Barrier": ({"parties": WHOLE._replace(test=_is_positive), "timeout": SPAN}, (SPAN,)),
    "Condition": ({"lock": _optional(WHOLE)}, ()),
    "RWLock": ({}, ()),
    "Queue": _QUEUES,
    "LifoQueue": _QUEUES,
    "PriorityQueue": _QUEUES,
    "Counter": ({"striped": FLAG}, (WORD,)),
    "Counters": ({"names": Argument("a tuple of str", frozenset({tuple}), _names, _are_names, deep=True)}, ()),
    "Dict": ({}, ()),
    "Set": ({}, ()),
    "RawValue": _VALUES,
    "Value": _VALUES,
    "Array": (
        {
            "shape": Argument("a tuple of ints", frozenset({tuple}), _shape, _are_whole, deep=True),
            "dtype": Argument("a dtype", None, plain_dtype, _is_dtype),
        },
        (_optional(VALUES),),  # the initial elements
    ),
    "Executor": (
        {
            "max_workers": _optional(_COUNT),
            "method": TEXT._replace(test=_is_method),
            "max_tasks_per_child": _optional(_COUNT),
            "prefix": TEXT,
        },
        (Argument("a dict of paths", frozenset({dict}), dict, _is_home), BYTES),
    ),
}

# --- results of requests that can be undone, as a client sends them back

_GOT = Argument("two bools", frozenset({tuple}), _same, lambda value: _check_all((FLAG, FLAG), value))
_WAITED = Argument("a wait's result", frozenset({tuple}), _same, lambda value: _check_all((FLAG, FLAG, WHOLE), value))
_PASSED = Argument("a party's number", frozenset({tuple}), _same, lambda value: _check_all((WHOLE, FLAG), value))
_ENTRY = Argument("key and item", frozenset({tuple}), _same, lambda value: _check_all((FIRST, PACKED), value))
_PAIR = Argument("form and entry", frozenset({tuple}), _same, lambda value: _check_all((FORM, _ENTRY), value))
_FOUND = Argument("kind and number", frozenset({tuple}), _same, lambda value: _check_all((TEXT, WHOLE), value))
_NOTHING = Argument("None", frozenset({NoneType}), _same)

_RESULTS: dict[str, dict[str, Argument]] = {
    REGISTRY: {"create": WHOLE, "attach": _FOUND, "arrive": _NOTHING},
    "Lock": {"acquire": _GOT, "acquire_restore_whole": _NOTHING},
    "RLock": {"acquire": _GOT, "acquire_restore_whole": _NOTHING},
    "Semaphore": {"acquire": FLAG},
    "BoundedSemaphore": {"acquire": FLAG},
    "RWLock": {"acquire_read": _GOT, "acquire_write": _GOT},
    "Condition": {"wait": _WAITED, "wait_whole": _NOTHING},
    "Barrier": {"wait": _PASSED},
    "Queue": {"get_many": ITEMS},
    "LifoQueue": {"get_many": ITEMS},
    "PriorityQueue": {"get_many": RANKED},
    "Dict": {"pop": _optional(_ENTRY), "popitem": _PAIR},
    "Set": {"popitem": _PAIR},
}


# --- at the client

PARTED = frozenset({tuple, list, slice, np.ndarray})  # have parts that may not be plain
_plain = Known()  # requests whose arguments need no further conversion


def plain(kind: str, method: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments in plain types; TypeError, ValueError or OverflowError if they cannot be converted."""
    if _plain.look(kind, method, args):
        return args
    arguments = REQUESTS[kind][method].arguments
    if all(
        each.types is not None and type(value) in each.types and not (each.deep and type(value) in PARTED)
        for each, value in zip(arguments, args, strict=False)
    ):
        _plain.learn(kind, method, args, True)
        return args
    return tuple(map(_plain_one, arguments, args))


def plain_created(kind: str, spec: dict[str, Any], extra: tuple[Any, ...]) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Do as `plain` does for the arguments that make a structure."""
    equal, more = _CREATED[kind]
    made = {key: _plain_one(WHOLE if key == "seats" else equal[key], value) for key, value in spec.items()}
    return made, tuple(map(_plain_one, more, extra))


def _plain_one(argument: Argument, value: Any) -> Any:
    if argument.types is not None and type(value) in argument.types and not (argument.deep and type(value) in PARTED):
        return value
    return argument.plain(value)


# --- at the server


def _check_one(argument: Argument, value: Any) -> None:
    if argument.types is not None and type(value) not in argument.types:
        raise TypeError(f"{argument.what} is wanted, not {type(value).__name__}")
    if argument.test is not None:
        argument.test(value)


def _check_all(arguments: tuple[Argument, ...], values: tuple[Any, ...]) -> None:
    if len(values) != len(arguments):
        raise TypeError(f"{len(arguments)} values are wanted, not {len(values)}")
    _check_each(arguments, values)


def _check_each(arguments: tuple[Argument, ...], values: tuple[Any, ...]) -> None:
    for argument, value in zip(arguments, values, strict=False):
        _check_one(argument, value)


def check(kind: str, method: str, args: tuple[Any, ...]) -> None:
    """Check the arguments of a request, in the server. Raises TypeError, ValueError, OverflowError."""
    tests = _tests.look(kind, method, args)
    if tests is None:
        tests = _tests_of(kind, method, args)
        if all(each is not ANY for each in REQUESTS[kind][method].arguments):
            _tests.learn(kind, method, args, tests)
    for place, test in tests:
        test(args[place])
    if method == "create":
        check_created(args[0], args[4], args[5])


_tests = Known()  # the tests that remain for the arguments of a request: the position and the test of each


def _tests_of(kind: str, method: str, args: tuple[Any, ...]) -> tuple[tuple[int, Callable[[Any], object]], ...]:
    takes = REQUESTS[kind].get(method)
    if takes is None:
        raise TypeError(f"no request of this server: {method!r} of a {kind}")
    arguments, least = takes
    if not least <= len(args) <= len(arguments):
        raise TypeError(f"{method} of a {kind} takes {len(arguments)} arguments, not {len(args)}")
    tests = []
    for place, (argument, value) in enumerate(zip(arguments, args, strict=False)):
        if argument.types is not None and type(value) not in argument.types:
            raise TypeError(f"{argument.what} is wanted, not {type(value).__name__}")
        if argument.test is not None and type(value) not in argument.sure:
            tests.append((place, argument.test))
    return tuple(tests)


def check_created(kind: str, spec: Any, extra: Any) -> None:
    """Do as `check` does for the arguments that make a structure."""
    if kind not in _CREATED:
        raise ValueError(f"a server makes no {kind!r}")
    equal, more = _CREATED[kind]
    if type(spec) is not dict or type(extra) is not tuple or spec.keys() != {"seats", *equal}:
        raise TypeError(f"what makes a {kind} is {', '.join(equal)} and seats")
    _check_all(more, extra)
    for key, value in spec.items():
        _check_one(WHOLE if key == "seats" else equal[key], value)


def check_result(kind: str, method: str, args: Any, result: Any) -> bool:
    """Whether `method` can be undone. Raises TypeError if it can never have returned `result`."""
    known = _RESULTS.get(kind, {}).get(method)
    if known is None:
        return False
    if type(args) is not tuple:
        raise TypeError(f"the arguments of a request are a tuple, not {type(args).__name__}")
    check(kind, method.removesuffix("_whole"), args)
    _check_one(known, result)
    return True


def check_envelope(content: Any) -> tuple[int, str, tuple[Any, ...], int, tuple[Any, ...]]:
    """Check the request itself; `protocol.py` describes it."""
    if is_envelope(content):
        return content
    raise TypeError("a request is (ident, method, args, thread, released)")


def check_first(method: str, args: tuple[Any, ...]) -> bool:
    """Check the first message of a connection, apart from the protocol number. The first connection of a session names
    its process and what that process has inherited; any further connection names the session. Raises TypeError,
    ValueError.
    """
    if method == "kit_calls":
        _check_all((TEXT,), args)
        return True
    if len(args) != 2:
        raise TypeError(f"a session begins with a process and what it inherits, not {len(args)} arguments")
    pid, inherited = args
    _check_one(_COUNT._replace(test=_is_pid), pid)
    if inherited is not None:
        if type(inherited) is not tuple:
            raise TypeError(f"what is inherited is a tuple, not {type(inherited).__name__}")
        _check_all((TEXT, _optional(TEXT), Argument("a tuple", frozenset({tuple}), tuple, _are_whole)), inherited)
    return True
