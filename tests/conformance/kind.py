"""What the tests of all handles must know of one kind of structure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """`change` alters the state, `look` answers what can be compared; `others` differ in what must be equal.

    `with` closes the handle where it `closes`, else it takes what the handle is of. A change that is not `lasting` goes
    with the process that made it, or with its last handle: nobody keeps a lock for the dead.
    """

    name: str
    cls: str
    make: Callable[..., Any]
    change: Callable[[Any], Any]
    look: Callable[[Any], Any]
    uses: tuple[Callable[[Any], Any], ...]
    others: tuple[Callable[..., Any], ...]
    closes: bool = True
    lasting: bool = True
