"""Items as bytes and back, for the queue's compiled modules only; Python code cannot call it."""

from typing_extensions import disjoint_base

@disjoint_base
class Parcel:
    """An item as the pieces of memory that are copied into the ring."""
