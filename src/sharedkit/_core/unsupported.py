"""Classes that a placement does not have, with the reasons: the text of the error for code that uses their names."""

from __future__ import annotations

__all__ = ["IN_SHARED_MEMORY", "why_absent"]

_WHY = {
    "LifoQueue": "its ring gives out the oldest item, and no other order leaves it whole at a death at any instruction",
    "PriorityQueue": "items lie there as bytes, and comparing them runs code that may die half-way",
}
IN_SHARED_MEMORY = {
    name: f'there is no {name} in shared memory: {why}; get_context("manager").{name} is for processes, '
    f'get_context("thread").{name} for threads'
    for name, why in _WHY.items()
}


def why_absent(module: str, name: str) -> str:
    """The error text for a name that a module does not have."""
    return IN_SHARED_MEMORY.get(name, f"module {module!r} has no attribute {name!r}")
