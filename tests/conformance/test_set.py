"""The interface of `set`, in every placement, and what sharedkit promises beyond it."""

from __future__ import annotations

import collections.abc
import operator
from collections.abc import Callable
from typing import Any

import pytest
from conformance import children
from conformance.subjects import METHODS
from conformance.watchdog import in_children, in_threads

import sharedkit as sk

MakeSet = Callable[..., Any]


def test_it_is_a_mutable_set(make_set: MakeSet) -> None:
    s = make_set([1, 2, 2, 3])
    assert isinstance(s, collections.abc.MutableSet)
    assert len(s) == 3
    assert s == {1, 2, 3}
    assert sorted(s) == [1, 2, 3]
    assert 2 in s
    assert 5 not in s
    with pytest.raises(TypeError, match="unhashable"):
        hash(s)


def test_members_come_and_go(make_set: MakeSet) -> None:
    s = make_set()
    assert s.add("a") is None
    assert s.add("a") is None
    assert s.discard("b") is None
    assert s == {"a"}
    s.add("b")
    assert s.remove("a") is None
    assert s == {"b"}
    assert s.pop() == "b"
    s.update([1, 2], (2, 3), {4: None})
    assert s == {1, 2, 3, 4}
    assert s.update() is None
    assert s.clear() is None
    assert s == set()


def test_a_missing_member_is_a_key_error(make_set: MakeSet) -> None:
    s = make_set()
    with pytest.raises(KeyError, match="'k'"):
        s.remove("k")
    with pytest.raises(KeyError, match="empty set"):
        s.pop()


def test_an_unhashable_member_is_a_type_error_and_changes_nothing(make_set: MakeSet) -> None:
    s = make_set([1])
    for call in (s.add, s.discard, s.remove, s.__contains__, lambda each: s.update([each])):
        with pytest.raises(TypeError, match="unhashable"):
            call([])
    assert s == {1}


def test_a_set_is_found_by_an_equal_set(make_set: MakeSet) -> None:
    s = make_set([frozenset({1, 2}), frozenset()])
    assert {1, 2} in s
    assert {3} not in s
    s.discard(set())
    s.discard({3})
    s.remove({1, 2})
    assert s == set()


OPERATORS = [operator.or_, operator.and_, operator.sub, operator.xor]
IN_PLACE = [operator.ior, operator.iand, operator.isub, operator.ixor]
COMPARISONS = [operator.eq, operator.ne, operator.le, operator.lt, operator.ge, operator.gt]
OTHERS = [set(), {1, 2, 3}, {2, 3, 4}, {1}, frozenset({1, 2, 3, 4}), {"a"}]


@pytest.mark.parametrize("other", OTHERS, ids=repr)
@pytest.mark.parametrize("operation", OPERATORS, ids=lambda each: each.__name__)
def test_operators_return_what_those_of_a_set_do(make_set: MakeSet, operation: Any, other: Any) -> None:
    s = make_set([1, 2, 3])
    assert operation(s, other) == operation({1, 2, 3}, set(other))
    assert operation(other, s) == operation(set(other), {1, 2, 3})
    assert type(operation(s, other)) is set
    assert operation(s, make_set(other)) == operation({1, 2, 3}, set(other))
    assert s == {1, 2, 3}


@pytest.mark.parametrize("other", OTHERS, ids=repr)
@pytest.mark.parametrize("operation", IN_PLACE, ids=lambda each: each.__name__)
def test_operators_in_place_change_the_set_itself(make_set: MakeSet, operation: Any, other: Any) -> None:
    s = make_set([1, 2, 3])
    assert operation(s, other) is s
    assert s == operation({1, 2, 3}, set(other))
    assert operation(s, s) is s
    assert s == (operation({1, 2, 3}, set(other)) if operation in IN_PLACE[:2] else set())


@pytest.mark.parametrize("other", OTHERS, ids=repr)
@pytest.mark.parametrize("operation", COMPARISONS, ids=lambda each: each.__name__)
def test_comparisons_return_what_those_of_a_set_do(make_set: MakeSet, operation: Any, other: Any) -> None:
    s = make_set([1, 2, 3])
    assert operation(s, other) is operation({1, 2, 3}, other)
    assert operation(other, s) is operation(other, {1, 2, 3})
    assert operation(s, make_set(other)) is operation({1, 2, 3}, other)


def test_methods_take_any_iterable_and_operators_take_only_sets(make_set: MakeSet) -> None:
    s = make_set([1, 2, 3])
    assert s.union([3, 4], (5,)) == {1, 2, 3, 4, 5}
    assert s.intersection([2, 3], (3,)) == {3}
    assert s.difference([2], (3,)) == {1}
    assert s.symmetric_difference([3, 4]) == {1, 2, 4}
    assert s.isdisjoint([4]) and not s.isdisjoint([3])
    assert s.issubset(range(9)) and not s.issubset([1])
    assert s.issuperset([1]) and not s.issuperset([4])
    assert s.union() == s.intersection() == s.difference() == {1, 2, 3}
    for operation in (*OPERATORS, *IN_PLACE, *COMPARISONS[2:]):
        for other in ([1], "a", None, {1: 2}):
            with pytest.raises(TypeError):
                operation(s, other)
    assert (s == [1, 2, 3]) is False
    s.symmetric_difference_update([3, 4, 4])
    s.difference_update([1], iter([9]))
    assert s == {2, 4}
    s.intersection_update([2, 3], [2, 5])
    assert s == {2}


def test_a_copy_is_another_set(make_set: MakeSet) -> None:
    s = make_set([1])
    other = s.copy()
    assert type(other) is type(s)
    other.add(2)
    assert (s, other) == ({1}, {1, 2})
    if hasattr(other, "close"):
        other.close()


def test_keys_are_equal_when_python_says_so(make_set: MakeSet) -> None:
    s = make_set([1, (2, "a")])
    s.update([True, 1.0, (2.0, "a")])
    assert len(s) == 2
    assert {type(each) for each in s} == {int, tuple}
    assert 1 + 0j in s


@pytest.mark.needs("insertion")
def test_insert_says_whether_the_member_was_new(make_set: MakeSet) -> None:
    s = make_set()
    assert s.insert("a") is True
    assert s.insert("a") is False
    s.discard("a")
    assert s.insert("a") is True
    with pytest.raises(TypeError, match="unhashable"):
        s.insert([])


@pytest.mark.needs("insertion")
def test_iteration_goes_over_a_snapshot_in_the_order_of_addition(make_set: MakeSet) -> None:
    s = make_set(range(10))
    for member in s:
        s.remove(member)
        s.add(member + 100)
    assert list(s) == list(range(100, 110))
    assert s.pop() == 109


@pytest.mark.needs("insertion")
def test_of_many_threads_that_insert_one_member_one_hears_it_was_new(make_set: MakeSet) -> None:
    s = make_set()
    told = in_threads(lambda: [n for n in range(500) if s.insert(n)] for _ in range(4))
    assert sorted(n for each in told for n in each) == list(range(500))
    assert s == set(range(500))


@pytest.mark.needs("processes")
@pytest.mark.parametrize("start_method", METHODS)
def test_of_many_processes_that_insert_one_member_one_hears_it_was_new(make_set: MakeSet, start_method: str) -> None:
    s = make_set()
    told = in_children(start_method, children.insert_all, [(s, 300)] * 3)
    assert sorted(n for each in told for n in each) == list(range(300))
    assert s == set(range(300))


def test_a_set_whose_contents_are_refused_is_not_made(context: Any) -> None:
    name = "conformance-half-a-set"
    for contents in ([1, []], 5):
        with pytest.raises(TypeError):
            context.Set(contents, name=name, persist=True)
        with pytest.raises(FileNotFoundError):
            context.attach(name)
    if context.method != "thread":  # the thread placement takes any hashable object
        with pytest.raises(TypeError):
            context.Set([1, object()], name=name, persist=True)
        with pytest.raises(FileNotFoundError):
            context.attach(name)
    with context.Set([1], name=name) as s, context.Set([2], name=name, exist_ok=True) as again:
        assert s == again == {1, 2}
        assert context.Set[int].__args__ == (int,)
        assert repr(s) == f"Set({{1, 2}}, name={name!r})"


def test_listings_say_how_many_members_there_are() -> None:
    with sk.Set([1, 2]) as s:
        (found,) = [each for each in sk.segments.live() if each.name == s.name]
        assert (found.kind, found.state) == ("Set", "2 members")
