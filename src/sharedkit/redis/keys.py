"""The common part of Dict and Set in a Redis server: keys as bytes, and snapshots that are read in pages."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from sharedkit._core.dict_methods import Entry, Form, KeysMethods
from sharedkit.errors import GoneError
from sharedkit.redis.handle import Handle, pids
from sharedkit.redis.items import checked
from sharedkit.redis.refusals import Refused
from sharedkit.redis.session import Session
from sharedkit.statistics import DictStatistics

__all__ = ["Keys", "first_of", "form_bytes", "form_from"]

LONG = 1 << 16  # bytes of an answer that is not left in the server


def form_bytes(form: Form) -> bytes:
    """The form in the server: s and UTF-8, i and digits, or b and bytes."""
    if type(form) is str:
        return checked(b"s" + form.encode("utf-8", "surrogatepass"), "a key")
    return b"i%d" % form if isinstance(form, int) else checked(b"b" + form, "a key")  # type: ignore[operator]


def form_from(sent: bytes) -> Form:
    """The form that `form_bytes` was given."""
    kind, rest = sent[:1], sent[1:]
    return rest.decode("utf-8", "surrogatepass") if kind == b"s" else int(rest) if kind == b"i" else rest


def first_of(first: bytes | None) -> bytes:
    """The pickled key in the server; empty if the form says all."""
    return b"" if first is None else checked(first, "a key")


class Keys(KeysMethods, Handle):
    """The keys of a dict, or the members of a set, in order of insertion.

    A large snapshot is read in pages. While one is being read, the server keeps for it the entries that are changed or
    removed before they are read. It ends with its iterator, or with the session.
    """

    lua = "dict"

    def _has(self, form: Form) -> bool:
        return bool(self._read(b"has", form_bytes(form)))

    def _pop_last(self) -> Entry:
        found = self._call(b"popitem", shrinks=True)
        if found is None:
            raise KeyError("popitem(): dictionary is empty")
        form, first, value = found
        self._seen(value)
        return form_from(form), first or None, value

    def _seen(self, answer: bytes | None) -> None:
        """Have the server forget a long answer: it keeps the last one of each lane, in case the reply was lost."""
        if answer is not None and len(answer) > LONG:
            self._call(b"seen", shrinks=True)

    def _iter_keys(self) -> Iterator[tuple[Form, bytes | None]]:
        return ((form_from(form), first or None) for form, first in self._snapshot(b"k", 2))

    def _snapshot(self, what: bytes, width: int) -> Iterator[list[bytes]]:
        """The entries that are there now, each of `width` parts: form, pickled key and, if `what` is b"p", value."""
        session = self._ensure_open()
        found = self._read(b"all", what)
        if found is not None:
            return _split(found, width)
        ident = b"%b %d" % (session.sid, next(session.numbers))
        self._call(b"snapshot", ident, what)
        pages = self._pages(session, ident, width)
        next(pages)  # from now on the end of the generator ends the snapshot
        return pages

    def _pages(self, session: Session, ident: bytes, width: int) -> Generator[list[bytes], None, None]:
        lua, base = self.lua, self._base
        try:
            yield []
            after, over = b"0", 0
            while not over:
                page = self._page(ident, after)
                after, over = page[:2]
                yield from _split(page, width)
        finally:  # the keeper does it, because this may be a run of the garbage collector
            session.later(lambda: session.ask_as_keeper(lua, base, b"finish", ident))

    def _page(self, ident: bytes, after: bytes) -> list[Any]:
        try:
            page: list[Any] = self._read(b"page", ident, after)
        except Refused as why:
            if why.code != "SKUNKNOWN":
                raise
            raise GoneError(f"the server has lost the snapshot of {self._name!r} that was read: begin again") from None
        return page

    def clear(self) -> None:
        """Remove all keys, in one step."""
        self._call(b"clear", shrinks=True)

    def __len__(self) -> int:
        return int(self._read(b"len"))

    def _fill(self, new: bool, put: Callable[[], object]) -> None:
        """Put the first contents in; if that fails, a structure that is `new` is removed."""
        try:
            put()
        except BaseException:
            if new:
                self.unlink()
            self.close()
            raise

    def statistics(self) -> DictStatistics:
        """Return the number of keys and the attached processes at this moment: a DictStatistics."""
        length, sessions = self._read(b"statistics")
        return DictStatistics(self._name, self.kind, length, None, None, None, pids(sessions))


def _split(page: list[Any], width: int) -> Iterator[list[bytes]]:
    """The entries of a page, which begins with two parts of its own."""
    return (page[at : at + width] for at in range(2, len(page), width))
