"""Where the structures of a session are, in a cluster: slots move to other nodes, and replicas take the place of nodes.

A session belongs to one node, of whose slots it has structures open. If such a slot moves to another node, the session
follows: it connects to that node as well, and listens there. The data has moved as a whole, so nothing else changes.
But if a replica has taken the place of the node, it may lack what the node had answered last: then the session is lost,
as after a restart.

Until a slot has moved as a whole, no node runs a function on it (`Session.bytes_of`). Calls then ask again and again,
for up to a lease.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from redis import exceptions

from sharedkit._core.background import background
from sharedkit.errors import LeaseLostError, ServerGoneError, SharedkitError
from sharedkit.redis.address import LOST, Restarted, pack, send
from sharedkit.redis.asker import Asker
from sharedkit.redis.cluster import Cluster, slot_of
from sharedkit.redis.line import Request
from sharedkit.redis.node import Lane, Node
from sharedkit.redis.refusals import Refused, refused, refused_connection
from sharedkit.redis.url import Place
from sharedkit.redis.wakes import RESTARTED, Wakes

__all__ = ["Moves"]

PAUSE = 0.02  # seconds between two questions whether a slot is served


class Moves:
    """The nodes of one session's structures."""

    def __init__(self, session: Asker, cluster: Cluster) -> None:
        self._session, self._cluster = session, cluster
        self._elsewhere: dict[int, Node] = {}  # the slots that have moved away from the session's own node
        self._sought: set[bytes] = set()  # the structures that the keeper is about to look for
        self._lock = threading.RLock()
        self._redirected: SimpleQueue[Any] = SimpleQueue()
        self._resending = self._closed = False
        self._resends = threading.RLock()  # guards these two, and is never held for long

    def node_of(self, base: bytes) -> Node:
        """The node that serves the structure, as far as the session knows."""
        home: Node = self._session.home
        return self._elsewhere.get(slot_of(base), home) if self._elsewhere else home

    # --- the subscriptions

    def listen(self, base: bytes) -> None:
        """Have the server tell the session what happens to that structure. Raises ServerGoneError, LeaseLostError."""
        try:
            self._listen(base, self._session.lease)
        except BaseException as why:
            self.ignore(base)
            if isinstance(why, Refused):
                raise refused(why, self.node_of(base).address.public, base) from None
            raise

    def _listen(self, base: bytes, patience: float) -> None:
        began: float | None = None
        while True:
            try:
                self.node_of(base).wakes.listen(base)
                return
            except Restarted:
                raise self._session.lose(RESTARTED) from None
            except Refused as why:
                began = self._follow_refusal(base, why, began, patience)

    def ignore(self, base: bytes) -> None:
        """End that."""
        self.node_of(base).wakes.ignore(base)

    def find(self, base: bytes) -> None:
        """Have the keeper listen where the structure is now."""

        def listen() -> None:
            self._sought.discard(base)
            try:
                if base in self._session.opened:
                    self._listen(base, 0)
            except (ServerGoneError, Refused):
                self._sought.add(base)  # the keeper does this job again
                raise

        if base not in self._sought:
            self._sought.add(base)
            self._session.later(listen)

    def look_for(self, wakes: Wakes) -> bool:
        """Look where the structures are of which that node, which cannot be reached, was to report; return whether to
        look again, since it may come back."""
        session = self._session
        try:
            self._cluster.refresh(wakes.place)
            for base in list(wakes.bases):
                self._follow(base, self._cluster.place_of(slot_of(base)))
            if not session.opened:  # there is nothing to lose
                session.lose("the server could not be reached")
        except SharedkitError:
            pass
        return session.over is None and not wakes.rests()

    # --- following

    def redirected(self, lane: Lane, base: bytes, refusal: Refused, began: float | None, patience: float) -> float:
        """Take a lane to the node that serves the structure now, or wait a moment; returns since when the call waits
        for that. Raises the refusal when its `patience`, in seconds, is over."""
        began = self._follow_refusal(base, refusal, began, patience)
        self._take(lane, self.node_of(base))
        return began

    def has_moved(self, lane: Lane, base: bytes) -> bool:
        """Whether another node serves the structure than the one that the lane could not reach: then take the lane
        there. Raises LeaseLostError if that is a replica of the one before."""
        try:
            self._cluster.refresh(lane.node.address.place)
            node = self._follow(base, self._cluster.place_of(slot_of(base)))
        except LeaseLostError:
            raise
        except SharedkitError:
            return False
        if node is lane.node:
            return False
        self._take(lane, node)
        return True

    @staticmethod
    def _take(lane: Lane, node: Node) -> None:
        if lane.node is not node:
            lane.retire()
            lane.node = node

    def _follow_refusal(self, base: bytes, refusal: Refused, began: float | None, patience: float) -> float:
        """Do what a node says that does not serve the slot now: go to another one, or wait. Returns since when the call
        waits for that. Raises the refusal if that is longer than its `patience`, in seconds, or if it is no such one.
        """
        now = monotonic()
        moved = refusal.code == "MOVED"
        if not refusal.elsewhere or (not moved and patience == 0) or (began is not None and now - began > patience):
            raise refusal
        if moved:
            slot, _, where = refusal.text.partition(" ")
            host, _, port = where.rpartition(":")
            if int(slot) == slot_of(base):
                self._follow(base, (host.strip("[]") or self.node_of(base).address.place[0], int(port)))
        if began is not None or not moved:
            threading.Event().wait(PAUSE)
        return now if began is None else began

    def _follow(self, base: bytes, place: Place) -> Node:
        """The node at that place, which serves the structure's slot now; the session listens there.

        Raises LeaseLostError, after ending the session, if that node was a replica of the one before.
        """
        session, slot = self._session, slot_of(base)
        if session.over is not None:
            raise session.reason()
        with self._lock:
            before = self.node_of(base)
            if before.address.place == place:
                return before
            node = session.nodes.get(place)
            if node is None:
                node = Node(session, self._cluster.address(place))
            lost = self._why_lost(before, node)
            if lost is None:
                session.nodes[place] = node
                lost = self._listen_to(node, [each for each in before.wakes.bases if slot_of(each) == slot], before)
            if lost is None:
                self._elsewhere[slot] = node
        if lost is not None:  # without the lock: another thread may have the session's lock, and wait for this one
            raise session.lose(lost)
        session.reassure()
        return node

    def _listen_to(self, node: Node, bases: list[bytes], before: Node) -> str | None:
        """Listen there, before this process makes a call there: functions take a session that does not listen for dead,
        a second later. Returns why the session is over, if it is."""
        for base in bases:
            before.wakes.forget(base)
            try:
                node.wakes.listen(base)
            except Restarted:
                return RESTARTED
            except (ServerGoneError, Refused):
                self.find(base)
        return None

    def _why_lost(self, before: Node, node: Node) -> str | None:
        """Why the session is over, if the `node` has the slot not by a move, but in the place of the node that had it
        `before`.

        A replica that is made a primary remembers the replication of its former primary. If it has been replaced in
        turn, or never had the data, then the former primary is no healthy primary any more.
        """
        try:
            connection = node.address.connect()
        except Restarted:
            return RESTARTED
        try:
            send(connection, pack(b"CLUSTER", b"NODES"))
            said = bytes(connection.read_response(disable_decoding=True))
        except exceptions.ResponseError as why:
            raise refused_connection(Refused.of(why), node.address.public) from None
        except LOST as why:
            raise ServerGoneError(f"the server at {node.address.public} is gone: {why}") from why
        finally:
            connection.disconnect()
        replaced = before.address.replication[0] == node.address.replication[1]
        if replaced or not _is_healthy_primary(said, before.address.place):
            return f"the node at {node.address.public} has taken the place of {before.address.public}"
        return None

    # --- requests of tasks

    def again(self, request: Request, refusal: Refused) -> None:
        """Have a request of a task sent again, to the node that serves it, by a thread that may wait."""
        with self._resends:
            if self._closed:
                request.end(self._session.reason(), self._session)
                return
            self._redirected.put((request, refusal))
            if not self._resending:
                self._resending = True
                background(self._resend, name="sharedkit redis moves").start()

    def _resend(self) -> None:
        while True:
            some = [self._redirected.get()]
            threading.Event().wait(PAUSE)
            try:
                while True:
                    some.append(self._redirected.get_nowait())
            except Empty:
                pass
            for request, refusal in some:
                if request is None:
                    return
                self._send_again(request, refusal)

    def _send_again(self, request: Request, refusal: Refused) -> None:
        session, base = self._session, request.made.base  # type: ignore[union-attr]
        try:
            if session.over is not None:
                raise session.reason()
            request.redirected = self._follow_refusal(base, refusal, request.redirected, session.lease)
            self.node_of(base).line.enter(request)
        except (SharedkitError, Refused) as why:
            request.end(why, session)

    # --- the end

    def close(self) -> None:
        """End the thread, after the session."""
        with self._resends:
            self._closed = True
            self._redirected.put((None, None))


def _is_healthy_primary(said: bytes, place: Place) -> bool:
    """Whether the node at that place is a primary that has not failed, in the view of another one (CLUSTER NODES)."""
    for line in said.decode("utf-8", "replace").splitlines():
        _, where, flags, *_ = line.split(" ")
        address, _, names = where.partition("@")
        host, _, port = address.rpartition(":")
        if int(port) == place[1] and place[0] in (host.strip("[]"), *names.split(",")[1:]):
            return "master" in flags.split(",") and "fail" not in flags.split(",")
    return False
