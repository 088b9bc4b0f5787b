"""Many items at once, for the queue's compiled module only: from Python there is nothing to call."""

from typing_extensions import disjoint_base

@disjoint_base
class Batch:
    """Encoded items as whole records, one after the other."""
