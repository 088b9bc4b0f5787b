"""Messages of refusals: how the existing structure differs from what was asked for, and which handle was closed."""

from __future__ import annotations

import gc
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from conformance.kind import Kind
from conformance.kinds import KINDS
from conformance.loops import run

import sharedkit as sk

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)

DIFFERENCES: tuple[tuple[str, Callable[..., Any], Callable[..., Any], str], ...] = (
    ("maxsize", lambda c, **o: c.Queue(5, **o), lambda c, **o: c.Queue(6, **o), "is a Queue with maxsize 5, not 6"),
    ("kind", lambda c, **o: c.Counter(**o), lambda c, **o: c.Queue(**o), "is a Counter, not a Queue"),
    ("article", lambda c, **o: c.RLock(**o), lambda c, **o: c.Array(3, **o), "is an RLock, not an Array"),
    (
        "dtype",
        lambda c, **o: c.Array(5, "i8", **o),
        lambda c, **o: c.Array(5, "f8", **o),
        "is an Array with dtype int64, not float64",
    ),
    (
        "shape",
        lambda c, **o: c.Array(5, "i8", **o),
        lambda c, **o: c.Array((5, 1), "i8", **o),
        "is an Array with shape (5,), not (5, 1)",
    ),
    (
        "seats",
        lambda c, **o: c.Dict(seats=5, **o),
        lambda c, **o: c.Dict(**o),
        "is a Dict with seats 5, not 192",
    ),
    (
        "striped",
        lambda c, **o: c.Counter(striped=True, **o),
        lambda c, **o: c.Counter(**o),
        "is a Counter with striped True, not False",
    ),
    (
        "names",
        lambda c, **o: c.Counters(["a"], **o),
        lambda c, **o: c.Counters(["a", "b"], **o),
        "is a group of Counters with names ['a'], not ['a', 'b']",
    ),
    (
        "value",
        lambda c, **o: c.Semaphore(2, **o),
        lambda c, **o: c.Semaphore(3, **o),
        "is a Semaphore with value 2, not 3",
    ),
    (
        "bound",
        lambda c, **o: c.BoundedSemaphore(2, **o),
        lambda c, **o: c.BoundedSemaphore(3, **o),
        "is a BoundedSemaphore with value 2, not 3",
    ),
    (
        "parties",
        lambda c, **o: c.Barrier(2, **o),
        lambda c, **o: c.Barrier(3, **o),
        "is a Barrier with parties 2, not 3",
    ),
    (
        "timeout",
        lambda c, **o: c.Barrier(2, timeout=1, **o),
        lambda c, **o: c.Barrier(2, **o),
        "is a Barrier with timeout 1.0, not None",
    ),
    (
        "on_owner_died",
        lambda c, **o: c.Lock(on_owner_died="raise", **o),
        lambda c, **o: c.Lock(**o),
        "is a Lock with on_owner_died raise, not warn",
    ),
)


@pytest.fixture
def name(context: Any) -> Iterator[str]:
    """A fresh name; after the test the structure of that name is removed."""
    made = f"refusal-{uuid.uuid4().hex}"
    yield made
    gc.collect()
    with suppress(FileNotFoundError):
        context.attach(made).unlink()


@pytest.mark.parametrize(("make", "other", "words"), [row[1:] for row in DIFFERENCES], ids=[r[0] for r in DIFFERENCES])
def test_a_mismatch_says_what_differs(
    context: Any, name: str, make: Callable[..., Any], other: Callable[..., Any], words: str
) -> None:
    with closing(make(context, name=name)), pytest.raises(ValueError, match=re.escape(f"{name!r} {words}")):
        other(context, name=name, exist_ok=True)


@each_kind
def test_a_different_persist_is_refused_either_way(context: Any, kind: Kind, name: str) -> None:
    with (
        closing(kind.make(context, name=name)),
        pytest.raises(ValueError, match=f"{name}.* with persist False, not True"),
    ):
        kind.make(context, name=name, persist=True, exist_ok=True)
    gc.collect()
    one = kind.make(context, name=name, persist=True)
    with pytest.raises(ValueError, match=f"{name}.* with persist True, not False"):
        kind.make(context, name=name, exist_ok=True)
    kind.make(context, name=name, persist=True, exist_ok=True).close()
    one.unlink()
    one.close()


def test_the_refusal_of_a_condition_says_which_lock_it_has(context: Any, name: str) -> None:
    with closing(context.Lock()) as lock, closing(context.Condition(lock, name=name)):
        with pytest.raises(ValueError, match=f"{name}.* is a Condition with .*lock"):
            context.Condition(name=name, exist_ok=True)
        context.Condition(lock, name=name, exist_ok=True).close()


@each_kind
def test_a_closed_handle_is_named(context: Any, kind: Kind) -> None:
    handle = kind.make(context)
    name = handle.name
    handle.close()
    for use in kind.uses:
        with pytest.raises(sk.ClosedError, match=f"operation on a closed {kind.cls} '{name}'"):
            use(handle)


def test_a_closed_handle_is_named_in_a_task_as_well(context: Any) -> None:
    queue = context.Queue()
    name = queue.name
    queue.close()
    with pytest.raises(sk.ClosedError, match=f"operation on a closed Queue '{name}'"):
        run(lambda: queue.aget())


FIRST_ARGUMENTS = {
    "Queue": "maxsize must be an integer, not 'jobs'",
    "LifoQueue": "maxsize must be an integer, not 'jobs'",
    "PriorityQueue": "maxsize must be an integer, not 'jobs'",
    "Counter": "value must be an integer, not 'jobs'",
    "Semaphore": "value must be an integer, not 'jobs'",
    "BoundedSemaphore": "value must be an integer, not 'jobs'",
    "Barrier": "parties must be an integer, not 'jobs'",
    "Condition": "lock must be a Lock",
    "Array": "the shape comes before the dtype",
    "Value": "bad typecode 'jobs'",
    "RawValue": "bad typecode 'jobs'",
    "Dict": "a Dict is made from a mapping or from pairs, not from 'jobs'",
}


@pytest.mark.parametrize("cls", FIRST_ARGUMENTS)
def test_a_name_where_the_first_argument_is_another_is_refused_with_the_way_to_write_it(context: Any, cls: str) -> None:
    if not hasattr(context, cls):
        pytest.skip(f"no {cls} there")
    with pytest.raises(TypeError, match=FIRST_ARGUMENTS[cls]) as refused:
        getattr(context, cls)("jobs")
    assert str(refused.value).endswith("; if it is the structure's name, write name='jobs'")
    with pytest.raises(TypeError) as other:
        getattr(context, cls)(2.5)
    assert "name=" not in str(other.value)
    with pytest.raises(FileNotFoundError):
        context.attach("jobs")


def test_a_keyword_of_a_dict_is_an_item_unless_it_is_an_option_of_dicts(context: Any) -> None:
    if not hasattr(context, "Dict"):
        pytest.skip("no Dict there")
    with context.Dict([("b", 2)], a=1, maxsize=3, exists_ok=4) as d:
        assert d.as_dict() == {"b": 2, "a": 1, "maxsize": 3, "exists_ok": 4}
    with context.Dict({"mode": 1, "group": 2, "seats": 3}) as d:
        d.update(mode=4)
        assert d.as_dict() == {"mode": 4, "group": 2, "seats": 3}
    if context.method == "shm":
        with context.Dict(mode=0o640) as d:
            assert d.as_dict() == {}
        return
    for option in ("mode", "group"):
        with pytest.raises(TypeError, match=f"{option} is an option of a Dict in shared memory only"):
            context.Dict(**{option: 0o640})
