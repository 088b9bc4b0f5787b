"""Waiting in slices."""

from typing_extensions import disjoint_base

from sharedkit._watch import Turn

@disjoint_base
class SliceTurn(Turn): ...
