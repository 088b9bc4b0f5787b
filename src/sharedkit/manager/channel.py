"""One connection of a client in the server: requests come in whole or in pieces, answers go out as fast as it reads."""

from __future__ import annotations

import os
import pickle
import select
import struct
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from sharedkit.manager.loop import Loop
from sharedkit.manager.sessions import Session
from sharedkit.manager.states.call import Call
from sharedkit.manager.wire import CANCELLED, ERROR, RESULT, failed, join, split

if TYPE_CHECKING:
    from sharedkit.manager.house import House

__all__ = ["Channel"]

CHUNK = 1 << 16


class _Nonsense(Exception):
    """Raised where who has the authkey does not speak our language."""


class Channel:
    """Many requests may be under way in it. It is over when its client has ended it and all of them are answered.

    `waiting` are the calls that wait, by number; `_outgoing` what the client has not read yet, with the call that it
    answers: what never went out whole is taken back.
    """

    def __init__(self, house: House, loop: Loop, connection: Connection, session: Session) -> None:
        self.house = house
        self.loop = loop
        self.session = session
        self.waiting: dict[int, Call] = {}
        self._connection = connection
        self.descriptor = connection.fileno()
        self._incoming = bytearray()
        self._outgoing: deque[tuple[memoryview, Call | None, Any]] = deque()
        self._ended = False
        self.closed = False
        os.set_blocking(self.descriptor, False)
        session.channels.add(self)
        loop.watch(self.descriptor, select.EPOLLIN, self._handle)

    # --- what comes in

    def _handle(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT and not self._ended:
            self._read(gone=bool(events & (select.EPOLLHUP | select.EPOLLERR)))

    def _read(self, gone: bool) -> None:
        try:
            chunk = os.read(self.descriptor, max(CHUNK, self._missing()))
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            if gone:
                self.close()
            else:
                self._end()
            return
        incoming = self._incoming
        if not incoming and len(chunk) > 4 and int.from_bytes(chunk[:4], "big") == len(chunk) - 4:
            self._serve(chunk[4:])  # as nearly always: one message, whole
            return
        incoming += chunk
        try:
            while not self.closed and (message := self._next()) is not None:
                self._serve(message)
        except _Nonsense:
            self.close()

    def _missing(self) -> int:
        """How much more a large message that has begun to come wants; at most a megabyte at a time."""
        if len(self._incoming) < 12:
            return 0
        length: int
        length, long = struct.unpack_from("!iQ", self._incoming)
        return min((long if length == -1 else length) - len(self._incoming), 1 << 20)

    def _next(self) -> bytes | memoryview | None:
        """The next message, if it is there whole."""
        incoming = self._incoming
        if len(incoming) < 4:
            return None
        (length,) = struct.unpack_from("!i", incoming)
        begin = 4
        if length == -1:
            if len(incoming) < 12:
                return None
            (length,) = struct.unpack_from("!Q", incoming, 4)
            begin = 12
        if length < 0:
            raise _Nonsense
        if len(incoming) < begin + length:
            return None
        if len(incoming) == begin + length:  # as nearly always with a large one: it need not be copied
            self._incoming = bytearray()
            return memoryview(incoming)[begin:]
        with memoryview(incoming) as view:
            message = bytes(view[begin : begin + length])
        del incoming[: begin + length]
        return message

    def _serve(self, message: bytes | memoryview) -> None:
        house = self.house
        number, content = split(message)
        try:
            ident, method, args, thread, released = pickle.loads(content)
        except Exception as error:  # a class that is not here, mostly
            self.answer(Call(self, number, house, "", (), 0), ERROR, failed(error))
            return
        if released:
            house.release(self.session, released)
        if ident == 0 and method == "cancel":
            call = self.waiting.get(args[0])
            if call is not None:
                call.cancel()
            else:  # it was answered meanwhile; who has cancelled it waits for this word
                self.send(join(args[0], (CANCELLED, None)))
            return
        state: Any = house
        if ident:
            try:
                state = house.find(self.session, ident)
            except Exception as error:
                self.answer(Call(self, number, house, method, args, thread), ERROR, failed(error))
                return
        if method == "undo":
            Call(self, 0, state, args[0], args[1], thread).undo(args[2])
            state.settle()
            method, args = "undone", ()
            state = house
        Call(self, number, state, method, args, thread).begin()

    # --- what goes out

    def answer(self, call: Call, kind: int, payload: Any) -> None:
        """Send the answer of `call`, or take it back where that is no use."""
        if call.number:
            try:
                message = join(call.number, (kind, payload))
            except Exception as error:
                if kind == RESULT:
                    call.undo(payload)
                kind, message = ERROR, join(call.number, (ERROR, failed(error)))
            self.send(message, call if kind == RESULT else None, payload)
        if self._ended:
            self._close_if_done()

    def send(self, message: bytes, call: Call | None = None, result: Any = None) -> None:
        """Send `message`, which answers `call` with `result`, at once or as soon as the client reads."""
        if self.closed:
            if call is not None:
                call.undo(result)
            return
        gone = 0
        if not self._outgoing:
            try:
                gone = os.write(self.descriptor, message)
            except BlockingIOError:
                pass
            except OSError:
                if call is not None:
                    call.undo(result)
                self.loop.soon(self.close)
                return
            if gone == len(message):
                return
        self._outgoing.append((memoryview(message)[gone:], call, result))
        if len(self._outgoing) == 1:
            self.loop.watch(self.descriptor, self._interest(), self._handle)

    def _interest(self) -> int:
        return (0 if self._ended else select.EPOLLIN) | (select.EPOLLOUT if self._outgoing else 0)

    def _flush(self) -> None:
        while self._outgoing:
            view, call, result = self._outgoing[0]
            try:
                view = view[os.write(self.descriptor, view) :]
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            if view:
                self._outgoing[0] = view, call, result
            else:
                self._outgoing.popleft()
        if self._ended:
            self._close_if_done()
        else:
            self.loop.watch(self.descriptor, self._interest(), self._handle)

    # --- the end

    def _end(self) -> None:
        """The client asks no more. It may still read: a wait that it has left is answered before the end.

        Where it is gone whole, as one that died is, `close` ends its waits as what they are: nobody's.
        """
        self._ended = True
        self.loop.forget(self.descriptor)
        if self is self.session.life:
            self.house.end(self.session)
            return
        if self._outgoing:
            self.loop.watch(self.descriptor, self._interest(), self._handle)
        for call in list(self.waiting.values()):
            call.cancel()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if not self.waiting and not self._outgoing:
            self.close()

    def close(self) -> None:
        """Hang up. What the client waits for ends, and what it was not sent is taken back."""
        if self.closed:
            return
        self.closed = self._ended = True
        self.loop.forget(self.descriptor)
        self.session.channels.discard(self)
        for waiting in list(self.waiting.values()):
            waiting.cancel()
        for _, call, result in self._outgoing:
            if call is not None:
                call.undo(result)
                call.state.settle()
        self._outgoing.clear()
        with suppress(OSError):
            self._connection.close()
        if self is self.session.life:
            self.house.end(self.session)
