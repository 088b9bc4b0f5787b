"""A counter compared with a plain int, through random histories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

HIGHEST, LOWEST = 2**63 - 1, -(2**63)
NUMBERS = st.one_of(
    st.integers(min_value=-3, max_value=3),
    st.integers(min_value=LOWEST, max_value=HIGHEST),
    st.sampled_from([HIGHEST, LOWEST, HIGHEST + 1, LOWEST - 1, HIGHEST - 1, LOWEST + 1]),
)


def fits(value: int) -> bool:
    return LOWEST <= value <= HIGHEST


class CounterMachine(RuleBasedStateMachine):
    make: Callable[..., Any]

    @initialize(value=st.integers(min_value=LOWEST, max_value=HIGHEST))
    def begin(self, value: int) -> None:
        self.counter = type(self).make(value)
        self.value = value

    def teardown(self) -> None:
        if hasattr(self, "counter"):
            self.counter.close()

    @rule(n=NUMBERS)
    def add(self, n: int) -> None:
        if fits(n) and fits(self.value + n):
            self.value += n
            assert self.counter.add(n) == self.value
        else:
            with pytest.raises(OverflowError):
                self.counter.add(n)

    @rule(n=st.integers(min_value=LOWEST + 1, max_value=HIGHEST))
    def subtract(self, n: int) -> None:
        if fits(self.value - n):
            self.counter -= n
            self.value -= n
        else:
            with pytest.raises(OverflowError):
                self.counter -= n

    @rule(value=NUMBERS)
    def exchange(self, value: int) -> None:
        if fits(value):
            assert self.counter.exchange(value) == self.value
            self.value = value
        else:
            with pytest.raises(OverflowError):
                self.counter.exchange(value)

    @rule(expected=NUMBERS.filter(fits), desired=NUMBERS.filter(fits), hit=st.booleans())
    def compare_exchange(self, expected: int, desired: int, hit: bool) -> None:
        expected = self.value if hit else expected
        assert self.counter.compare_exchange(expected, desired) is (expected == self.value)
        if expected == self.value:
            self.value = desired

    @rule()
    def reset(self) -> None:
        assert self.counter.reset() == self.value
        self.value = 0

    @invariant()
    def values_agree(self) -> None:
        if hasattr(self, "counter"):
            assert self.counter.value == int(self.counter) == self.value


@pytest.mark.needs("overflow")
def test_a_counter_does_what_an_int_would(make_counter: Callable[..., Any]) -> None:
    machine = type("Machine", (CounterMachine,), {"make": staticmethod(make_counter)})
    test = machine.TestCase  # type: ignore[attr-defined]
    test.settings = settings(max_examples=50, stateful_step_count=30, deadline=None, database=None)
    test("runTest").runTest()
