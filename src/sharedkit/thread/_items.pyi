"""The items of a queue for threads."""

from typing import final

@final
class Items:
    """The common state of the handles of a queue."""
