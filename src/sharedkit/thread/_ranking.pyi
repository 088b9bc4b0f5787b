"""Items in the order of their `<`: the store of a PriorityQueue."""

from typing import final

@final
class Run:
    """A piece of the order."""

@final
class Ranking:
    """The items."""

    def __new__(cls) -> Ranking: ...

@final
class Place:
    """One item's search."""

    @property
    def wants(self) -> int: ...
