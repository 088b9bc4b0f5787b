"""Every kind of structure that has a handle: how to make one, change it, inspect it, and use it."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.kind import Kind
from conformance.kinds_sync import SYNC_KINDS


def counter(context: Any, **options: Any) -> Any:
    return context.Counter(**options)


def striped(context: Any, **options: Any) -> Any:
    return context.Counter(striped=True, **options)


def counters(context: Any, **options: Any) -> Any:
    return context.Counters(["a", "b"], **options)


def queue(context: Any, **options: Any) -> Any:
    return context.Queue(5, **options)


def lifo(context: Any, **options: Any) -> Any:
    return context.LifoQueue(5, **options)


def priority(context: Any, **options: Any) -> Any:
    return context.PriorityQueue(5, **options)


def array(context: Any, **options: Any) -> Any:
    return context.Array((2, 3), "i4", **options)


def mapping(context: Any, **options: Any) -> Any:
    return context.Dict(**options)


def members(context: Any, **options: Any) -> Any:
    return context.Set(**options)


def value(context: Any, **options: Any) -> Any:
    return context.Value("i", 5, **options)


def raw_value(context: Any, **options: Any) -> Any:
    return context.RawValue("i", 5, **options)


def change_value(handle: Any) -> None:
    handle.value += 1


def stream(context: Any, **options: Any) -> Any:
    return context.Stream(slots=5, **options)


VALUE_USES = (
    lambda h: h.value,
    lambda h: setattr(h, "value", 1),
)

COUNTER_USES = (
    lambda h: h.add(1),
    lambda h: h.value,
    lambda h: setattr(h, "value", 3),
    lambda h: h.exchange(1),
    lambda h: h.reset(),
    lambda h: int(h),
    lambda h: h.__iadd__(1),
    lambda h: h.__isub__(1),
)

QUEUE_USES = (
    lambda h: h.put(1),
    lambda h: h.get(),
    lambda h: h.put_nowait(1),
    lambda h: h.get_nowait(),
    lambda h: h.put_many([1]),
    lambda h: h.get_many(),
    lambda h: h.task_done(),
    lambda h: h.join(),
    lambda h: h.shutdown(),
    lambda h: h.qsize(),
    lambda h: h.empty(),
    lambda h: h.full(),
    lambda h: h.maxsize,
    lambda h: h.unfinished_tasks,
    lambda h: h.is_shutdown,
)

KINDS = (
    Kind(
        "counter",
        "Counter",
        counter,
        lambda h: h.add(1),
        lambda h: h.value,
        (*COUNTER_USES, lambda h: h.compare_exchange(0, 1)),
        (striped, counters, queue, array),
    ),
    Kind(
        "striped",
        "Counter",
        striped,
        lambda h: h.add(1),
        lambda h: h.value,
        COUNTER_USES,
        (counter, counters, queue, array),
    ),
    Kind(
        "counters",
        "Counters",
        counters,
        lambda h: h.add("a"),
        lambda h: h.as_dict(),
        (
            lambda h: h.add("a"),
            lambda h: h["a"],
            lambda h: h.__setitem__("a", 1),
            lambda h: h.keys(),
            lambda h: h.values(),
            lambda h: h.items(),
            lambda h: h.as_dict(),
            lambda h: len(h),
            lambda h: list(h),
            lambda h: "a" in h,
        ),
        (
            counter,
            lambda context, **options: context.Counters(["a", "c"], **options),
            lambda context, **options: context.Counters(["b", "a"], **options),
            lambda context, **options: context.Counters(["a", "b", "c"], **options),
            queue,
        ),
    ),
    Kind(
        "queue",
        "Queue",
        queue,
        lambda h: h.put("item", block=False),
        lambda h: h.qsize(),
        QUEUE_USES,
        (lambda context, **options: context.Queue(6, **options), counter, array),
    ),
    Kind(
        "lifo",
        "LifoQueue",
        lifo,
        lambda h: h.put("item", block=False),
        lambda h: h.qsize(),
        QUEUE_USES,
        (lambda context, **options: context.LifoQueue(6, **options), queue),
    ),
    Kind(
        "priority",
        "PriorityQueue",
        priority,
        lambda h: h.put("item", block=False),
        lambda h: h.qsize(),
        QUEUE_USES,
        (lambda context, **options: context.PriorityQueue(6, **options), queue),
    ),
    Kind(
        "stream",
        "Stream",
        stream,
        lambda h: h.put("message"),
        lambda h: h.published,
        (
            lambda h: h.put(1),
            lambda h: h.put_nowait(1),
            lambda h: h.write(),
            lambda h: h.awrite(),
            lambda h: h.reader(),
            lambda h: h.readers(),
            lambda h: len(h),
            lambda h: h.published,
            lambda h: h.slots,
            lambda h: h.slot_bytes,
            lambda h: h.overflow,
            lambda h: h.max_readers,
            lambda h: h.shape,
            lambda h: h.dtype,
            lambda h: h.is_shutdown,
            lambda h: h.shutdown(),
        ),
        (
            lambda context, **options: context.Stream(slots=6, **options),
            lambda context, **options: context.Stream(slots=5, overflow="block", **options),
            lambda context, **options: context.Stream((2, 3), "i4", slots=5, **options),
            lambda context, **options: context.Stream(slots=5, max_readers=3, **options),
            counter,
            queue,
        ),
        ends=True,
    ),
    Kind(
        "array",
        "Array",
        array,
        lambda h: h.fetch_add((0, 0), 1),
        lambda h: np.asarray(h).tolist(),
        (
            lambda h: h[0, 0],
            lambda h: h.__setitem__((0, 0), 1),
            lambda h: h.ndarray,
            lambda h: np.asarray(h),
            lambda h: len(h),
            lambda h: list(h),
            lambda h: h.fetch_add((0, 0), 1),
            lambda h: h.compare_exchange((0, 0), 0, 1),
            lambda h: h.add_at(([0], [0]), 1),
            lambda h: h.lock.acquire(False),
        ),
        (
            lambda context, **options: context.Array((3, 2), "i4", **options),
            lambda context, **options: context.Array((2, 3), "u4", **options),
            lambda context, **options: context.Array((6,), "i4", **options),
            counter,
            queue,
        ),
    ),
    Kind(
        "dict",
        "Dict",
        mapping,
        lambda h: h.add("k"),
        lambda h: h.as_dict(),
        (
            lambda h: h["k"],
            lambda h: h.get("k"),
            lambda h: h.__setitem__("k", 1),
            lambda h: h.__delitem__("k"),
            lambda h: h.setdefault("k", 1),
            lambda h: h.pop("k", None),
            lambda h: h.popitem(),
            lambda h: h.add("k"),
            lambda h: h.compare_exchange("k", 0, 1),
            lambda h: h.update(k=1),
            lambda h: h.clear(),
            lambda h: h.as_dict(),
            lambda h: len(h),
            lambda h: list(h),
            lambda h: "k" in h,
        ),
        (counter, queue),
    ),
    Kind(
        "set",
        "Set",
        members,
        lambda h: h.add(len(h)),
        lambda h: h.as_set(),
        (
            lambda h: h.add("k"),
            lambda h: h.insert("k"),
            lambda h: h.discard("k"),
            lambda h: h.remove("k"),
            lambda h: h.pop(),
            lambda h: h.update(),
            lambda h: h.difference_update(),
            lambda h: h.intersection_update(),
            lambda h: h.symmetric_difference_update(()),
            lambda h: h.clear(),
            lambda h: h.as_set(),
            lambda h: h.copy(),
            lambda h: h | {1},
            lambda h: h == {1},
            lambda h: len(h),
            lambda h: list(h),
            lambda h: "k" in h,
        ),
        (mapping, counter),
    ),
    Kind(
        "value",
        "Value",
        value,
        change_value,
        lambda h: (h.value, h.lock.locked()),
        (
            *VALUE_USES,
            lambda h: h.get_lock(),
            lambda h: h.lock,
            lambda h: h.acquire(),
            lambda h: h.release(),
        ),
        (lambda context, **options: context.Value("d", 5, **options), raw_value, array),
        closes=False,
    ),
    Kind(
        "raw value",
        "RawValue",
        raw_value,
        change_value,
        lambda h: h.value,
        VALUE_USES,
        (lambda context, **options: context.RawValue("I", 5, **options), value, array),
    ),
    *SYNC_KINDS,
)
BY_NAME = {kind.name: kind for kind in KINDS}
