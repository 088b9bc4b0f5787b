"""The server's side of a client's connection: requests come whole or in pieces, answers go as the client reads."""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np

from sharedkit.manager.arguments import check, check_envelope, check_result
from sharedkit.manager.loop import Loop, report
from sharedkit.manager.protocol import (
    CANCELLED,
    ERROR,
    FAULTS,
    LEFT,
    RESULT,
    Message,
    bounds,
    content_of,
    failed,
    join,
    number_of,
    rest_of,
)
from sharedkit.manager.sessions import Session
from sharedkit.manager.sockets import socket_of
from sharedkit.manager.states.call import Call

if TYPE_CHECKING:
    from sharedkit.manager.object_registry import ObjectRegistry

__all__ = ["ServerConnection"]

CHUNK = 1 << 16
MOST_AT_ONCE = 4096  # messages that are read before the first of them is served
LONGEST_CANCEL = 256
NUMBERS = 1 << 56  # a message has room for this many numbers
UNANSWERED = frozenset({"arrived", "lost", "release", "ticket", "undone"})  # requests that may come without a number


def _cancelled_by(message: bytes) -> int:
    """The number of the request that the message cancels; 0 if the message is no `cancel`."""
    with suppress(*FAULTS):
        if number_of(message) == 0:
            ident, method, args, _, _ = content_of(message)
            if ident == 0 and method == "cancel" and type(args[0]) is int:
                return int(args[0])
    return 0


def _left_in(messages: list[bytes]) -> set[int]:
    """The numbers of requests that came together with their cancellation, as when a server had stood still."""
    there: set[int] = set()
    left: set[int] = set()
    for message in messages:
        there.add(number_of(message))
        if (number := _cancelled_by(message)) in there and number:
            left.add(number)
    return left


_idents = count(1)


class _Nonsense(Exception):
    """Raised if a client with the authkey does not follow the protocol."""


class ServerConnection:
    """A connection with any number of requests under way. It is over when its client has ended it and all requests are
    answered.

    `ident` identifies the connection within its server. `waiting` are the waiting calls, by number. `last` is the last
    call that was answered, and its result, if the result could be taken back: a client whose line was cut says that it
    has not come. `_outgoing` is the data that the client has not read yet, with the call
    that it answers: if an answer is never sent whole, its result is taken back.
    """

    def __init__(self, registry: ObjectRegistry, loop: Loop, connection: Connection, session: Session) -> None:
        self.registry = registry
        self.loop = loop
        self.session = session
        self.ident = next(_idents)
        self.last: tuple[Call, Any] | None = None
        self.waiting: dict[int, Call] = {}
        self._connection = connection
        self.descriptor = connection.fileno()
        self._incoming = bytearray()
        # a message that is too large for `_incoming`, and how much of it has come
        self._large: memoryview | None = None
        self._filled = 0
        self._outgoing: deque[tuple[memoryview, Call | None, Any]] = deque()
        self._ended = False
        self.closed = False
        os.set_blocking(self.descriptor, False)
        loop.watch(self.descriptor, select.EPOLLIN, self._handle)
        session.channels.add(self)

    # --- what comes in

    def _handle(self, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                self._flush()
            if events & ~select.EPOLLOUT and not self._ended:
                self._read(gone=bool(events & (select.EPOLLHUP | select.EPOLLERR)))
        except FAULTS:  # a client with the authkey that does not follow the protocol
            report()
            self.close()

    def _read(self, gone: bool) -> None:
        try:
            if self._large is not None:
                came = os.readv(self.descriptor, [self._large[self._filled :]])
            else:
                chunk = os.read(self.descriptor, CHUNK)
                came = len(chunk)
        except BlockingIOError:
            return
        except OSError:
            came = 0
        if not came:
            if gone:
                self.close()
            else:
                self._end()
            return
        if self._large is not None:
            self._filled += came
            if self._filled == len(self._large):
                large, self._large = self._large, None
                if self._is_left(number_of(large)):
                    self._drop(large)
                else:
                    self._serve(large)
            return
        incoming = self._incoming
        if not incoming and len(chunk) > 4 and int.from_bytes(chunk[:4], "big") == len(chunk) - 4:
            self._serve(chunk[4:])  # nearly always: one whole message
            return
        incoming += chunk
        messages: list[bytes] = []
        nonsense = False
        try:
            self._take_messages(messages)
            while came == CHUNK and self._large is None and len(messages) < MOST_AT_ONCE:
                with suppress(OSError):
                    came = 0
                    chunk = os.read(self.descriptor, CHUNK)
                    came = len(chunk)
                    incoming += chunk
                self._take_messages(messages)
        except _Nonsense:
            nonsense = True
        left = _left_in(messages) if len(messages) > 1 else ()
        for message in messages:
            if self.closed:
                return
            number = number_of(message)
            if number in left:
                self._drop(message)
            else:
                self._serve(message)
        if nonsense:
            self.close()

    def _take_messages(self, messages: list[bytes]) -> None:
        while (whole := self._next()) is not None:
            messages.append(whole)

    def _is_left(self, number: int) -> bool:
        """Whether the cancellation of that large request has come already."""
        if not number:  # a request without an answer cannot be cancelled
            return False
        with suppress(OSError), socket_of(self.descriptor) as end:
            head = end.recv(LONGEST_CANCEL, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            begin, stop = bounds(bytearray(head))
            return begin < stop <= len(head) and _cancelled_by(head[begin:stop]) == number
        return False

    def _drop(self, message: bytes | memoryview) -> None:
        """Skip a request that was cancelled before it began; `cancel` will be answered instead."""
        with suppress(*FAULTS):
            self.registry.release(self.session, check_envelope(content_of(message))[4])

    def _next(self) -> bytes | None:
        """The next message, if it has come whole. The rest of a large one is read directly into its own memory."""
        incoming = self._incoming
        begin, end = bounds(incoming)
        if end < begin:
            raise _Nonsense
        if 0 < end <= len(incoming):
            with memoryview(incoming) as view:
                message = bytes(view[begin:end])
            del incoming[:end]
            return message
        if end - begin > CHUNK:
            try:
                self._large = np.empty(end - begin, np.uint8).data
            except (MemoryError, ValueError):
                raise _Nonsense from None
            self._filled = len(incoming) - begin
            self._large[: self._filled] = incoming[begin:]
            incoming.clear()
        return None

    def _serve(self, message: bytes | memoryview) -> None:
        registry = self.registry
        number = number_of(message)
        try:
            if number in self.waiting:
                raise ValueError(f"request {number} of this connection waits for its answer yet")
            ident, method, args, thread, released = check_envelope(content_of(message))
            if released:
                registry.release(self.session, released)
            if ident == 0 and method == "cancel":
                self._cancel(args)
                return
            state: Any = registry.find(self.session, ident) if ident else registry
            if method == "undo":
                self._undo(state, args, thread)
                state, method, args = registry, "undone", ()
            check(state.kind, method, args)
            if not number and (state is not registry or method not in UNANSWERED):
                raise ValueError(f"{method} is answered, and needs a number")
        except FAULTS as error:  # usually a class that does not exist here, or a request that the server does not know
            if bytes(message[-len(LEFT) :]) == LEFT:
                self.send(join(number, (CANCELLED, None)))
                return
            self.answer(Call(self, number, registry, "", (), 0), ERROR, failed(error))
            return
        Call(self, number, state, method, args, thread).begin()

    def _cancel(self, args: tuple[Any, ...]) -> None:
        if len(args) != 1 or type(args[0]) is not int or not 0 < args[0] < NUMBERS:
            raise TypeError("a request is cancelled by its number")
        call = self.waiting.get(args[0])
        if call is not None:
            call.cancel()
        else:  # the request was answered meanwhile; the client waits for this confirmation
            self.send(join(args[0], (CANCELLED, None)))

    def _undo(self, state: Any, args: tuple[Any, ...], thread: int) -> None:
        """Take back a result: the client sends it, with the method and the arguments of its request."""
        if len(args) != 3 or type(args[0]) is not str:
            raise TypeError("what is taken back is a method, its arguments and its result")
        if check_result(state.kind, *args):
            Call(self, 0, state, args[0], args[1], thread).undo(args[2])
            state.settle()

    # --- what goes out

    def answer(self, call: Call, kind: int, payload: Any) -> None:
        """Send the answer of `call`, or take the result back if the answer cannot be sent."""
        if call.number:
            self.last = (call, payload) if kind == RESULT and call.method in call.state.undoable else None
            try:
                message = join(call.number, (kind, payload))
            except FAULTS as error:
                if kind == RESULT:
                    self._undo_now(call, payload)
                kind, message = ERROR, join(call.number, (ERROR, failed(error)))
            self.send(message, call if kind == RESULT else None, payload)
        if self._ended:
            self._close_if_done()

    def send(self, message: Message, call: Call | None = None, result: Any = None) -> None:
        """Send `message`, which answers `call` with `result`, at once or as soon as the client reads.

        Data beside its pickle must not change afterwards.
        """
        if self.closed:
            if call is not None:
                self._undo_now(call, result)
            return
        parts: list[bytes | memoryview] = message if isinstance(message, list) else [message]
        if not self._outgoing:
            try:
                parts = rest_of(parts, os.writev(self.descriptor, parts))
            except BlockingIOError:
                pass
            except OSError:
                if call is not None:
                    self._undo_now(call, result)
                self.loop.soon(self.close)
                return
            if not parts:
                return
        idle = not self._outgoing
        self._outgoing.extend((memoryview(part), None, None) for part in parts[:-1])
        self._outgoing.append((memoryview(parts[-1]), call, result))
        if idle:
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

    def _undo_now(self, call: Call, result: Any) -> None:
        """Take back a result that was not sent whole."""
        if self.last is not None and self.last[0] is call:
            self.last = None
        call.undo(result)

    # --- the end

    def _end(self) -> None:
        """Handle the end of the client's messages. The client may still read: a wait that it has left is answered
        before the end.

        If the client has died, `close` ends its waits instead, because their answers would not be read.
        """
        self._ended = True
        self.loop.forget(self.descriptor)
        if self is self.session.life:
            self.registry.end(self.session)
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
        """Close the connection. End the client's waits here, and take back results that were not sent to it."""
        if self.closed:
            return
        self.closed = self._ended = True
        self.loop.forget(self.descriptor)
        self.session.channels.discard(self)
        for waiting in list(self.waiting.values()):
            waiting.cancel()
        for _, call, result in self._outgoing:
            if call is not None:
                self._undo_now(call, result)
                call.state.settle()
        self._outgoing.clear()
        self.session.keep_last(self)
        with suppress(OSError):
            self._connection.close()
        if self is self.session.life:
            self.registry.end(self.session)
