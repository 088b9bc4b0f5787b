"""One request of a thread, from its first byte until its caller has the result."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, final

from sharedkit.manager._client_connection import ClientConnection
from sharedkit.manager.client import Client

_P = ParamSpec("_P")
_S = TypeVar("_S")
_T = TypeVar("_T")

@final
class Request:
    """One request to a server, and its progress."""

    note: Any
    in_order: bool
    @property
    def client(self) -> Client: ...
    @property
    def connection(self) -> ClientConnection: ...
    @property
    def content(self) -> tuple[int, str, tuple[Any, ...], int]: ...
    @property
    def number(self) -> int: ...
    @property
    def answer(self) -> bytes | memoryview | None: ...
    @property
    def over(self) -> bool: ...
    @property
    def still(self) -> bool: ...
    @property
    def told(self) -> bool: ...
    def ask(
        self,
        client: Client,
        ident: int,
        method: str,
        args: tuple[Any, ...],
        patience: float | None,
        thread: int,
        bound: float | None = None,
    ) -> Any: ...
    def keep(self) -> None: ...

def call(
    client: Client,
    ident: int,
    method: str,
    args: tuple[Any, ...],
    patience: float | None,
    thread: int,
    bound: float | None = None,
) -> Any: ...
def taking(function: Callable[Concatenate[_S, Request, _P], _T]) -> Callable[Concatenate[_S, _P], _T]: ...
def giving(function: Callable[Concatenate[_S, Request, _P], _T]) -> Callable[Concatenate[_S, _P], _T]: ...
def dressed(method: Callable[..., _T], function: Callable[..., Any]) -> Callable[..., _T]: ...
