"""Counters for the threads of this process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from sharedkit._differences import unlike
from sharedkit.statistics import CountersStatistics, CounterStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Handle
from sharedkit.thread.registry import DEFAULT_SEATS, State
from sharedkit.thread.words import StripedWord, Word, checked

__all__ = ["Counter", "CounterView", "Counters"]


class _CounterState(State):
    __slots__ = ("striped", "word")

    kind = "Counter"

    def __init__(self, name: str, value: int, striped: bool) -> None:
        super().__init__(name)
        self.striped = striped
        self.word: Word | StripedWord = StripedWord(value) if striped else Word(value)


class _CountersState(State):
    __slots__ = ("words",)

    kind = "Counters"

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(name)
        self.words = {key: Word(0) for key in names}


A = TypeVar("A", bound="_Arithmetic")


class _Arithmetic:
    """What a counter and a view of one in a group do alike, given the word behind them."""

    __slots__ = ()

    def _find_word(self) -> Word | StripedWord:
        raise NotImplementedError

    def add(self, n: int = 1) -> int | None:
        """Add `n` and return the new value, or None when striped, since a stripe does not know the sum.

        Raises OverflowError, the value kept, where the result would leave signed 64 bits, and TypeError
        where `n` is no integer.
        """
        return self._find_word().add(n)

    @property
    def value(self) -> int:
        """The value now. Setting it loses no addition: each comes before or after."""
        return self._find_word().load()

    @value.setter
    def value(self, value: int) -> None:
        self._find_word().exchange(checked(value))

    def exchange(self, value: int) -> int:
        """Set the value and return the one before, in one step."""
        return self._find_word().exchange(checked(value))

    def compare_exchange(self, expected: int, desired: int) -> bool:
        """Set the value to `desired` if it is `expected`, in one step, and say whether it was.

        Raises TypeError when striped.
        """
        word = self._find_word()
        if isinstance(word, StripedWord):
            raise TypeError("a striped counter has no single value to compare with")
        return word.compare_exchange(checked(expected), checked(desired))

    def reset(self) -> int:
        """Set the value to 0 and return the one before."""
        return self._find_word().exchange(0)

    def __int__(self) -> int:
        return self._find_word().load()

    def __index__(self) -> int:
        return self._find_word().load()

    def __iadd__(self: A, n: int) -> A:
        self._find_word().add(n)
        return self

    def __isub__(self: A, n: int) -> A:
        self._find_word().add(-checked(n))
        return self


class Counter(_Arithmetic, Handle[_CounterState], kind="Counter"):
    """Counter(value=0, *, name=None, exist_ok=False, persist=False, striped=False, seats=192)

    A signed 64-bit counter for the threads of this process. With `exist_ok=True` and the name of a counter
    that is there, a further handle on it, whose value stays. `striped=True` gives each thread a cell of its
    own: `add` shares nothing and returns None.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an equal counter,
    OverflowError and TypeError for a `value` that is no 64-bit integer.
    """

    __slots__ = ()

    def __init__(
        self,
        value: int = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        striped: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        value = checked(value)

        def differs(found: Any) -> str | None:
            return unlike("striped", found.striped, bool(striped))

        super().__init__(
            registry.open_state(
                lambda name: _CounterState(name, value, bool(striped)),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                kind="Counter",
                differs=differs,
            )
        )

    def _find_word(self) -> Word | StripedWord:
        return self._state.word

    def statistics(self) -> CounterStatistics:
        """The counter's value and kind, as one frozen picture."""
        state = self._state
        return CounterStatistics(
            name=state.name,
            kind=state.kind,
            value=state.word.load(),
            striped=state.striped,
            attached=(os.getpid(),),
        )


class CounterView(_Arithmetic):
    """One counter of a group, with the methods of a Counter. It is as open as its group."""

    __slots__ = ("_group", "_key")

    def __init__(self, group: Counters, key: str) -> None:
        self._group = group
        self._key = key

    @property
    def name(self) -> str:
        """The counter's name within its group."""
        return self._key

    def _find_word(self) -> Word:
        return self._group._state.words[self._key]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key!r} of {self._group!r}>"


class Counters(Handle[_CountersState], kind="Counters"):
    """Counters(names, *, name=None, exist_ok=False, persist=False, seats=192)

    A group of named counters that starts at 0 each: `c.add("ok")`, `c["ok"] += 1`, `c.as_dict()`. Iterating
    and `len` speak of the names, in their order.

    Raises ValueError for no names, a name that comes twice, or a group of that `name` with other names in it;
    TypeError for a name that is no str; FileExistsError when `name` is taken.
    """

    __slots__ = ()

    def __init__(
        self,
        names: Iterable[str],
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        keys = _checked_names(names)

        def differs(found: Any) -> str | None:
            return unlike("names", list(found.words), list(keys))

        super().__init__(
            registry.open_state(
                lambda name: _CountersState(name, keys),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                kind="Counters",
                differs=differs,
            )
        )

    def add(self, name: str, n: int = 1) -> int:
        """Add `n` to the counter `name` and return its new value; KeyError for an unknown name."""
        return self._state.words[name].add(n)

    def __getitem__(self, name: str) -> CounterView:
        if name not in self._state.words:
            raise KeyError(name)
        return CounterView(self, name)

    def __setitem__(self, name: str, value: CounterView | int) -> None:
        """`c[name] = 5` sets the value. `c[name] += 1` ends here too, with the view that has added."""
        word = self._state.words[name]
        if isinstance(value, CounterView) and value._find_word() is word:
            return
        word.exchange(checked(value))

    def __contains__(self, name: object) -> bool:
        return name in self._state.words

    def __iter__(self) -> Iterator[str]:
        return iter(self._state.words)

    def __len__(self) -> int:
        return len(self._state.words)

    def keys(self) -> list[str]:
        """The names, in the order in which the group was made."""
        return list(self._state.words)

    def values(self) -> list[int]:
        """The values, in the order of `keys()`."""
        return [word.load() for word in self._state.words.values()]

    def items(self) -> list[tuple[str, int]]:
        """Pairs of name and value, in the order of `keys()`."""
        return [(name, word.load()) for name, word in self._state.words.items()]

    def as_dict(self) -> dict[str, int]:
        """A plain dict of the values by name."""
        return dict(self.items())

    def statistics(self) -> CountersStatistics:
        """The value of each counter, as one frozen picture."""
        state = self._state
        values: Mapping[str, int] = {name: word.load() for name, word in state.words.items()}
        return CountersStatistics(name=state.name, kind=state.kind, values=values, attached=(os.getpid(),))


def _checked_names(names: Iterable[str]) -> tuple[str, ...]:
    keys = (names,) if isinstance(names, str) else tuple(names)
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"the name of a counter must be a str, not {type(key).__name__}")
    if not keys:
        raise ValueError("a group needs at least one name")
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"names come twice: {', '.join(twice)}")
    return keys
