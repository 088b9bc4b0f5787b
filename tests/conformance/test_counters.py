"""Groups of named counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import in_threads

import sharedkit as sk

MakeGroup = Callable[..., Any]
HIGHEST = 2**63 - 1


def test_each_name_has_a_counter_that_starts_at_zero(make_group: MakeGroup) -> None:
    c = make_group(["ok", "failed"])
    assert c.as_dict() == {"ok": 0, "failed": 0}
    assert len(c) == 2
    assert list(c) == ["ok", "failed"]
    assert list(c.keys()) == ["ok", "failed"]
    assert list(c.values()) == [0, 0]
    assert list(c.items()) == [("ok", 0), ("failed", 0)]
    assert "ok" in c
    assert "other" not in c
    assert 5 not in c


def test_adding_returns_the_new_value_of_that_name_alone(make_group: MakeGroup) -> None:
    c = make_group(["a", "b", "c"])
    assert c.add("b") == 1
    assert c.add("b", 5) == 6
    assert c.add("c", -2) == -2
    assert c.as_dict() == {"a": 0, "b": 6, "c": -2}


def test_augmented_assignment_by_name(make_group: MakeGroup) -> None:
    c = make_group(["a", "b"])
    c["a"] += 7
    c["b"] -= 3
    assert c.as_dict() == {"a": 7, "b": -3}


def test_assignment_by_name_sets_the_value(make_group: MakeGroup) -> None:
    c = make_group(["a", "b"])
    c["a"] = 12
    assert c.as_dict() == {"a": 12, "b": 0}
    for wrong in (1.5, "1", None):
        with pytest.raises(TypeError):
            c["a"] = wrong
    with pytest.raises(OverflowError):
        c["a"] = HIGHEST + 1
    assert c["a"].value == 12


def test_a_view_has_the_methods_of_a_counter(make_group: MakeGroup) -> None:
    c = make_group(["a", "b"])
    view = c["a"]
    assert view.add(3) == 3
    view.value = 8
    assert view.exchange(9) == 8
    assert view.compare_exchange(9, 10) is True
    assert view.compare_exchange(9, 11) is False
    assert int(view) == 10
    assert view.reset() == 10
    view += 2
    assert c.as_dict() == {"a": 2, "b": 0}
    view.value = HIGHEST
    with pytest.raises(OverflowError):
        view.add(1)
    assert c["a"].value == HIGHEST


def test_an_unknown_name_is_a_key_error(make_group: MakeGroup) -> None:
    c = make_group(["a"])
    for call in (lambda: c["x"], lambda: c.add("x"), lambda: c.__setitem__("x", 1)):
        with pytest.raises(KeyError):
            call()
    assert c.as_dict() == {"a": 0}


def test_there_must_be_names_and_all_must_differ(make_group: MakeGroup) -> None:
    for names in ([], ["a", "b", "a"], ()):
        with pytest.raises(ValueError):
            make_group(names)
    with pytest.raises(TypeError):
        make_group([1, 2])
    with pytest.raises(TypeError):
        make_group(5)


def test_any_iterable_of_any_names_is_taken(make_group: MakeGroup) -> None:
    names = ["", "ünïcödé \U0001f600", "with space", "with/slash", "x" * 500]
    c = make_group(iter(names))
    for i, name in enumerate(names):
        c.add(name, i)
    assert c.as_dict() == dict(zip(names, range(5), strict=True))


def test_a_large_group_keeps_its_counters_apart(make_group: MakeGroup) -> None:
    names = [f"counter {i}" for i in range(1000)]
    c = make_group(names)
    for i, name in enumerate(names):
        c.add(name, i)
    assert c.values() == list(range(1000))


def test_many_threads_lose_nothing_however_they_add(make_group: MakeGroup) -> None:
    c = make_group(["a", "b"])

    def work() -> None:
        for _ in range(2000):
            c["a"] += 1
            c.add("b", 2)
            c["b"].add(-1)

    in_threads([work] * 4)
    assert c.as_dict() == {"a": 8000, "b": 8000}


def test_a_view_closes_with_its_group(make_group: MakeGroup) -> None:
    c = make_group(["a"])
    view = c["a"]
    c.close()
    for call in (view.add, lambda: view.value, c.as_dict, lambda: c.add("a"), lambda: list(c)):
        with pytest.raises(sk.ClosedError):
            call()
