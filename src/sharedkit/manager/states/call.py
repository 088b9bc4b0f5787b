"""One request in the server: it is answered at once, or it waits in a *line* (a queue of calls) and continues later.

A method of a state that may wait is a generator: it yields a `Wait` that describes the wait, and `yield` returns
whether the call may go on (False: its time is over). If the client leaves or dies meanwhile, `yield` raises
`Cancelled`. So a waiting call is an object in a line, not a thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator
from time import monotonic
from types import GeneratorType
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from sharedkit.manager.loop import Loop, Timer, report
from sharedkit.manager.protocol import CANCELLED, ERROR, FAULTS, RESULT, Cancelled, failed
from sharedkit.manager.sessions import Session

__all__ = ["Call", "Line", "Wait", "Waiting"]

T = TypeVar("T")


class Line:
    """Calls that wait for the same thing, the first one in front; `ready` says whether the first may go on."""

    __slots__ = ("calls", "ready")

    def __init__(self, ready: Callable[[], bool]) -> None:
        self.ready = ready
        self.calls: OrderedDict[Call, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.calls)

    def release(self) -> None:
        """Let all calls that wait now go on."""
        for call in list(self.calls):
            if call in self.calls:
                call.go_on(True)


class Wait(NamedTuple):
    """The line of a wait, its time limit in seconds, and whether the call goes in front of all others."""

    line: Line
    timeout: float | None = None
    first: bool = False


Waiting: TypeAlias = Generator[Wait, bool, T]


class Connection(Protocol):
    """The connection from which a call came; the answer is sent over it."""

    session: Session
    loop: Loop
    waiting: dict[int, Any]
    closed: bool

    def answer(self, call: Call, kind: int, result: Any) -> None:
        """Send the answer, or keep it until the client can receive it."""


class Call:
    """A request of one thread or task of one client: `method(*args)` of `state`."""

    __slots__ = ("_line", "_running", "_timer", "args", "channel", "method", "number", "state", "thread")

    def __init__(self, channel: Connection, number: int, state: Any, method: str, args: tuple[Any, ...], thread: int):
        self.channel = channel
        self.number = number
        self.state = state
        self.method = method
        self.args = args
        self.thread = thread
        self._running: Generator[Wait, bool, Any] | None = None
        self._line: Line | None = None
        self._timer: Timer | None = None

    @property
    def session(self) -> Session:
        """The session of the client process that made the call."""
        return self.channel.session

    def begin(self) -> None:
        """Answer the call, or let it wait; then continue all calls that can go on now."""
        try:
            result = getattr(self.state, f"do_{self.method}")(self, *self.args)
        except FAULTS as error:
            self.channel.answer(self, ERROR, failed(error))
        else:
            if type(result) is GeneratorType:
                self._running = result
                self._run(result.send, None)
            else:
                self.channel.answer(self, RESULT, result)
        self.state.settle()

    def _run(self, step: Callable[[Any], Wait], value: object) -> None:
        """Run the call until it waits or is answered."""
        assert self._running is not None
        try:
            while True:
                line, timeout, first = step(value)
                if timeout is None or timeout > 0:
                    due = None if timeout is None else monotonic() + timeout
                    break
                step, value = self._running.send, False
        except StopIteration as end:
            self.channel.answer(self, RESULT, end.value)
        except Cancelled as end:
            self.channel.answer(self, CANCELLED, end.args[0] if end.args else None)
        except FAULTS as error:
            self.channel.answer(self, ERROR, failed(error))
        else:
            self._line = line
            line.calls[self] = None
            if first:
                line.calls.move_to_end(self, last=False)
            if due is not None:
                self._timer = self.channel.loop.timers.at(due, self._expire)
            self.channel.waiting[self.number] = self

    def go_on(self, came: bool) -> None:
        """Continue the call. `came`: it may go on; otherwise its time is over."""
        self._leave()
        assert self._running is not None
        self._run(self._running.send, came)

    def cancel(self) -> None:
        """End the wait: the client has left it, or is dead."""
        if self._line is not None:
            self._leave()
            assert self._running is not None
            self._run(self._running.throw, Cancelled())
            self.state.settle()

    def undo(self, result: Any) -> None:
        """Give back the result, which did not reach the client. An error in this is only printed."""
        undo = getattr(self.state, f"undo_{self.method}", None)
        if undo is not None:
            try:
                undo(self, result, *self.args)
            except FAULTS:
                report()

    def _expire(self) -> None:
        self._timer = None
        self.go_on(False)
        self.state.settle()

    def _leave(self) -> None:
        assert self._line is not None
        del self._line.calls[self]
        self._line = None
        self.channel.waiting.pop(self.number, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
