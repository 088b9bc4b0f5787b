"""What the parts of a session need of the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sharedkit.errors import LeaseLostError
from sharedkit.redis.operation import Operation
from sharedkit.redis.url import Place

__all__ = ["Asker"]


class Asker(Protocol):
    """A session, as `session.py` has it."""

    sid: bytes
    lease: float
    over: Any
    moves: Any
    home: Any
    nodes: dict[Place, Any]
    waits: dict[int, Any]
    opened: dict[bytes, Any]
    connections: Any

    def node_of(self, base: bytes) -> Any: ...

    def connect(self, node: Any) -> Any: ...

    def new_lane(self) -> int: ...

    def bytes_of(self, of: Operation, method_and_args: tuple[bytes, ...]) -> bytes: ...

    def unsaid(self, made: Operation, refused: bool = False) -> None: ...

    def reason(self) -> BaseException: ...

    def lose(self, what: str) -> LeaseLostError: ...

    def restarted(self, address: Any, other: Any) -> LeaseLostError: ...

    def later(self, job: Callable[[], object]) -> None: ...

    def reassure(self) -> None: ...
