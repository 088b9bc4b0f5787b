"""One request of a thread, from its first byte until its caller has what it brought."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, final

from sharedkit.manager._stream import Stream
from sharedkit.manager.session import Link

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

@final
class Request:
    """What is asked of a server once, and how far that has come."""

    note: Any
    in_order: bool
    @property
    def link(self) -> Link: ...
    @property
    def stream(self) -> Stream: ...
    @property
    def content(self) -> tuple[int, str, tuple[Any, ...], int]: ...
    @property
    def number(self) -> int: ...
    @property
    def answer(self) -> bytes | memoryview | None: ...
    @property
    def over(self) -> bool: ...
    def ask(
        self, link: Link, ident: int, method: str, args: tuple[Any, ...], patience: float | None, thread: int
    ) -> Any: ...

def call(link: Link, ident: int, method: str, args: tuple[Any, ...], patience: float | None, thread: int) -> Any: ...
def taking(function: Callable[Concatenate[S, Request, P], T]) -> Callable[Concatenate[S, P], T]: ...
def giving(function: Callable[Concatenate[S, Request, P], T]) -> Callable[Concatenate[S, P], T]: ...
def dressed(method: Callable[..., T], function: Callable[..., Any]) -> Callable[..., T]: ...
