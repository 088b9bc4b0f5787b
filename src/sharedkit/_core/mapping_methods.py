"""The common part of the dicts of all placements but shared memory: methods over a snapshot, and all views."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from types import GenericAlias, MappingProxyType
from typing import Any, ClassVar, Self

from sharedkit._core.counts import perhaps_a_name

__all__ = ["FILE_OPTIONS", "ItemsFace", "KeysFace", "MappingFace", "ValuesFace", "first_items"]

FILE_OPTIONS = ("mode", "group")  # options of a Dict in shared memory, which no other placement has


def first_items(mapping_or_pairs: Any, items: dict[str, Any], options: tuple[str, ...] = ()) -> dict[Any, Any]:
    """The items that a Dict begins with. `options` are keywords that are an option in another placement, not an item.

    Every other keyword is an item, also one that is an option of another structure: it may be any program's key. Raises
    TypeError, and as `dict` does.
    """
    if isinstance(mapping_or_pairs, str):
        what = f"a Dict is made from a mapping or from pairs, not from {str(mapping_or_pairs)!r}"
        raise TypeError(what + perhaps_a_name(mapping_or_pairs))
    for option in options:
        if option in items:
            raise TypeError(
                f"{option} is an option of a Dict in shared memory only; "
                f"for an item with this key write Dict({{{option!r}: …}})"
            )
    return dict(mapping_or_pairs, **items)


class _ViewFace:
    """The common part of all views of a dict."""

    __slots__ = ()

    @property
    def mapping(self: Any) -> MappingProxyType[Any, Any]:
        """The dict of this view, read-only."""
        return MappingProxyType(self._mapping)


class KeysFace(_ViewFace, KeysView[Any]):
    """The keys of a Dict."""

    def __reversed__(self: Any) -> Iterator[Any]:
        keys: Iterator[Any] = reversed(self._mapping)
        return keys


class ValuesFace(_ViewFace, ValuesView[Any]):
    """The values of a Dict."""


class ItemsFace(_ViewFace, ItemsView[Any, Any]):
    """The pairs of a Dict."""

    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and len(item) == 2 and super().__contains__(item)


class MappingFace:
    """The rest of a `MutableMapping` for a handle, built on `as_dict` and `update`, and perhaps on a cheaper
    `_iter_pairs`."""

    __slots__ = ()
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __class_getitem__(cls, item: Any, /) -> GenericAlias:
        return GenericAlias(cls, item)

    @abstractmethod
    def as_dict(self) -> dict[Any, Any]:
        """Return a snapshot as a plain dict."""

    @abstractmethod
    def update(self, mapping_or_pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (), /, **items: Any) -> None:
        """Set many keys."""

    def _iter_pairs(self) -> Iterator[tuple[Any, Any]]:
        return iter(self.as_dict().items())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.as_dict())

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self.as_dict())[::-1])

    def keys(self) -> KeysView[Any]:
        """Return a view of the keys; iteration goes over a snapshot."""
        return KeysFace(self)  # type: ignore[arg-type]

    def values(self) -> ValuesView[Any]:
        """Return a view of the values; iteration goes over a snapshot."""
        return _Values(self)  # type: ignore[arg-type]

    def items(self) -> ItemsView[Any, Any]:
        """Return a view of the pairs; iteration goes over a snapshot."""
        return _Items(self)  # type: ignore[arg-type]

    def __or__(self, other: Any) -> dict[Any, Any]:
        if not isinstance(other, (dict, MappingFace)):
            return NotImplemented
        return self.as_dict() | dict(other.items())

    def __ror__(self, other: Any) -> dict[Any, Any]:
        if not isinstance(other, (dict, MappingFace)):
            return NotImplemented
        return dict(other.items()) | self.as_dict()

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.as_dict() == dict(other.items())

    def __repr__(self: Any) -> str:
        return "<Dict closed>" if self.closed else f"Dict({self.as_dict()!r}, name={self.name!r})"


class _Values(ValuesFace):
    def __iter__(self: Any) -> Iterator[Any]:
        return (value for _, value in self._mapping._iter_pairs())

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self)[::-1])


class _Items(ItemsFace):
    def __iter__(self: Any) -> Iterator[tuple[Any, Any]]:
        pairs: Iterator[tuple[Any, Any]] = self._mapping._iter_pairs()
        return pairs

    def __reversed__(self) -> Iterator[tuple[Any, Any]]:
        return iter(list(self)[::-1])
