"""Counters: 64-bit arithmetic, each operation in one atomic step, the same in every placement."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import in_threads

HIGHEST, LOWEST = 2**63 - 1, -(2**63)
MakeCounter = Callable[..., Any]
plain_and_striped = pytest.mark.parametrize(
    "options",
    [pytest.param({}, id="plain"), pytest.param({"striped": True}, id="striped")],
)


class Three:
    """Has `__index__`, as the integers of NumPy do."""

    def __index__(self) -> int:
        return 3


@pytest.mark.needs("names")
def test_the_constructor_takes_value_first_and_the_rest_by_keyword(make_counter: MakeCounter) -> None:
    first, *rest = inspect.signature(type(make_counter())).parameters.values()
    assert (first.name, first.default) == ("value", 0)
    assert all(p.kind is p.KEYWORD_ONLY for p in rest)
    wanted = {"name": None, "exist_ok": False, "persist": False, "striped": False}
    assert wanted.items() <= {p.name: p.default for p in rest}.items()


def test_it_starts_with_the_given_value(make_counter: MakeCounter) -> None:
    assert make_counter().value == 0
    assert make_counter(41).value == 41
    assert make_counter(LOWEST).value == LOWEST
    assert make_counter(HIGHEST).value == HIGHEST


def test_add_returns_the_new_value(make_counter: MakeCounter) -> None:
    c = make_counter()
    assert c.add() == 1
    assert c.add(10) == 11
    assert c.add(-20) == -9
    assert c.add(0) == -9
    assert c.value == -9


def test_it_reads_as_an_int(make_counter: MakeCounter) -> None:
    c = make_counter(5)
    assert int(c) == 5
    assert type(c.value) is int
    assert type(int(c)) is int


def test_augmented_assignment_keeps_the_counter(make_counter: MakeCounter) -> None:
    c = before = make_counter(10)
    c += 5
    c -= 3
    assert c is before
    assert c.value == 12


def test_setting_and_exchanging(make_counter: MakeCounter) -> None:
    c = make_counter(1)
    c.value = 7
    assert c.value == 7
    assert c.exchange(9) == 7
    assert c.reset() == 9
    assert c.value == 0


def test_compare_exchange_says_whether_it_did(make_counter: MakeCounter) -> None:
    c = make_counter(5)
    assert c.compare_exchange(4, 100) is False
    assert c.value == 5
    assert c.compare_exchange(5, -100) is True
    assert c.value == -100


@pytest.mark.needs("overflow")
@pytest.mark.parametrize(
    ("start", "n"),
    [
        (HIGHEST, 1),
        (HIGHEST, HIGHEST),
        (1, HIGHEST),
        (LOWEST, -1),
        (LOWEST, LOWEST),
        (-1, LOWEST),
        (0, HIGHEST + 1),
        (-5, HIGHEST + 1),
        (0, LOWEST - 1),
        (5, LOWEST - 1),
        (0, 2**200),
    ],
    ids=str,
)
def test_a_result_beyond_64_bits_is_refused_and_the_value_kept(make_counter: MakeCounter, start: int, n: int) -> None:
    c = make_counter(start)
    with pytest.raises(OverflowError):
        c.add(n)
    assert c.value == start
    with pytest.raises(OverflowError):
        c += n
    assert c.value == start


@pytest.mark.needs("overflow")
def test_the_ends_of_64_bits_can_be_reached(make_counter: MakeCounter) -> None:
    c = make_counter(HIGHEST - 1)
    assert c.add(1) == HIGHEST
    c.value = LOWEST + 1
    assert c.add(-1) == LOWEST
    assert c.add(HIGHEST) == -1
    c.value = -1
    c -= LOWEST + 1
    assert c.value == HIGHEST - 1


@pytest.mark.needs("overflow")
@pytest.mark.parametrize("value", [HIGHEST + 1, LOWEST - 1, 10**40])
def test_a_value_beyond_64_bits_is_refused(make_counter: MakeCounter, value: int) -> None:
    with pytest.raises(OverflowError):
        make_counter(value)
    c = make_counter(3)
    with pytest.raises(OverflowError):
        c.value = value
    with pytest.raises(OverflowError):
        c.exchange(value)
    with pytest.raises(OverflowError):
        c.compare_exchange(3, value)
    assert c.value == 3


@pytest.mark.needs("checks-types")
@plain_and_striped
@pytest.mark.parametrize("n", [1.0, 1.5, "1", None, b"1", [1], 1j], ids=repr)
def test_only_integers_are_taken(make_counter: MakeCounter, options: Any, n: object) -> None:
    with pytest.raises(TypeError):
        make_counter(n, **options)
    c = make_counter(3, **options)
    with pytest.raises(TypeError):
        c.add(n)
    with pytest.raises(TypeError):
        c.value = n
    with pytest.raises(TypeError):
        c.exchange(n)
    with pytest.raises(TypeError):
        c += n
    with pytest.raises(TypeError):
        c -= n
    assert c.value == 3


@pytest.mark.needs("checks-types")
def test_booleans_and_objects_with_an_index_are_integers(make_counter: MakeCounter) -> None:
    c = make_counter(True)
    assert c.add(True) == 2
    assert c.add(Three()) == 5
    assert c.exchange(Three()) == 5
    assert c.compare_exchange(Three(), False) is True
    assert c.value == 0
    assert type(c.value) is int


def test_many_threads_lose_nothing(make_counter: MakeCounter) -> None:
    c = make_counter()

    def work() -> None:
        for _ in range(5000):
            c.add(3)
            c.add(-2)

    in_threads([work] * 6)
    assert c.value == 6 * 5000


def test_augmented_assignment_from_many_threads_loses_nothing(make_counter: MakeCounter) -> None:
    c = make_counter()

    def work() -> None:
        mine = c
        for _ in range(3000):
            mine += 1

    in_threads([work] * 4)
    assert c.value == 4 * 3000


def test_every_new_value_is_returned_once(make_counter: MakeCounter) -> None:
    c = make_counter()
    seen = in_threads([lambda: [c.add() for _ in range(2000)]] * 4)
    assert sorted(value for values in seen for value in values) == list(range(1, 8001))
    for values in seen:
        assert values == sorted(values)


def test_compare_exchange_lets_one_thread_win_each_step(make_counter: MakeCounter) -> None:
    c = make_counter()

    def work() -> int:
        won = 0
        for _ in range(2000):
            seen = c.value
            won += c.compare_exchange(seen, seen + 1)
        return won

    assert sum(in_threads([work] * 4)) == c.value


@pytest.mark.needs("striped")
def test_a_striped_counter_does_not_know_the_sum_when_it_adds(make_counter: MakeCounter) -> None:
    c = make_counter(5, striped=True)
    assert c.add(2) is None
    assert c.value == 7
    assert int(c) == 7
    c += 3
    c -= 1
    assert c.value == 9
    assert c.exchange(100) == 9
    c.add(1)
    assert c.reset() == 101
    assert c.value == 0
    c.value = -4
    assert c.value == -4
    with pytest.raises(TypeError, match="striped"):
        c.compare_exchange(-4, 1)
    assert c.value == -4


@pytest.mark.needs("striped")
def test_the_stripes_of_many_threads_add_up_even_after_the_threads_ended(make_counter: MakeCounter) -> None:
    c = make_counter(striped=True)

    def work() -> None:
        for _ in range(3000):
            c.add(2)

    for _ in range(3):
        in_threads([work] * 4)
    assert c.value == 3 * 4 * 3000 * 2


@pytest.mark.needs("striped")
def test_resetting_amid_additions_counts_each_once(make_counter: MakeCounter) -> None:
    c = make_counter(striped=True)

    def add() -> int:
        for _ in range(4000):
            c.add()
        return 0

    def take() -> int:
        return sum(c.reset() for _ in range(200))

    assert sum(in_threads([add, add, take, add])) + c.value == 3 * 4000


@pytest.mark.needs("striped")
@pytest.mark.parametrize(("start", "n"), [(HIGHEST, 1), (LOWEST, -1), (1, HIGHEST)])
def test_a_striped_counter_never_wraps_around(make_counter: MakeCounter, start: int, n: int) -> None:
    """The addition may be refused; or the sum may be exact, or refused when it is read. It must never have wrapped."""
    c = make_counter(start, striped=True)
    try:
        c.add(n)
        seen = c.value
    except OverflowError:
        return
    assert seen == start + n
