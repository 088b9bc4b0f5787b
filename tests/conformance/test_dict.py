"""The mapping that every placement offers, and CPython's own examination of mappings."""

from __future__ import annotations

import collections.abc
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from conformance.subjects import MANAGER, SHM, THREAD
from conformance.watchdog import in_threads

import sharedkit as sk

MakeDict = Callable[..., Any]


def test_it_is_a_mutable_mapping(make_dict: MakeDict) -> None:
    d = make_dict({"a": 1}, b=2)
    assert isinstance(d, collections.abc.MutableMapping)
    assert d == {"a": 1, "b": 2} and d != {"a": 1} and len(d) == 2
    assert d | {"c": 3} == {"a": 1, "b": 2, "c": 3} and {"a": 0} | d == {"a": 1, "b": 2}
    assert list(d.items()) == [("a", 1), ("b", 2)] and 2 in d.values() and "a" in d.keys()  # noqa: SIM118
    d |= {"a": 9}
    assert list(reversed(d)) == ["b", "a"] and d["a"] == 9
    with pytest.raises(TypeError, match="unhashable"):
        hash(d)


def test_missing_keys_are_key_errors(make_dict: MakeDict) -> None:
    d = make_dict()
    for call in (lambda: d["k"], lambda: d.pop("k"), lambda: d.__delitem__("k"), d.popitem):
        with pytest.raises(KeyError):
            call()
    assert d.get("k") is None and d.get("k", 5) == 5 and d.pop("k", 6) == 6 and d.setdefault("k") is None
    with pytest.raises(TypeError):
        d.pop("k", 1, 2)


def test_iteration_goes_over_a_snapshot(make_dict: MakeDict) -> None:
    d = make_dict({i: i for i in range(10)})
    for key in d:
        del d[key]
        d[key + 100] = key
    assert list(d) == list(range(100, 110))


def test_additions_of_many_threads_are_all_there(make_dict: MakeDict) -> None:
    d = make_dict()

    def work(me: int) -> None:
        for i in range(2000):
            d.add("n")
            d.setdefault(i, me)

    in_threads(lambda me=me: work(me) for me in range(4))
    assert d["n"] == 8000 and len(d) == 2001


def test_one_of_many_wins_a_compare_exchange(make_dict: MakeDict) -> None:
    d = make_dict(turn="free")
    won: list[int] = []

    def try_it(me: int) -> None:
        if d.compare_exchange("turn", "free", me):
            won.append(me)

    in_threads(lambda me=me: try_it(me) for me in range(8))
    assert len(won) == 1 and d["turn"] == won[0]


@pytest.mark.needs("names")
def test_it_is_found_by_name(make_dict: MakeDict) -> None:
    d = make_dict({"a": 1}, name="conformance-dict")
    context = next(each for each in (THREAD, SHM, MANAGER) if isinstance(d, each.Dict))
    with context.attach("conformance-dict") as other:
        other["b"] = 2
    assert d.as_dict() == {"a": 1, "b": 2}
    with pytest.raises(FileExistsError):
        make_dict(name="conformance-dict")
    assert make_dict(name="conformance-dict", exist_ok=True) == d


def test_a_closed_one_is_refused(make_dict: MakeDict) -> None:
    d = make_dict(a=1)
    d.close()
    d.close()
    for call in (lambda: d["a"], lambda: d.get("a"), lambda: d.add("a"), lambda: len(d), lambda: list(d), d.statistics):
        with pytest.raises(sk.ClosedError):
            call()


mapping_tests = pytest.importorskip("test.mapping_tests", reason="this Python comes without its test package")


class _Examined(mapping_tests.TestMappingProtocol):  # type: ignore[name-defined,misc]
    @unittest.skip("wants `setdefault` to hand out the very list that is stored; values may be copies")
    def test_setdefault(self) -> None: ...


class TestThread(_Examined):
    type2test = THREAD.Dict


class TestShm(_Examined):
    type2test = SHM.Dict


del _Examined
