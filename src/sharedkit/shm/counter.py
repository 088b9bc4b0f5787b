"""Counters in shared memory: `Counter`, plain or striped, and `Counters`, a group of named ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar

from sharedkit import segments
from sharedkit._core.differences import unlike
from sharedkit._core.segment import Handle, Segment, ends_anywhere
from sharedkit.shm import _counter
from sharedkit.shm._counter import Counter

if TYPE_CHECKING:
    from sharedkit.statistics import CountersStatistics

__all__ = ["Counter", "Counters"]


class _Closed(dict[str, Counter]):
    """The views of a closed group: every lookup raises the error that the group is closed."""

    def __init__(self, group: Counters) -> None:
        super().__init__()
        self._group = group

    def __missing__(self, name: str) -> Counter:
        self._group._segment()
        raise KeyError(name)


def _encode(names: list[str]) -> bytes:
    import json  # not with the package: it takes a millisecond to import

    return json.dumps(names).encode()


def _decode(meta: bytes) -> list[str]:
    import json

    names: list[str] = json.loads(meta)
    return names


def blueprint(names: Iterable[str]) -> segments.Blueprint:
    """Return the blueprint of a group of counters. Raises TypeError, ValueError."""
    keys = [names] if isinstance(names, str) else list(names)
    for each in keys:
        if not isinstance(each, str):
            raise TypeError(f"names must be str, not {type(each).__name__}")
    if not keys or len(set(keys)) != len(keys):
        raise ValueError(f"names must be different and at least one: {keys}")
    kind, meta = _counter.KIND_GROUP, _encode(keys)
    return segments.Blueprint(
        kind,
        lambda place, name, seats, flags: _counter.make(place, name, seats, flags, kind, len(keys), 0, meta),
        lambda there: unlike("names", _decode(there.meta), keys),
    )


class Counters(Handle):
    """Counters(names, *, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)

    Many named counters in one segment; each starts at 0. `c["ok"] += 1` and `c.add("ok")` are atomic.

    Raises ValueError for no names, for a name that occurs twice, or if the existing group of that `name` differs;
    TypeError for names that are not str; FileExistsError when `name` is taken and not `exist_ok`; KeyError on lookup of
    a name that is not in the group.
    """

    __slots__ = ("_views",)
    _views: dict[str, Counter]
    _view_class: ClassVar[type[Counter]] = Counter

    def __init__(
        self,
        names: Iterable[str],
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = segments.DEFAULT_SEATS,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> None:
        self._adopt(segments.create(blueprint(names), name, exist_ok, persist, seats, mode, group))

    @classmethod
    def _of(cls, segment: Segment) -> Counters:
        self = cls.__new__(cls)
        self._adopt(segment)
        return self

    def _adopt(self, segment: Segment) -> None:
        self._bind(segment)
        self._views = ends_anywhere({})
        for i, each in enumerate(_decode(segment.meta)):
            self._views[each] = self._view_class._of(segment, i, each)

    def close(self) -> None:
        """Detach from the segment. Using the group or its views afterwards raises ClosedError."""
        for view in getattr(self, "_views", {}).values():
            view.close()
        super().close()
        self._views = _Closed(self)

    def _open_views(self) -> dict[str, Counter]:
        """Return the views by name. The views are read first: if another thread closes the group meanwhile, they are
        closed, but not None. Raises ClosedError."""
        views = self._views
        self._segment()
        return views

    def __getitem__(self, name: str) -> Counter:
        return self._open_views()[name]

    def __setitem__(self, name: str, value: int | Counter) -> None:
        view = self[name]
        if value is not view:  # `c["ok"] += 1` has already added when it assigns the view back
            view.exchange(value)

    def add(self, name: str, n: int = 1) -> int:
        """Add `n` to the counter `name` in one step and return its new value. Raises KeyError, OverflowError."""
        return self._views[name].add(n)  # type: ignore[return-value]

    def keys(self) -> list[str]:
        """Return the names, in the order in which they were given."""
        return list(self._open_views())

    def values(self) -> list[int]:
        """Return the values in the order of the names, each read on its own."""
        return [view.value for view in self._open_views().values()]

    def items(self) -> list[tuple[str, int]]:
        """Return pairs of name and value, each value read on its own."""
        return [(name, view.value) for name, view in self._open_views().items()]

    def as_dict(self) -> dict[str, int]:
        """Return a dict of the values by name, each value read on its own."""
        return dict(self.items())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def statistics(self) -> CountersStatistics:
        """Return the values and the attached processes at this moment: a CountersStatistics."""
        segment = self._segment()
        from sharedkit.statistics import CountersStatistics

        return CountersStatistics(segment.name, "Counters", self.as_dict(), segment.attached())

    def __repr__(self) -> str:
        if self.closed:
            return "<Counters closed>"
        return f"<Counters {self.as_dict()} name={self.name!r}>"


def _group_state(segment: Segment) -> str:
    return f"{len(_decode(segment.meta))} counters"


segments.register_kind(segments.Kind(_counter.KIND_GROUP, "Counters", Counters._of, _group_state))
