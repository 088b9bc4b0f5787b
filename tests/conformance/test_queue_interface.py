"""The interface of `queue.Queue`: signatures, results, exceptions, sizes and order, with one caller at a time."""

from __future__ import annotations

import inspect
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

MakeQueue = Callable[..., Any]
METHODS = ("put", "get", "put_nowait", "get_nowait", "task_done", "join", "qsize", "empty", "full")


def _positional(method: Any) -> list[tuple[str, Any]]:
    """Names and defaults of the positional parameters; any other parameter is keyword-only."""
    parameters = list(inspect.signature(method).parameters.values())
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[len(positional) :])
    return [(p.name, p.default) for p in positional]


@pytest.mark.needs("raw-signature")
@pytest.mark.parametrize("name", METHODS)
def test_parameters_are_those_of_the_standard_library(make_queue: MakeQueue, name: str) -> None:
    assert _positional(getattr(make_queue(), name)) == _positional(getattr(queue.Queue(), name))


@pytest.mark.needs("shutdown")
def test_shutdown_takes_immediate(make_queue: MakeQueue) -> None:
    assert _positional(make_queue().shutdown) == [("immediate", False)]


@pytest.mark.needs("batches")
def test_batch_methods_take_the_arguments_of_single_item_methods(make_queue: MakeQueue) -> None:
    q = make_queue()
    assert _positional(q.put_many)[1:] == _positional(q.put)[1:]
    assert _positional(q.get_many) == [("max_items", None), *_positional(q.get)]


@pytest.mark.needs("names")
def test_the_constructor_takes_maxsize_first_and_the_rest_by_keyword(make_queue: MakeQueue) -> None:
    parameters = inspect.signature(type(make_queue())).parameters
    first, *rest = parameters.values()
    assert (first.name, first.default, first.kind) == ("maxsize", 0, first.POSITIONAL_OR_KEYWORD)
    assert all(p.kind is p.KEYWORD_ONLY for p in rest)
    assert {"name": None, "exist_ok": False, "persist": False}.items() <= {p.name: p.default for p in rest}.items()


@pytest.mark.needs("at-once", "rising-items")
def test_putting_and_marking_as_done_return_none(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    assert q.put(1) is None
    assert q.put_nowait(2) is None
    assert q.get() == 1
    assert q.get_nowait() == 2
    assert q.task_done() is None
    assert q.task_done() is None
    assert q.join() is None


@pytest.mark.needs("oldest-first")
@pytest.mark.parametrize(
    "item",
    [
        None,
        True,
        False,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        2**64,
        -(2**200),
        0.0,
        -0.5,
        float("inf"),
        "",
        "text",
        "ünïcödé \U0001f600",
        "nul\0inside",
        b"",
        b"bytes\0with nul",
        b"x" * 100_000,
        bytearray(b"array"),
        (),
        (1, "two", b"three", None),
        [1, [2, [3]]],
        {"key": {"nested": [1.5]}},
        {1, 2, 3},
        1 + 2j,
        range(5),
        ValueError("an exception"),
    ],
    ids=lambda item: repr(item)[:24],
)
def test_an_item_comes_out_as_it_went_in(make_queue: MakeQueue, item: object) -> None:
    q = make_queue()
    q.put(item)
    out = q.get()
    assert type(out) is type(item)
    assert out == item or (isinstance(item, Exception) and out.args == item.args)


@pytest.mark.needs("any-object")
def test_an_item_is_handed_over_and_not_copied(make_queue: MakeQueue) -> None:
    q = make_queue()
    item = [threading.Lock()]
    q.put(item)
    assert q.get() is item


@pytest.mark.needs("oldest-first")
def test_items_of_many_sizes_come_in_order(make_queue: MakeQueue) -> None:
    q = make_queue()
    sizes = [0, 1, 7, 8, 9, 63, 64, 65, 1000, 4096, 70_000, 3, 1 << 20]
    items = [b"%d:" % size + b"x" * size for size in sizes]
    for item in items:
        q.put(item)
    assert [q.get() for _ in items] == items


@pytest.mark.needs("at-once")
def test_sizes_are_exact(make_queue: MakeQueue) -> None:
    q = make_queue(3)
    assert (q.qsize(), q.empty(), q.full()) == (0, True, False)
    q.put("a")
    assert (q.qsize(), q.empty(), q.full()) == (1, False, False)
    q.put("b")
    q.put("c")
    assert (q.qsize(), q.empty(), q.full()) == (3, False, True)
    q.get()
    assert (q.qsize(), q.empty(), q.full()) == (2, False, False)


@pytest.mark.needs("rising-items")
@pytest.mark.parametrize("maxsize", [0, -1, -100])
def test_a_maxsize_of_0_or_less_is_no_bound(make_queue: MakeQueue, maxsize: int) -> None:
    q = make_queue(maxsize)
    for i in range(3000):
        q.put(i, block=False)
    assert not q.full()
    assert [q.get() for _ in range(3000)] == list(range(3000))


@pytest.mark.needs("public-state")
def test_maxsize_is_what_was_asked_for(make_queue: MakeQueue) -> None:
    assert make_queue(7).maxsize == 7
    assert make_queue(maxsize=3).maxsize == 3
    assert make_queue().maxsize <= 0


@pytest.mark.needs("public-state", "rising-items")
def test_maxsize_can_be_set_later(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    q.put(1)
    q.put(2)
    q.maxsize = 3
    q.put(3, block=False)
    q.maxsize = 1
    with pytest.raises(queue.Full):
        q.put(4, block=False)
    assert [q.get(), q.get(), q.get()] == [1, 2, 3]


@pytest.mark.needs("public-state")
def test_unfinished_tasks_count_puts_and_marks(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put(1)
    q.put(2)
    assert q.unfinished_tasks == 2
    q.get()
    assert q.unfinished_tasks == 2
    q.task_done()
    assert q.unfinished_tasks == 1


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((False,), {}), ((0,), {}), ((), {"block": False}), ((True, 0), {}), ((), {"timeout": 0.02})],
    ids=str,
)
def test_an_empty_queue_raises_empty(make_queue: MakeQueue, args: Any, kwargs: Any) -> None:
    q = make_queue()
    with pytest.raises(queue.Empty) as caught:
        q.get(*args, **kwargs)
    assert caught.type is queue.Empty
    with pytest.raises(queue.Empty):
        q.get_nowait()


@pytest.mark.needs("rising-items")
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((False,), {}), ((0,), {}), ((), {"block": False}), ((True, 0), {}), ((), {"timeout": 0.02})],
    ids=str,
)
def test_a_full_queue_refuses_and_keeps_what_it_has(make_queue: MakeQueue, args: Any, kwargs: Any) -> None:
    q = make_queue(2)
    q.put("a")
    q.put("b")
    with pytest.raises(queue.Full) as caught:
        q.put("c", *args, **kwargs)
    assert caught.type is queue.Full
    with pytest.raises(queue.Full):
        q.put_nowait("c")
    assert [q.get(), q.get()] == ["a", "b"]


@pytest.mark.needs("spellings")
def test_blocking_is_another_spelling_of_block(make_queue: MakeQueue) -> None:
    q = make_queue(1)
    with pytest.raises(queue.Empty):
        q.get(blocking=False)
    q.put(1, blocking=True)
    with pytest.raises(queue.Full):
        q.put(2, blocking=False)
    with pytest.raises(queue.Full):
        q.put_many([2], blocking=False)
    assert q.get_many(blocking=False) == [1]
    with pytest.raises(queue.Empty):
        q.get_many(blocking=False)


def test_a_timeout_is_waited_out(make_queue: MakeQueue) -> None:
    q = make_queue(1)
    began = time.monotonic()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.15)
    assert time.monotonic() - began >= 0.149
    q.put(1)
    began = time.monotonic()
    with pytest.raises(queue.Full):
        q.put(2, timeout=0.15)
    assert time.monotonic() - began >= 0.149


@pytest.mark.needs("timeout-check")
def test_a_negative_timeout_is_refused(make_queue: MakeQueue) -> None:
    q = make_queue(1)
    with pytest.raises(ValueError, match="timeout"):
        q.get(timeout=-1)
    with pytest.raises(ValueError, match="timeout"):
        q.put("a", timeout=-0.001)
    q.put("b")
    with pytest.raises(ValueError, match="timeout"):
        q.get(timeout=-1)
    with pytest.raises(ValueError, match="timeout"):
        q.put("c", timeout=-1)
    assert q.get() == "b"


def test_a_timeout_means_nothing_without_blocking(make_queue: MakeQueue) -> None:
    q = make_queue(1)
    with pytest.raises(queue.Empty):
        q.get(False, -1)
    q.put(1)
    with pytest.raises(queue.Full):
        q.put(2, False, -1)


@pytest.mark.needs("timeout-check")
@pytest.mark.parametrize("timeout", ["soon", [1]])
def test_a_timeout_that_is_no_number_is_a_type_error(make_queue: MakeQueue, timeout: object) -> None:
    with pytest.raises(TypeError):
        make_queue().get(timeout=timeout)


@pytest.mark.needs("names")
@pytest.mark.parametrize("maxsize", ["3", 1.5, None])
def test_a_maxsize_that_is_no_integer_is_a_type_error(make_queue: MakeQueue, maxsize: object) -> None:
    with pytest.raises(TypeError):
        make_queue(maxsize)


@pytest.mark.needs("at-once")
def test_marking_more_items_as_done_than_came_is_an_error(make_queue: MakeQueue) -> None:
    q = make_queue()
    with pytest.raises(ValueError, match="too many"):
        q.task_done()
    q.put(1)
    q.get()
    q.task_done()
    with pytest.raises(ValueError, match="too many"):
        q.task_done()
    q.join()


@pytest.mark.needs("pickling-errors", "processes", "oldest-first")
def test_an_item_that_cannot_be_pickled_fails_in_put_and_harms_nothing(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put("before")
    with pytest.raises((TypeError, AttributeError)):
        q.put(threading.Lock())
    with pytest.raises((TypeError, AttributeError)):
        q.put_many(["one", threading.Lock(), "two"])
    q.put("after")
    got = [q.get() for _ in range(q.qsize())]
    assert got[0] == "before"
    assert got[-1] == "after"
    assert got in (["before", "after"], ["before", "one", "after"])


class _CannotBeUnpickled:
    def __reduce__(self) -> Any:
        return _raise, ()


def _raise() -> None:
    raise LookupError("from within unpickling")


@pytest.mark.needs("processes", "batches", "oldest-first")
def test_an_item_that_cannot_be_unpickled_fails_in_get_and_harms_nothing(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put(_CannotBeUnpickled())
    q.put("after")
    with pytest.raises(LookupError, match="within unpickling"):
        q.get()
    assert q.get() == "after"
    assert q.empty()
