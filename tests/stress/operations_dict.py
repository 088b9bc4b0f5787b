"""Operations on a dict: the old entry before the commit, the new one after it, and all other keys unchanged."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any
from unittest import mock

from stress.operations import Operation, Outcome, fresh_name, newcomer, path_of

from sharedkit.shm import _dict
from sharedkit.shm._dict import Dict

ABSENT = "absent"
# Each dict has its own hash seed. With this one all victims take the traced way and meet no other key.
ONE_SEED = SimpleNamespace(urandom=lambda size: (3).to_bytes(size, "little"))


class DictOperation(Operation):
    """An operation on one key of a dict that holds others."""

    commits_once = True
    key: Any = "key"
    old: Any = ABSENT
    new: Any = "n" * 100
    others = 5

    def __init__(self) -> None:
        self.name = fresh_name()
        self.dict: Any = None
        self.rest = {f"other{i}": f"value{i}" * (i + 1) for i in range(self.others)}

    @property
    def watched(self) -> str | None:
        return self.name

    def prepare(self) -> None:
        with mock.patch.object(_dict, "os", ONE_SEED):
            self.dict = Dict(name=self.name)
        self.dict.update(self.rest)
        if self.old is not ABSENT:
            self.dict[self.key] = self.old

    def act(self) -> None:
        self.dict[self.key] = self.new

    def survive(self, k: int) -> Outcome:
        began = time.perf_counter()
        other = newcomer(Dict, self.name)
        reader, writer = (self.dict, other) if k % 2 else (other, self.dict)
        value = reader.get(self.key, ABSENT)
        outcome = Outcome(committed=int(value != self.old))
        outcome.torn += int(value not in (self.old, self.new))
        expected = dict(self.rest) if value is ABSENT or value == ABSENT else {**self.rest, self.key: value}
        outcome.lost += int({each: reader.get(each) for each in expected} != expected)
        writer["after"] = "w" * 50
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        writer.add("count", 3)
        writer[self.key] = "again"
        del writer["after"]
        expected |= {"count": 3, self.key: "again"}
        outcome.lost += int(reader.as_dict() != expected or len(reader) != len(expected))
        writer.clear()
        outcome.lost += int(len(reader) != 0)
        other.close()
        return outcome

    def left(self, committed: bool) -> dict[str, Any]:
        """The expected contents after a death."""
        value = self.new if committed else self.old
        return self.rest if value == ABSENT else {**self.rest, self.key: value}

    def adopt(self, first: Any, committed: bool) -> None:
        self.name, self.dict, self.rest = first.name, first.dict, first.left(committed)
        self.key = "another key"

    def finish(self) -> int:
        if self.dict is not None:
            self.dict.close()
            self.dict = None
        return int(path_of(self.name).exists())


class SetNew(DictOperation):
    pass


class SetKeyed(DictOperation):
    """The key itself is stored beside its encoded form."""

    key = (1.0, "key")


class SetKeyedOver(SetKeyed):
    """The stored key is kept."""

    old = "o" * 60


class SetInParts(DictOperation):
    """A value with out-of-band buffers, in four parts."""

    new = bytearray(b"n" * 700)


class SetOver(DictOperation):
    """Replaces the entry of an existing key."""

    old = "o" * 60


class SetInPlace(DictOperation):
    """Replaces eight bytes by eight bytes, in place."""

    old, new = (1 << 40) + 1, (1 << 50) + 7


class Add(SetInPlace):
    def act(self) -> None:
        self.dict.add(self.key, self.new - self.old)


class Delete(DictOperation):
    old, new = "o" * 60, ABSENT

    def act(self) -> None:
        del self.dict[self.key]


class Pop(Delete):
    def act(self) -> None:
        self.dict.pop(self.key)


class SetDefault(DictOperation):
    def act(self) -> None:
        self.dict.setdefault(self.key, self.new)


class CompareExchange(SetOver):
    def act(self) -> None:
        self.dict.compare_exchange(self.key, self.old, self.new)


class SetGrowing(DictOperation):
    """The dict's memory is full: all entries are first moved to another region."""

    new = "n" * 12000
    others = 12
    commits_once = False  # changing the region changes the watched words too


class Clear(DictOperation):
    """Removes all entries in one step."""

    old, new = "o" * 60, ABSENT

    def act(self) -> None:
        self.dict.clear()

    def survive(self, k: int) -> Outcome:
        if len(self.dict) == 0:
            self.rest = {}
        return super().survive(k)

    def left(self, committed: bool) -> dict[str, Any]:
        return {} if committed else super().left(False)


class Get(DictOperation):
    """A lookup changes nothing, wherever it is killed."""

    commits_once = False
    old = new = "o" * 100

    def act(self) -> None:
        self.dict[self.key]


class GetLarge(Get):
    """The value is too large for the stack: a first try returns the size, a second one copies the value."""

    old = new = "o" * 3000


class Items(Get):
    """A snapshot is taken under the lock."""

    def act(self) -> None:
        list(self.dict.items())


class Len(Get):
    """`len` repairs what a dead writer left."""

    old = new = ABSENT

    def act(self) -> None:
        len(self.dict)


DICT: dict[str, type[Operation]] = {
    "Dict set new": SetNew,
    "Dict set keyed": SetKeyed,
    "Dict set keyed, over": SetKeyedOver,
    "Dict set in parts": SetInParts,
    "Dict set over": SetOver,
    "Dict set in place": SetInPlace,
    "Dict set growing": SetGrowing,
    "Dict.add": Add,
    "Dict delete": Delete,
    "Dict.pop": Pop,
    "Dict.setdefault": SetDefault,
    "Dict.compare_exchange": CompareExchange,
    "Dict.clear": Clear,
    "Dict get": Get,
    "Dict get, large": GetLarge,
    "Dict items": Items,
    "Dict len": Len,
}
