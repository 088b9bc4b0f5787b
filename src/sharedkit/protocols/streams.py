"""Streams: one to many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sharedkit.protocols.handle import Handle
from sharedkit.statistics import StreamReaderState, StreamStatistics

__all__ = ["Block", "Stream", "StreamReader"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Block(AbstractContextManager[T_co], AbstractAsyncContextManager[T_co], Protocol[T_co]):
    """One `with` or `async with` block."""


class StreamReader(Handle, Protocol[T_co]):
    """A reader of a stream, with a position of its own; `stream.reader()` makes one.

    Each message goes to every reader. If several threads or tasks use one reader, each message goes to one of them. A
    reader ends when it is closed, when its last reference is dropped, and with its process; then writers no longer wait
    for it.
    """

    def get(
        self,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> T_co:
        """Return the next message, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        An array is a copy; `out`: an array of the same shape and dtype into which it is copied. Raises queue.Empty,
        ShutDown when the stream has ended and everything is read.
        """

    def get_nowait(self) -> T_co:
        """Same as get(block=False)."""

    def latest(
        self,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> T_co:
        """Return the newest message and go on behind it; what is skipped does not count as lost.

        Waits only for the first message of the stream; returns the same message again while there is no newer one.
        Raises as `get` does.
        """

    def read(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> Block[T_co]:
        """Return a block around the next message: `with reader.read() as view`. The view of an array is read-only, is
        no copy, and stays as it is; behind the block, using it raises ValueError. Entering raises as `get` does."""

    async def aget(
        self,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> T_co: ...

    async def alatest(
        self,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> T_co: ...

    def aread(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> Block[T_co]:
        """Same as `read`, for `async with`."""

    def __iter__(self) -> Iterator[T_co]:
        """Yield messages until the stream has ended and everything is read."""

    def __aiter__(self) -> AsyncIterator[T_co]:
        """Yield messages until the stream has ended and everything is read."""

    def __len__(self) -> int:
        """Return how many messages are there to read."""

    @property
    def position(self) -> int:
        """The number of the next message; the first message of the stream has number 0."""

    @property
    def lost(self) -> int:
        """How many messages were gone before this reader came to them: exact."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of each message; None if they are any objects."""

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Dtype of each message; None if they are any objects."""


class Stream(Handle, Protocol[T]):
    """One to many: each message that a writer puts goes to every reader.

    With a `shape`, messages are NumPy arrays; without one, any objects. The stream keeps the newest `slots` messages.
    `overflow="overwrite"`: writers never wait, and slow readers lose the oldest messages; `overflow="block"`: writers
    wait for the slowest living reader.
    """

    def __init__(
        self,
        shape: int | tuple[int, ...] | None = None,
        dtype: DTypeLike | None = None,
        *,
        slots: int = 8,
        slot_bytes: int | None = None,
        overflow: Literal["overwrite", "block"] = "overwrite",
        max_readers: int = 64,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    def put(self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> None:
        """Publish `item`; an array is copied. With overflow="block", wait for room up to `timeout` seconds if `block`.

        Raises queue.Full, ShutDown; TypeError and ValueError for an array of another dtype or shape.
        """

    def put_nowait(self, item: T) -> None:
        """Same as put(item, block=False)."""

    async def aput(
        self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None: ...

    def write(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> Block[NDArray[Any]]:
        """Return a block in which the next message is filled in place; its end publishes the message, an exception
        publishes nothing. Behind the block, using the view raises ValueError. TypeError if messages are no arrays. The
        end raises as `put` does."""

    def awrite(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> Block[NDArray[Any]]:
        """Same as `write`, for `async with`."""

    def reader(self, start: Literal["next", "oldest", "latest"] = "next") -> StreamReader[T]:
        """Return a new reader that begins with the next message that is put, with the oldest that the stream has, or
        with the newest. Raises RuntimeError if there are `max_readers` readers."""

    def readers(self) -> tuple[StreamReaderState, ...]:
        """Return the living readers of all processes."""

    def __len__(self) -> int:
        """Return how many messages a reader with start="oldest" would find."""

    @property
    def published(self) -> int:
        """How many messages were put so far."""

    @property
    def slots(self) -> int:
        """How many messages the stream keeps."""

    @property
    def slot_bytes(self) -> int:
        """The largest message in bytes that takes one slot; of plain objects 0."""

    @property
    def overflow(self) -> Literal["overwrite", "block"]:
        """What happens when a reader is slow."""

    @property
    def max_readers(self) -> int:
        """How many readers there can be at once."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of each message; None if they are any objects."""

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Dtype of each message; None if they are any objects."""

    @property
    def is_shutdown(self) -> bool:
        """Whether the stream was ended."""

    def shutdown(self, immediate: bool = False) -> None:
        """End the stream for all: `put` raises ShutDown, and readers when they have read what is there, or at once if
        `immediate`."""

    def close(self) -> None:
        """End the stream as `shutdown()` does, and close this handle. To leave a stream to others, drop the handle."""

    def statistics(self) -> StreamStatistics:
        """Return sizes, state and readers."""
