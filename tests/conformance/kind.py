"""What the tests of handles must know about one kind of structure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """`change` alters the state, and `look` returns the part of the state that tests compare. Each of `others` makes a
    structure that differs in an argument that must be equal.

    If it `closes`, a `with` block closes the handle; if not, the block takes the lock or permit. A change that is not
    `lasting` ends with the process that made it, or with its last handle: no lock stays held for a dead process. If it
    `ends`, `close()` of one handle ends the structure for all.
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
    ends: bool = False
