"""Items as bytes and back, for the queue's compiled modules only: from Python there is nothing to call."""

from typing_extensions import disjoint_base

@disjoint_base
class Parcel:
    """An item that was taken apart into the stretches of bytes that go into the ring."""
