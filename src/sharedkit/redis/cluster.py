"""A Redis cluster: which node serves which of the 16,384 slots."""

from __future__ import annotations

import threading
from binascii import crc_hqx
from bisect import bisect
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from redis import exceptions

from sharedkit.errors import ServerGoneError
from sharedkit.redis.address import LOST, Address, pack, send
from sharedkit.redis.refusals import Refused, refused_connection
from sharedkit.redis.url import CLUSTER, UNREADABLE, Place, places, without_password

__all__ = ["Cluster", "slot_of"]

PORT = 6379
SLOTS = 16384


def slot_of(key: bytes) -> int:
    """The slot of a key; only what is between its first braces counts."""
    tag, closed, _ = key.partition(b"{")[2].partition(b"}")
    return crc_hqx(tag if tag and closed else key, 0) % SLOTS


class Cluster:
    """The cluster of a url: redis+cluster://user:password@host:port,host:port. Any node that answers names all others.

    Raises ValueError if the url has another form.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url, self.timeout = url, timeout
        self.public = without_password(url)
        try:
            if self.public.endswith(UNREADABLE):
                raise ValueError
            parts = urlsplit(url)
            self.seeds = places(parts.netloc, PORT)
            if parts.path.strip("/") not in ("", "0"):
                raise ValueError
        except ValueError:
            raise ValueError(
                "the url of a cluster is redis+cluster://user:password@host:port,host:port, or begins with "
                f"rediss+cluster://, and names no database, as a cluster has only one: {self.public!r}"
            ) from None
        before = parts.netloc.rpartition("@")[0]
        query = f"?{parts.query}" if parts.query else ""
        self._any = Address(f"{CLUSTER[parts.scheme]}://{before}{'@' if before else ''}node/0{query}", timeout)
        self._lock = threading.RLock()
        self._firsts: list[int] = []  # the first slot of each range
        self._ranges: list[tuple[int, Place]] = []  # the last one, and the node that serves the range
        self._turn = 0

    def address(self, place: Place) -> Address:
        """The node there."""
        return self._any.node(place)

    def place_of(self, slot: int) -> Place:
        """The node that serves the slot, as the node that was asked last says. Raises ServerGoneError."""
        if not self._ranges:
            self.refresh()
        with self._lock:
            number = bisect(self._firsts, slot) - 1
            if number >= 0 and slot <= self._ranges[number][0]:
                return self._ranges[number][1]
        self.refresh()
        raise ServerGoneError(f"no node of the cluster at {self.public} serves the slot {slot}")

    def refresh(self, but: Place | None = None) -> None:
        """Ask which node serves which slots: one that knows it, in turn, but not the one at `but`.

        Raises ServerGoneError if none answers, AuthkeyError, ServerMismatchError.
        """
        with self._lock:
            known = list(dict.fromkeys(chain((place for _, place in self._ranges), self.seeds)))
            self._turn += 1
            turn = self._turn % len(known)
        said: list[str] = []
        for place in known[turn:] + known[:turn]:
            if place == but and len(known) > 1:
                continue
            try:
                self._learn(self._ask(place), place)
            except ServerGoneError as why:
                said.append(str(why))
            else:
                return
        raise ServerGoneError(f"no node of the cluster at {self.public} answers ({'; '.join(said)})")

    def _ask(self, place: Place) -> list[Any]:
        connection = self.address(place).connect(is_for_data=False)
        try:
            send(connection, pack(b"CLUSTER", b"SLOTS"))
            answer: list[Any] = connection.read_response(disable_decoding=True)
            return answer
        except exceptions.ResponseError as why:
            raise refused_connection(Refused.of(why), self.public) from None
        except LOST as why:
            raise ServerGoneError(f"the node at {place[0]}:{place[1]} is gone: {why}") from why
        finally:
            connection.disconnect()

    def _learn(self, said: list[Any], of: Place) -> None:
        """Keep the answer of the node `of`, which may name itself without its host."""
        found: dict[int, tuple[int, Place]] = {}
        for first, last, primary, *_ in said:
            host = primary[0].decode() if primary[0] else of[0]
            if host != "?":
                found[first] = last, (host, primary[1])
        if not found:
            raise ServerGoneError(f"the node at {of[0]}:{of[1]} knows no node that serves a slot")
        with self._lock:
            self._firsts, self._ranges = sorted(found), [found[first] for first in sorted(found)]

    def in_child(self) -> None:
        """In the child of a fork, make the lock anew, which another thread may have held."""
        self._lock = threading.RLock()
