"""The dict of the thread placement, if code of its keys and values lets other threads run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from sharedkit.thread import Dict

LIMIT = 60.0


class Key:
    """Equal to keys of the same number. In the thread `waits`, a comparison blocks until `go_on`."""

    waits: threading.Thread | None = None
    compared = threading.Event()
    go_on = threading.Event()

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        if threading.current_thread() is Key.waits:
            Key.compared.set()
            assert Key.go_on.wait(LIMIT)
        return isinstance(other, Key) and other.number == self.number


class Number:
    """A value whose addition or comparison lets the blocked `setting` continue, and waits a moment for its end."""

    def __init__(self, setting: threading.Thread) -> None:
        self.setting = setting

    def __radd__(self, other: int) -> int:
        self._let()
        return other + 1

    def __eq__(self, other: object) -> bool:
        self._let()
        return other == 5

    __hash__ = None  # type: ignore[assignment]

    def _let(self) -> None:
        Key.go_on.set()
        self.setting.join(0.2)


@pytest.mark.parametrize(
    ("step", "right"),
    [
        (lambda d, n: d.add(Key(1), n), {(6, 100), (101, 101)}),
        (lambda d, n: d.compare_exchange(Key(1), n, 6), {(True, 100), (False, 100)}),
    ],
    ids=["add", "compare_exchange"],
)
def test_a_set_in_progress_is_not_overwritten(step: Callable[[Dict, Number], Any], right: set[tuple[Any, int]]) -> None:
    """The set compares keys when `add` begins, and could commit between the read and the write of `add`."""
    d = Dict({Key(1): 5})
    setting = threading.Thread(target=d.__setitem__, args=(Key(1), 100), daemon=True)
    Key.compared.clear()
    Key.go_on.clear()
    Key.waits = setting
    setting.start()
    assert Key.compared.wait(LIMIT)
    answers: list[Any] = []
    stepping = threading.Thread(target=lambda: answers.append(step(d, Number(setting))), daemon=True)
    stepping.start()
    stepping.join(0.2)  # it either waits for the set, or has let the set continue
    Key.go_on.set()
    stepping.join(LIMIT)
    setting.join(LIMIT)
    Key.waits = None
    assert (answers[0], d[Key(1)]) in right


class Angry:
    """A key that cannot be compared."""

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.add(Angry()),
        lambda d: d.compare_exchange(Angry(), 1, 2),
        lambda d: d.setdefault(Angry(), 1),
        lambda d: d.pop(Angry()),
        lambda d: d.__setitem__(Angry(), 1),
        lambda d: d.__delitem__(Angry()),
        lambda d: d.add("no number"),
    ],
)
def test_a_change_that_fails_does_not_block_others(change: Callable[[Dict], Any]) -> None:
    one = Angry()
    d = Dict({one: 5, "no number": None, (1, ("a", None)): 3})
    with pytest.raises((ArithmeticError, TypeError)):
        change(d)
    other = threading.Thread(target=d.add, args=((1, ("a", None)), 4), daemon=True)
    other.start()
    other.join(LIMIT)
    assert d[(1, ("a", None))] == 7
    d[one] = 6
    assert (d[one], len(d)) == (6, 3)
