"""The dict: reading takes no lock; writing tries once with the GIL held, then waits without it in slices."""

from collections.abc import Iterable, Mapping
from types import GenericAlias
from typing import Any, TypeVar, overload

from typing_extensions import disjoint_base

from sharedkit._segment import Place, PrivatePlace, Segment
from sharedkit.shm._entries import Entries

_K = TypeVar("_K")
_V = TypeVar("_V")
_D = TypeVar("_D")

KIND_DICT: int

def make(
    place: Place | PrivatePlace | str, name: str | None, seats: int, flags: int, seed: int, kind: int = 7
) -> Segment: ...

@disjoint_base
class Dict(Entries[_K, _V]):
    """A `MutableMapping` in shared memory: picklable values, keys that are equal exactly when Python says so."""

    def __init__(
        self,
        mapping_or_pairs: Mapping[_K, _V] | Iterable[tuple[_K, _V]] = (),
        /,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
        mode: int | None = None,
        group: int | str | None = None,
        **items: _V,
    ) -> None: ...
    @staticmethod
    def _of(segment: Segment) -> Dict[Any, Any]: ...
    def __getitem__(self, key: _K, /) -> _V: ...
    @overload
    def get(self, key: _K, default: None = None, /) -> _V | None: ...
    @overload
    def get(self, key: _K, default: _D, /) -> _V | _D: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __setitem__(self, key: _K, value: _V, /) -> None: ...
    def __delitem__(self, key: _K, /) -> None: ...
    def setdefault(self, key: _K, default: Any = None, /) -> _V: ...
    def _insert(self, key: _K) -> bool: ...
    @overload
    def pop(self, key: _K) -> _V: ...
    @overload
    def pop(self, key: _K, *default: _D) -> _V | _D: ...
    def popitem(self) -> tuple[_K, _V]: ...
    def add(self, key: _K, n: Any = 1, /) -> Any: ...
    def compare_exchange(self, key: _K, expected: Any, desired: _V, /) -> bool: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

def state(segment: Segment) -> str: ...
