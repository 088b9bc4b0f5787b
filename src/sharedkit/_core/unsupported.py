"""Classes that a placement does not have, with the reasons: the text of the error for code that uses their names."""

from __future__ import annotations

import sys
from collections.abc import Mapping

__all__ = ["ABSENT", "IN_SHARED_MEMORY", "absent"]

_WHY = {
    "LifoQueue": "its ring gives out the oldest item, and no other order leaves it whole at a death at any instruction",
    "PriorityQueue": "items lie there as bytes, and comparing them runs code that may die half-way",
}
IN_SHARED_MEMORY = {
    name: f'there is no {name} in shared memory: {why}; get_context("manager").{name} is for processes, '
    f'get_context("thread").{name} for threads'
    for name, why in _WHY.items()
}
IN_A_SERVER = {
    "Stream": 'there is no Stream behind a server yet: get_context("shm").Stream is for the processes of one machine, '
    'get_context("thread").Stream for threads'
}
ABSENT: Mapping[str, Mapping[str, str]] = {"shm": IN_SHARED_MEMORY, "manager": IN_A_SERVER}  # by placement
IMPORT = "importlib._bootstrap", "_handle_fromlist"  # what asks a package for the names after `import`


def absent(module: str, name: str, reasons: Mapping[str, str] = IN_SHARED_MEMORY) -> AttributeError | ImportError:
    """The error of the `__getattr__` of a module for a name that it does not have. `reasons`: the text for some names.

    `from module import name` replaces an AttributeError by "cannot import name", without the reason. So the answer to
    an import is an ImportError with the reason. All others get an AttributeError: `hasattr` is false.
    """
    why = reasons.get(name)
    if why is None:
        return AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
    caller = sys._getframe(2)  # of `__getattr__`
    if (caller.f_globals.get("__name__"), caller.f_code.co_name) == IMPORT:
        return ImportError(why, name=module)
    return AttributeError(why, name=name)
