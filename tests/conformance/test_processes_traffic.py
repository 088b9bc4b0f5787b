"""Several processes work on one structure: nothing is lost, duplicated, reordered or torn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conformance import children
from conformance.subjects import METHODS
from conformance.watchdog import Child, in_children

import sharedkit as sk

Make = Callable[..., Any]
pytestmark = pytest.mark.needs("processes")
each_method = pytest.mark.parametrize("start_method", METHODS)
forked = pytest.mark.parametrize("start_method", ["fork"])


@each_method
def test_counters_add_up(make_counter: Make, start_method: str) -> None:
    c = make_counter()
    in_children(start_method, children.add_many, [(c, 3000)] * 2)
    assert c.value == 6000


@forked
def test_counters_that_are_assigned_to_add_up(make_counter: Make, start_method: str) -> None:
    c = make_counter()
    in_children(start_method, children.add_by_assignment, [(c, 3000)] * 2)
    assert c.value == 6000


@forked
@pytest.mark.needs("striped")
def test_striped_counters_add_up_after_their_processes_ended(make_counter: Make, start_method: str) -> None:
    c = make_counter(5, striped=True)
    c.add(1)
    for _ in range(2):
        in_children(start_method, children.add_many, [(c, 2000)] * 2)
    assert c.value == 8006
    assert c.reset() == 8006


@forked
def test_one_process_wins_each_step(make_counter: Make, start_method: str) -> None:
    c = make_counter()
    assert sum(in_children(start_method, children.win_steps, [(c, 2000)] * 2)) == c.value


@each_method
def test_groups_add_up(make_group: Make, start_method: str) -> None:
    c = make_group(["a", "b"])
    in_children(start_method, children.add_to_group, [(c, 1500)] * 2)
    assert c.as_dict() == {"a": 3000, "b": 6000}


def _check_traffic(q: Any, start_method: str, produce: Callable[..., None], count: int) -> None:
    takers = [Child(start_method, children.consume, q) for _ in range(2)]
    try:
        in_children(start_method, produce, [(q, producer, count) for producer in range(2)])
        q.join()
        for _ in takers:
            q.put(None)
        outs = [taker.result() for taker in takers]
    finally:
        for taker in takers:
            taker.end()
    q.join()
    every = Counter(item for out in outs for item in out)
    assert every == Counter((producer, i) for producer in range(2) for i in range(count))
    for out in outs:
        for producer in range(2):
            taken = [i for who, i in out if who == producer]
            assert taken == sorted(taken)


@pytest.mark.needs("oldest-first")
@each_method
def test_a_bounded_queue_between_processes(make_queue: Make, start_method: str) -> None:
    _check_traffic(make_queue(5), start_method, children.produce, 600)


@pytest.mark.needs("oldest-first")
@forked
def test_an_unbounded_queue_between_processes(make_queue: Make, start_method: str) -> None:
    _check_traffic(make_queue(), start_method, children.produce, 600)


@pytest.mark.needs("batches", "oldest-first")
@forked
@pytest.mark.parametrize("maxsize", [0, 20])
def test_batches_between_processes(make_queue: Make, start_method: str, maxsize: int) -> None:
    _check_traffic(make_queue(maxsize), start_method, children.produce_batches, 1500)


@each_method
@pytest.mark.needs("shutdown")
@pytest.mark.parametrize("immediate", [False, True], ids=["graceful", "immediate"])
def test_shutdown_ends_the_waits_of_every_process(make_queue: Make, start_method: str, immediate: bool) -> None:
    q = make_queue()
    takers = [Child(start_method, children.consume_until_shutdown, q) for _ in range(2)]
    try:
        for i in range(500):
            q.put(i)
        q.shutdown(immediate)
        taken = sum(taker.result() for taker in takers)
    finally:
        for taker in takers:
            taker.end()
    assert taken <= 500 if immediate else taken == 500
    q.join()
    with pytest.raises(sk.ShutDown):
        q.put("more")


@pytest.mark.needs("atomics")
@forked
@pytest.mark.parametrize("dtype", ["i8", "u2", "f8", "f4"])
def test_elements_of_an_array_add_up(make_array: Make, start_method: str, dtype: str) -> None:
    a = make_array(4, dtype)
    in_children(start_method, children.add_to_elements, [(a, 200)] * 2)
    assert np.asarray(a).tolist() == [2 * 50 + 2 * 2000] * 4


@each_method
@pytest.mark.needs("lock")
def test_the_lock_of_an_array_keeps_processes_apart(make_array: Make, start_method: str) -> None:
    a = make_array(2, "i8")
    in_children(start_method, children.add_under_lock, [(a, 1000)] * 2)
    assert np.asarray(a).tolist() == [2000, -2000]


@each_method
def test_a_process_reads_what_another_has_written(make_array: Make, start_method: str) -> None:
    a = make_array((100, 50), "f4")
    (answer,) = in_children(start_method, children.fill, [(a, 3)])
    assert answer == ((100, 50), "float32", 15000.0)
    assert (np.asarray(a) == 3).all()
