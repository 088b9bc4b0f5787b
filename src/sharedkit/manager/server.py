"""The server process: a manager of `multiprocessing` whose connections are sessions and calls.

A client process has one *session* connection, whose end is the end of that process, and one *call* connection a
thread, so that no wait holds up another. Each connection is served by a thread of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import threading
from multiprocessing.connection import Connection
from multiprocessing.managers import BaseManager
from multiprocessing.managers import Server as BaseServer
from typing import Any

from sharedkit.manager.house import House
from sharedkit.manager.states import Call, Session
from sharedkit.manager.wire import Answer, Cancelled, Request, failed

__all__ = ["Manager", "end_with"]


class Server(BaseServer):
    """Answers two requests of multiprocessing's protocol, each of which turns its connection into one of ours."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.public = ["kit_session", "kit_calls"]
        self.house = House()

    def kit_session(self, connection: Connection, pid: int, ticket: str | None) -> None:
        """Keep a session until its connection ends, and end calls that their threads leave."""
        session = Session(secrets.token_hex(8), pid, connection)
        self.house.sessions[session.ident] = session
        try:
            if ticket is not None:
                self.house.redeem(session, ticket)
            connection.send(("#RETURN", session.ident))
            while True:
                thread = connection.recv()
                for call in list(session.calls):
                    if call.thread == thread:
                        call.cancel()
        except (EOFError, OSError):
            pass
        finally:
            self.house.end(session)

    def kit_calls(self, connection: Connection, ident: str, thread: int) -> None:
        """Answer the requests of one thread, one after the other, until its connection ends."""
        session = self.house.sessions[ident]
        call = Call(session, thread)
        session.calls.add(call)
        try:
            connection.send(("#RETURN", None))
            while not session.dead:
                request: Request = connection.recv()
                if request.method != "undo":
                    call.undo = None
                call.cancelled = False
                answer = self._answer(call, request)
                try:
                    connection.send(answer)
                except OSError:
                    _take_back(call)
                    break
        except (EOFError, OSError):
            pass
        finally:
            session.calls.discard(call)

    def _answer(self, call: Call, request: Request) -> Answer:
        try:
            self.house.release(call.session, request.released)
            return Answer(self._do(call, request))
        except Cancelled:
            return Answer(cancelled=True)
        except Exception as error:
            return failed(error)

    def _do(self, call: Call, request: Request) -> Any:
        house, session = self.house, call.session
        if request.ident == 0:
            match request.method:
                case "create" | "attach" | "arrive" | "ticket" | "release":
                    return getattr(house, request.method)(session, *request.args)
                case "undo":
                    return _take_back(call)
            raise AttributeError(f"a server has no method {request.method!r}")
        state = house.find(session, request.ident)
        if request.method == "unlink":
            return house.unlink(state)
        result = getattr(state, f"do_{request.method}")(call, *request.args)
        if session.dead:
            with state.changed:
                state.forget(session)
        return result


def _take_back(call: Call) -> None:
    """Undo the last request of a client that left before it had the answer."""
    undo, call.undo = call.undo, None
    if undo is not None:
        undo()


class Manager(BaseManager):
    """`multiprocessing`'s manager with our server behind it."""

    _Server = Server

    def get_server(self) -> Server:
        """Our server, listening; multiprocessing's own method always makes its own."""
        inner: Any = self
        return Server(inner._registry, inner._address, inner._authkey, inner._serializer)


def end_with(owner: int) -> None:
    """End this process as soon as the process `owner`, its parent, has ended, however that came about."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            watched = os.pidfd_open(owner)
            if os.getppid() == owner:
                select.select([watched], [], [])
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
