"""The items of a queue for threads."""

from typing import final

@final
class Items:
    """The common state of the handles of a queue."""

@final
class Leased:
    """An item that is leased, or came back."""
