"""A queue of any order compared with a plain list of what should be in it, through random histories."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import sharedkit as sk

ITEMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=200),
    st.binary(max_size=2000),
    st.lists(st.integers(), max_size=5),
)


def oldest(items: list[Any]) -> int:
    """The index of the next item."""
    return 0


def newest(items: list[Any]) -> int:
    return len(items) - 1


def least(items: list[Any]) -> int:
    """The index of the least item; of equal items, the oldest."""
    return items.index(min(items))


class QueueMachine(RuleBasedStateMachine):
    """Nothing blocks here: there is one caller, and each result is known beforehand."""

    next_of: Callable[[list[Any]], int] = staticmethod(oldest)
    make: Callable[..., Any]
    has_batches: bool
    has_shutdown: bool

    @initialize(maxsize=st.integers(min_value=0, max_value=6))
    def begin(self, maxsize: int) -> None:
        self.queue = type(self).make(maxsize)
        self.maxsize = maxsize
        self.items: list[Any] = []
        self.unfinished = 0
        self.shut = False

    def teardown(self) -> None:
        if hasattr(self, "queue") and hasattr(self.queue, "close"):
            self.queue.close()

    def taken(self) -> Any:
        return self.items.pop(type(self).next_of(self.items))

    def room(self) -> int:
        return self.maxsize - len(self.items) if self.maxsize else 1000

    @rule(item=ITEMS)
    def put(self, item: Any) -> None:
        if self.shut:
            with pytest.raises(sk.ShutDown):
                self.queue.put(item, block=False)
        elif self.room() == 0:
            with pytest.raises(queue.Full):
                self.queue.put(item, block=False)
        else:
            self.queue.put_nowait(item)
            self.items.append(item)
            self.unfinished += 1

    @rule()
    def get(self) -> None:
        if self.items:
            expected = self.taken()
            item = self.queue.get()
            assert (item, type(item)) == (expected, type(expected))
        else:
            with pytest.raises(sk.ShutDown if self.shut else queue.Empty):
                self.queue.get_nowait()

    @precondition(lambda self: self.has_batches)
    @rule(items=st.lists(ITEMS, min_size=1, max_size=9))
    def put_many(self, items: list[Any]) -> None:
        if self.shut:
            with pytest.raises(sk.ShutDown):
                self.queue.put_many(items)
            return
        fit = min(self.room(), len(items))
        if fit < len(items):
            with pytest.raises(queue.Full) as caught:
                self.queue.put_many(items, block=False)
            assert caught.value.put == fit  # type: ignore[attr-defined]
        else:
            self.queue.put_many(items)
        self.items += items[:fit]
        self.unfinished += fit

    @precondition(lambda self: self.has_batches)
    @rule(max_items=st.none() | st.integers(min_value=1, max_value=9))
    def get_many(self, max_items: int | None) -> None:
        if not self.items:
            with pytest.raises(sk.ShutDown if self.shut else queue.Empty):
                self.queue.get_many(max_items, block=False)
            return
        count = len(self.items) if max_items is None else max_items
        expected = [self.taken() for _ in range(min(count, len(self.items)))]
        assert self.queue.get_many(max_items) == expected

    @rule()
    def task_done(self) -> None:
        if self.unfinished == 0:
            with pytest.raises(ValueError, match="too many"):
                self.queue.task_done()
        else:
            self.queue.task_done()
            self.unfinished -= 1

    @precondition(lambda self: self.unfinished == 0)
    @rule()
    def join(self) -> None:
        self.queue.join()

    @precondition(lambda self: self.has_shutdown and len(self.items) > 3)
    @rule(immediate=st.booleans())
    def shutdown(self, immediate: bool) -> None:
        self.queue.shutdown(immediate)
        self.shut = True
        if immediate:
            self.unfinished = max(0, self.unfinished - len(self.items))
            self.items.clear()

    @invariant()
    def sizes_agree(self) -> None:
        assert self.queue.qsize() == len(self.items)
        assert self.queue.empty() == (not self.items)
        assert self.queue.full() == (0 < self.maxsize <= len(self.items))
        assert self.queue.unfinished_tasks == self.unfinished


PRIORITIES = st.integers(min_value=-3, max_value=3) | st.booleans() | st.floats(-3, 3)


class PriorityMachine(QueueMachine):
    next_of = staticmethod(least)

    @rule(item=PRIORITIES)
    def put(self, item: Any) -> None:
        super().put(item)

    @precondition(lambda self: self.has_batches)
    @rule(items=st.lists(PRIORITIES, min_size=1, max_size=9))
    def put_many(self, items: list[Any]) -> None:
        super().put_many(items)


def _try(base: type[QueueMachine], make: Callable[..., Any], **members: Any) -> None:
    sample = make()
    machine = type(
        "Machine",
        (base,),
        {
            "make": staticmethod(make),
            "has_batches": hasattr(sample, "put_many"),
            "has_shutdown": hasattr(sample, "shutdown"),
            **members,
        },
    )
    test = machine.TestCase  # type: ignore[attr-defined]
    test.settings = settings(max_examples=40, stateful_step_count=30, deadline=None, database=None)
    test("runTest").runTest()


@pytest.mark.needs("at-once", "public-state", "oldest-first")
def test_a_queue_does_what_a_list_would(make_queue: Callable[..., Any]) -> None:
    _try(QueueMachine, make_queue)


def test_a_lifo_queue_does_what_a_stack_would(make_lifo: Callable[..., Any]) -> None:
    _try(QueueMachine, make_lifo, next_of=staticmethod(newest))


@pytest.mark.needs("first-of-equals")
def test_a_priority_queue_does_what_a_list_and_min_would(make_priority: Callable[..., Any]) -> None:
    _try(PriorityMachine, make_priority)
