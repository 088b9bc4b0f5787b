"""Types whose instances are keys. They have a module of their own, so that children can import them."""

from __future__ import annotations

import dataclasses
import enum
from collections import namedtuple
from typing import Any, NamedTuple


class Color(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796
    GREEN = 2


class Shade(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    ONE = 1
    TWO = 2


class Word(enum.StrEnum):
    RED = "red"


class OldWord(str, enum.Enum):  # noqa: UP042
    RED = "red"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Mode(enum.IntFlag):
    READ = 1
    WRITE = 2


class Text(str):
    pass


class Data(bytes):
    pass


class Number(int):
    pass


class Loud(str):
    """Compares in a way of its own."""

    def __eq__(self, other: object) -> bool:
        return str(self).upper() == str(other).upper()

    def __hash__(self) -> int:
        return hash(str(self).upper())


Pair = namedtuple("Pair", "x y")


class Couple(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass(frozen=True)
class Point:
    x: Any
    y: Any


@dataclasses.dataclass(frozen=True)
class Spot:
    x: Any
    y: Any


class Dot(Point):
    """Inherits the comparison of Point, which also compares the classes."""


@dataclasses.dataclass(frozen=True)
class Labelled:
    number: int
    label: str = dataclasses.field(default="", compare=False)
    unhashed: int = dataclasses.field(default=0, hash=False)


@dataclasses.dataclass(unsafe_hash=True)
class Slotted:
    __slots__ = ("x",)
    x: Any


class Place(Point, enum.Enum):
    HOME = (1, 2)


@dataclasses.dataclass(frozen=True)
class Folded:
    """A dataclass with its own `__eq__`."""

    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folded) and self.name.lower() == other.name.lower()

    def __hash__(self) -> int:
        return hash(self.name.lower())


class Plain:
    """Compares by identity."""


class Valued:
    """Compares by value, in a way that Dict knows only from `register_key`."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Valued) and self.x == other.x

    def __hash__(self) -> int:
        return hash(self.x)


class Metres(Valued):
    """Equal to its number."""

    def __eq__(self, other: object) -> bool:
        return self.x == (other.x if isinstance(other, Metres) else other)

    __hash__ = Valued.__hash__


def function() -> None: ...
