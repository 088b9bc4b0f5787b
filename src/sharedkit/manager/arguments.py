"""The arguments of each request, in one table. A client converts its arguments to plain values, and the server checks
them. The server computes only with data from a client that has passed these checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sharedkit.manager._door import Known, is_envelope
from sharedkit.manager.argument_types import (
    ANY,
    BYTES,
    CODE,
    COUNT,
    DTYPE,
    ENTRIES,
    FIRST,
    FLAG,
    FORM,
    HOME,
    ITEMS,
    KEY,
    MARKS,
    METHOD,
    NAMES,
    NOTHING,
    NUMBER,
    PACKED,
    PARTIES,
    PERMITS,
    PID,
    PLACE,
    POLICY,
    POSITION,
    RANKED,
    SCALAR,
    SHAPE,
    SPAN,
    TEXT,
    TIME,
    VALUE,
    VALUES,
    WHOLE,
    WHOLES,
    WORD,
    Argument,
    check_all,
    check_one,
    optional,
    tuple_of,
)

__all__ = [
    "REGISTRY",
    "REQUESTS",
    "check",
    "check_envelope",
    "check_first",
    "check_result",
    "plain",
    "plain_created",
]

REGISTRY = "registry"  # the kind of the registry, which is no structure


class Takes(NamedTuple):
    """The arguments of a request; the last ones may be omitted."""

    arguments: tuple[Argument, ...] = ()
    least: int = 0


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
    "get_many": _of(optional(WHOLE), FLAG, SPAN),
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
        "arrive": _of(WHOLE, TEXT, optional(TEXT)),
        "unlink": _of(WHOLE),
        "ticket": _of(TEXT, optional(WHOLE)),
        "arrived": _NONE,
        "release": _NONE,
        "undone": _NONE,
        "lost": _of(WHOLE, WHOLE),
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
    "Condition": {"lock": _NONE, "wait": _of(SPAN), "notify": _of(optional(WHOLE)), "statistics": _NONE},
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
        "swap": _of(FORM, FIRST, optional(PACKED), PACKED),
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

_POLICY = {"on_owner_died": POLICY}
_FIRST = {"value": PERMITS}

_QUEUES: tuple[dict[str, Argument], tuple[Argument, ...]] = ({"maxsize": WHOLE}, (WHOLE,))

_VALUES: tuple[dict[str, Argument], tuple[Argument, ...]] = ({"type": CODE}, (SCALAR,))

_CREATED: dict[str, tuple[dict[str, Argument], tuple[Argument, ...]]] = {
    "Lock": (_POLICY, ()),
    "RLock": (_POLICY, ()),
    "Semaphore": (_FIRST, ()),
    "BoundedSemaphore": (_FIRST, ()),
    "Event": ({}, ()),
    "Barrier": ({"parties": PARTIES, "timeout": SPAN}, (SPAN,)),
    "Condition": ({"lock": optional(WHOLE)}, ()),
    "RWLock": ({}, ()),
    "Queue": _QUEUES,
    "LifoQueue": _QUEUES,
    "PriorityQueue": _QUEUES,
    "Counter": ({"striped": FLAG}, (WORD,)),
    "Counters": ({"names": NAMES}, ()),
    "Dict": ({}, ()),
    "Set": ({}, ()),
    "RawValue": _VALUES,
    "Value": _VALUES,
    "Array": (
        {
            "shape": SHAPE,
            "dtype": DTYPE,
        },
        (optional(VALUES),),  # the initial elements
    ),
    "Executor": (
        {
            "max_workers": optional(COUNT),
            "method": METHOD,
            "max_tasks_per_child": optional(COUNT),
            "prefix": TEXT,
        },
        (HOME, BYTES),
    ),
}

# --- results of requests that can be undone, as a client sends them back

_GOT = tuple_of("two bools", FLAG, FLAG)
_WAITED = tuple_of("a wait's result", FLAG, FLAG, WHOLE)
_PASSED = tuple_of("a party's number", WHOLE, FLAG)
_ENTRY = tuple_of("key and item", FIRST, PACKED)
_PAIR = tuple_of("form and entry", FORM, _ENTRY)
_FOUND = tuple_of("kind and number", TEXT, WHOLE)

_RESULTS: dict[str, dict[str, Argument]] = {
    REGISTRY: {"create": WHOLE, "attach": _FOUND, "arrive": NOTHING},
    "Lock": {"acquire": _GOT, "acquire_restore_whole": NOTHING},
    "RLock": {"acquire": _GOT, "acquire_restore_whole": NOTHING},
    "Semaphore": {"acquire": FLAG},
    "BoundedSemaphore": {"acquire": FLAG},
    "RWLock": {"acquire_read": _GOT, "acquire_write": _GOT},
    "Condition": {"wait": _WAITED, "wait_whole": NOTHING},
    "Barrier": {"wait": _PASSED},
    "Queue": {"get_many": ITEMS},
    "LifoQueue": {"get_many": ITEMS},
    "PriorityQueue": {"get_many": RANKED},
    "Dict": {"pop": optional(_ENTRY), "popitem": _PAIR},
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
    check_all(more, extra)
    for key, value in spec.items():
        check_one(WHOLE if key == "seats" else equal[key], value)


def check_result(kind: str, method: str, args: Any, result: Any) -> bool:
    """Whether `method` can be undone. Raises TypeError if it can never have returned `result`."""
    known = _RESULTS.get(kind, {}).get(method)
    if known is None:
        return False
    if type(args) is not tuple:
        raise TypeError(f"the arguments of a request are a tuple, not {type(args).__name__}")
    check(kind, method.removesuffix("_whole"), args)
    check_one(known, result)
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
        check_all((TEXT,), args)
        return True
    if len(args) != 2:
        raise TypeError(f"a session begins with a process and what it inherits, not {len(args)} arguments")
    pid, inherited = args
    check_one(PID, pid)
    if inherited is not None:
        if type(inherited) is not tuple:
            raise TypeError(f"what is inherited is a tuple, not {type(inherited).__name__}")
        check_all((TEXT, optional(TEXT), WHOLES), inherited)
    return True
