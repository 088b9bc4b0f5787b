"""Items in the order of `<`: the store of a PriorityQueue."""

from typing import final

@final
class Run:
    """A sorted part of the items."""

@final
class Ranking:
    """All items, as sorted runs."""

    def __new__(cls) -> Ranking: ...

@final
class Place:
    """The search for one item's place."""

    @property
    def wants(self) -> int: ...
