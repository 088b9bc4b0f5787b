"""`inspect.iscoroutinefunction` knows the awaitable twins of every placement."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sharedkit._core import coroutines
from sharedkit.shm._rwlock import Side

PLACEMENTS = ["shm", "thread", "manager", *(["redis"] if importlib.util.find_spec("hiredis") else [])]
# Before Python 3.12 a function that returns a coroutine cannot be marked: these note their caller when they are called.
EAGER = {
    "sharedkit._core.condition_methods": {"ConditionMethods.await_", "ConditionMethods.await_for"},
    "sharedkit._core.lock_methods": {"TaskLockMethods.aacquire"},
    "sharedkit.shm._barrier": {"Barrier.await_"},
    "sharedkit.shm._condition": {"Condition.aacquire", "Condition.await_", "Condition.await_for"},
    "sharedkit.shm._event": {"Event.await_"},
    "sharedkit.shm._lock": {"RLock.aacquire"},
    "sharedkit.shm._queue": {"Queue.aget_many", "Queue.ajoin", "Queue.aput_many"},
    "sharedkit.shm._rwlock": {"RWLock.aacquire_read", "RWLock.aacquire_write", "Side.aacquire"},
}


def twins(placement: str) -> Iterator[Callable[..., Any]]:
    """The awaitable twin of each method that has one."""
    module = importlib.import_module(f"sharedkit.{placement}")
    classes = [each for each in (*(getattr(module, name) for name in module.__all__), Side) if inspect.isclass(each)]
    for each in classes:
        for name in dir(each):
            plain = {"await_": "wait", "await_for": "wait_for"}.get(name, name[1:])
            # `amap` is for `async for`, the others for `async with`
            if name[0] == "a" and hasattr(each, plain) and name not in ("amap", "alease", "awrite"):
                yield getattr(each, name)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_twin_is_a_coroutine_function(placement: str) -> None:
    found = list(twins(placement))
    names = {each.__qualname__.rpartition(".")[2] for each in found}
    assert {"aget", "aput_many", "ajoin", "aacquire", "await_"} <= names
    others = {(each.__module__, each.__qualname__) for each in found if not inspect.iscoroutinefunction(each)}
    allowed = {(module, name) for module, names in EAGER.items() for name in names}
    assert others - (allowed if sys.version_info < (3, 12) else set()) == set()


def test_a_function_is_marked_where_python_has_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[Any] = []
    monkeypatch.setattr(inspect, "markcoroutinefunction", marked.append, raising=False)
    assert coroutines.coroutine_function(twins) is twins
    assert marked == ([twins] if sys.version_info >= (3, 12) else [])
    monkeypatch.setattr(sys, "version_info", (3, 12))
    coroutines.coroutine_function(len)
    assert marked[-1] is len
