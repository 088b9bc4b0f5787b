"""The connection on which one server reports what the waits of this process were granted.

While it listens, the session lives: for the server's functions, the subscription is the sign of life. In a single
server, the session has one channel. In a node of a cluster it has a channel for each structure that it has open there
(`cluster.lua` says why).
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from redis import exceptions

from sharedkit._core.background import background
from sharedkit.errors import ServerGoneError, SharedkitError
from sharedkit.redis.address import LOST, Address, Restarted, pack, send
from sharedkit.redis.asker import Asker
from sharedkit.redis.refusals import Refused, refused_connection
from sharedkit.redis.url import Place

__all__ = ["RESTARTED", "Wakes"]

AGAIN = 0.2  # seconds between two attempts to reach a server
RESTARTED = "the server was restarted, or another has taken its place"


class Asked:
    """A subscription that the server has not confirmed yet."""

    def __init__(self) -> None:
        self.refusal: Refused | None = None
        self.gate = threading.Lock()
        self.gate.acquire()

    def answer(self, refusal: Refused | None = None) -> None:
        self.refusal = refusal
        with suppress(RuntimeError):
            self.gate.release()


class Wakes:
    """The wakes of a session from one server, from `begin` to `close`."""

    def __init__(self, session: Asker, address: Address) -> None:
        self._session, self._address = session, address
        self.connection: Any = None
        self.bases: set[bytes] = set()  # in a cluster: the structures about which this node is to report
        self._asked: dict[bytes, Asked] = {}
        self._lock = threading.RLock()

    @property
    def place(self) -> Place:
        """Where the node is."""
        return self._address.place

    def begin(self) -> None:
        """Connect, and start the thread that reads. Raises as `Address.connect` does."""
        self.connection = self._subscribe()
        background(self._hear, name="sharedkit redis wakes", args=(self.connection,)).start()

    def _subscribe(self) -> Any:
        session = self._session
        connection = self._address.connect(timeout=max(session.lease, 1.0))
        session.connections.add(connection)
        if session.moves is None:
            commands = pack(b"PING"), pack(b"SUBSCRIBE", b"sharedkit:session:" + session.sid)
        else:  # whether the user may ask what is needed if a slot moves is found now
            commands = pack(b"PING"), pack(b"CLUSTER", b"NODES")
        try:
            for command in commands:
                send(connection, command)
                connection.read_response(disable_decoding=True)
        except exceptions.ResponseError as why:
            connection.disconnect()
            what_for = " for the channel sharedkit:session:*" if session.moves is None else ""
            raise refused_connection(Refused.of(why), self._address.public, what_for) from None
        except LOST as why:
            connection.disconnect()
            raise ServerGoneError(f"the server at {self._address.public} is gone: {why}") from why
        return connection

    def ping(self) -> None:
        """Let the server answer, so that the connection does not count as silent."""
        connection = self.connection
        if connection is not None:
            with suppress(*LOST):
                send(connection, pack(b"PING"))

    def close(self) -> None:
        """End the connection."""
        connection = self.connection
        if connection is not None:
            connection.disconnect()

    # --- in a cluster: a channel for each structure

    def _channel(self, base: bytes) -> bytes:
        return base + b":session:" + self._session.sid

    def listen(self, base: bytes) -> None:
        """Wait until the node reports about that structure. Raises Refused, and as `begin` does."""
        with self._lock:
            self.bases.add(base)
            if self.connection is None:
                self.begin()
            asked = self._asked.setdefault(base, Asked())
            with suppress(*LOST):  # the thread that reads subscribes again
                send(self.connection, pack(b"SSUBSCRIBE", self._channel(base)))
        answered = asked.gate.acquire(True, self._address.timeout)
        self._asked.pop(base, None)
        if not answered:
            raise ServerGoneError(f"the server at {self._address.public} does not answer")
        asked.answer(asked.refusal)  # for another thread that waits for the same
        if asked.refusal is not None:
            raise asked.refusal

    def ignore(self, base: bytes) -> None:
        """Want no more reports about that structure."""
        with self._lock:
            if base in self.bases:
                self.bases.discard(base)
                with suppress(*LOST, AttributeError):
                    send(self.connection, pack(b"SUNSUBSCRIBE", self._channel(base)))

    def forget(self, base: bytes) -> None:
        """Record that another node reports about that structure now."""
        self.bases.discard(base)

    def rests(self) -> bool:
        """Whether the node need not report anything; the thread that reads may end then."""
        with self._lock:
            if not self.bases:
                self.connection = None
            return not self.bases

    def _confirm(self, channel: bytes) -> None:
        base = channel.rpartition(b":session:")[0]
        asked = self._asked.pop(base, None)
        if asked is not None:
            asked.answer()

    def _refuse(self, refusal: Refused) -> None:
        """The node refuses a subscription, and does not say which: whoever waits for one looks what to do."""
        moves = self._session.moves
        assert moves is not None
        for base in list(self.bases):
            asked = self._asked.pop(base, None)
            if asked is not None:
                asked.answer(refusal)
            else:
                moves.find(base)

    # --- the thread that reads

    def _hear(self, connection: Any) -> None:
        """Run the thread that reads the server's messages and wakes the waits of this process."""
        session = self._session
        while session.over is None:
            try:
                while True:
                    self._take(connection.read_response(disable_decoding=True))
            except (
                *LOST,
                exceptions.ResponseError,
                AttributeError,
                TypeError,
            ) as why:  # the last two: another thread has disconnected it
                if session.moves is not None and isinstance(why, exceptions.ResponseError):
                    self._refuse(Refused.of(why))
                    continue
                connection = self._hear_again()
                if connection is None:
                    return

    def _take(self, message: Any) -> None:
        what = message[0]
        if what in (b"message", b"smessage"):
            ops, _, payload = message[2].partition(b" ")
            for number in ops.split(b","):
                wait = self._session.waits.pop(int(number), None)
                if wait is not None:
                    wait.resolve(payload)
        elif what == b"ssubscribe":
            self._confirm(message[1])
        elif what == b"sunsubscribe":
            base = message[1].rpartition(b":session:")[0]
            if base in self.bases and self._session.moves is not None:  # the node gave the slot away
                self._session.moves.find(base)

    def _hear_again(self) -> Any:
        """A new connection for the wakes; the keeper then checks all waits. None if none is needed any more."""
        session = self._session
        while session.over is None:
            try:
                connection = self._subscribe()
            except Restarted as other:
                session.restarted(self._address, other)
                return None
            except SharedkitError:
                if session.moves is not None and not session.moves.look_for(self):
                    return None
                threading.Event().wait(AGAIN)
                continue
            with self._lock:
                self.connection = connection
                for base in list(self.bases):
                    with suppress(*LOST):
                        send(connection, pack(b"SSUBSCRIBE", self._channel(base)))
            session.reassure()
            return connection
        return None
