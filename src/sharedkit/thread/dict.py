"""A dict for the threads of this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Self

from sharedkit._core.mapping_methods import FILE_OPTIONS, MappingFace, first_items
from sharedkit._core.segment import Segment, with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.thread import registry
from sharedkit.thread._table import BLUEPRINT, KIND_DICT, Table

__all__ = ["Dict"]


@registry.opens(KIND_DICT)
@with_own_methods
class Dict(Table, MappingFace):
    """Dict(mapping_or_pairs=(), /, *, name=None, exist_ok=False, persist=False, seats=192, **items)

    A `MutableMapping` for the threads of this process, in order of insertion. Each single operation is atomic,
    including `setdefault`, `pop`, `add` and `compare_exchange`; iteration goes over a snapshot. The values themselves
    are returned, not copies. Further keywords are items, as in `dict`: `Dict(maxsize=3)` has the key "maxsize", and no
    bound.

    Raises TypeError for `mode` and `group`, which are options in shared memory; FileExistsError when `name` is taken
    and not `exist_ok`, ValueError when the existing structure is not a dict with the same `seats` and `persist`.
    """

    __slots__ = ()

    def __init__(
        self,
        mapping_or_pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (),
        /,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
        **items: Any,
    ) -> None:
        pairs = first_items(mapping_or_pairs, items, FILE_OPTIONS)
        self._open(registry.create(BLUEPRINT, name, exist_ok, persist, seats))
        self.update(pairs)

    @classmethod
    def _of(cls, segment: Segment) -> Self:
        self = cls.__new__(cls)
        self._open(segment)
        return self

    def copy(self) -> Dict:
        """Return a new dict, made from a snapshot."""
        return Dict(self.as_dict())

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, /) -> Dict:
        """Return a new dict of these keys, each with this value."""
        made = cls()
        for key in keys:
            made[key] = value
        return made


MutableMapping.register(Dict)
