"""A stream for the threads of this process."""

from __future__ import annotations

from typing import Any

from sharedkit._core.segment import with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm._stream import KIND_STREAM
from sharedkit.thread import _stream, registry

__all__ = ["Stream"]


@registry.opens(KIND_STREAM)
@with_own_methods
class Stream(_stream.Stream[Any]):
    """Stream(shape=None, dtype=None, *, slots=8, slot_bytes=None, overflow="overwrite", max_readers=64, name=None,
    exist_ok=False, persist=False, seats=192)

    One to many, for threads: each message goes to every reader. With a `shape`, messages are NumPy arrays, which are
    copied when they are put and when they are read, but not by `with reader.read()`. Without one, they are any objects,
    and readers get the very objects that were put. Everything else is as in shared memory; `slot_bytes` has no meaning
    here. A forked child has a copy of the stream.

    Raises TypeError, ValueError, FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing
    structure differs.
    """

    __slots__ = ()

    def __init__(
        self,
        shape: Any = None,
        dtype: Any = None,
        *,
        slots: int = 8,
        slot_bytes: int | None = None,
        overflow: Any = "overwrite",
        max_readers: int = 64,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        plan = _stream.blueprint(shape, dtype, slots, slot_bytes, overflow, max_readers)
        self._open(registry.create(plan, name, exist_ok, persist, seats))
