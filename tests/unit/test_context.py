"""`get_context` chooses the placement; its classes satisfy the protocols."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle

import pytest

import sharedkit as sk
from sharedkit import manager, protocols, segments, shm, thread
from sharedkit._core.unsupported import ABSENT
from sharedkit.context import Context

CLASSES = (
    "Counter",
    "Counters",
    "Queue",
    "LifoQueue",
    "PriorityQueue",
    "Array",
    "Dict",
    "Set",
    "Value",
    "RawValue",
    "Stream",
    "Lock",
    "RLock",
    "Semaphore",
    "BoundedSemaphore",
    "Event",
    "Condition",
    "RWLock",
    "Barrier",
)


def offered(method: str | None) -> list[str]:
    """The classes that this placement offers; asking it for any other is an error."""
    return [name for name in CLASSES if name not in ABSENT.get(method or "shm", ())]


@pytest.mark.parametrize("method", ["thread", "shm", "manager"])
def test_a_context_knows_its_method_and_offers_the_classes(method: str) -> None:
    context = sk.get_context(method)
    assert context.method == method
    assert method in repr(context)
    for name in offered(method):
        assert getattr(context, name).__name__ == name


@pytest.mark.parametrize("method", ["thread", "shm", "manager"])
def test_every_context_works_in_a_with_statement(method: str) -> None:
    with sk.get_context(method) as context:
        hits = context.Counter()
        hits.add()
    if method != "manager":
        assert hits.value == 1
        return
    with pytest.raises(sk.ServerGoneError):
        hits.add()


@pytest.mark.parametrize("method", ["thread", "shm", "manager"])
def test_every_context_works_in_an_async_with_statement(method: str) -> None:
    async def main() -> None:
        async with sk.get_context(method) as ctx:
            queue = ctx.Queue()
            await queue.aput(1)
            assert await queue.aget() == 1
            queue.close()

    asyncio.run(main())


def test_each_context_has_the_classes_of_its_placement() -> None:
    for method, placement, attach in (("thread", thread, thread.attach), ("shm", shm, segments.attach)):
        context = sk.get_context(method)
        for name in offered(method):
            assert getattr(context, name) is getattr(placement, name)
        assert context.attach is attach


def test_the_default_is_shm_and_so_are_the_names_at_the_top() -> None:
    assert sk.get_context() is sk.get_context(None) is sk.get_context("shm")
    for name in (*offered(None), "attach"):
        assert getattr(sk, name) is getattr(sk.get_context(), name)


@pytest.mark.parametrize("method", ["", "threads", "SHM", "managers", 5, ["shm"]], ids=repr)
def test_an_unknown_method_is_a_value_error_that_names_the_known_ones(method: object) -> None:
    with pytest.raises(ValueError, match=r"'thread'.*'shm'"):
        sk.get_context(method)  # type: ignore[arg-type]


def test_a_context_is_one_object_however_it_is_obtained() -> None:
    for method in ("thread", "shm"):
        context = sk.get_context(method)
        assert sk.get_context(method) is context
        assert pickle.loads(pickle.dumps(context)) is context
        assert copy.deepcopy(context) is context


def test_a_context_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        sk.get_context("thread").method = "shm"  # type: ignore[misc]
    assert isinstance(sk.get_context("thread"), Context)


def _promised(protocol: type) -> dict[str, object]:
    return {
        name: value
        for base in protocol.__mro__[:-1]
        for name, value in vars(base).items()
        if base.__module__.startswith(protocols.__name__)
        and (not name.startswith("_") or name in ("__enter__", "__exit__"))
    }


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("method", ["thread", "shm", "manager"])
def test_every_promised_method_exists_and_is_documented(method: str, name: str) -> None:
    if name not in offered(method):
        pytest.skip(ABSENT[method][name])
    cls = getattr(sk.get_context(method), name)
    for promise in _promised(getattr(protocols, name)):
        found = inspect.getattr_static(cls, promise)
        if not promise.startswith("_"):
            assert getattr(cls, promise).__doc__ or getattr(found, "__doc__", None), f"{name}.{promise}"
    assert cls.__doc__


def test_each_placement_has_classes_of_its_own() -> None:
    for name in offered("shm"):
        there = [placement for placement in (thread, shm, manager) if hasattr(placement, name)]
        assert len({getattr(placement, name) for placement in there}) == len(there) >= 2
