"""Life of a named segment: create, attach, hand over, leave, sweep.

A segment is one POSIX shared memory object, `sk_<name>`, as `multiprocessing.shared_memory` makes them and can
open them, but born in one step and never known to the resource tracker (docs/decisions/0001). This module keeps
what a process has attached, so that all its handles share one mapping, one descriptor and one seat; the promises
about deaths are kept by the kernel headers (ext/include/sk_segment.h).
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import multiprocessing
import multiprocessing.context
import multiprocessing.util
import operator
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import reduction
from typing import Any, NamedTuple

from sharedkit import _segment, errors
from sharedkit._segment import Segment

__all__ = ["Kind", "SegmentInfo", "attach", "live", "remove", "shared_memory_name", "sweep"]

PREFIX = "sk_"
DEFAULT_SEATS = 192  # with the header they fill most of one page
SWEEP_AT_CREATION = 128  # orphan candidates looked at, so that a creation stays cheap beside thousands of segments
_NAME_BYTES = 200


class Kind(NamedTuple):
    """One kind of structure: its number in the header, its name, and how to open and describe it."""

    number: int
    name: str
    open: Callable[[Segment], Any]
    state: Callable[[Segment], str]


@dataclass(frozen=True)
class SegmentInfo:
    """A live segment as `sharedkit ls` shows it. `size`: bytes of memory held; `created`: seconds since 1970."""

    name: str
    kind: str
    size: int
    persist: bool
    attached: tuple[int, ...]
    state: str
    created: float


_kinds: dict[int, Kind] = {}
_gate = threading.RLock()
_named: weakref.WeakValueDictionary[str, Segment] = weakref.WeakValueDictionary()
_held: weakref.WeakSet[Segment] = weakref.WeakSet()
_watched: weakref.WeakSet[Segment] = weakref.WeakSet()
_in_transit: list[tuple[Callable[[], Any], int, str]] = []
_sweep_from = 0


def register_kind(kind: Kind) -> None:
    """Make a structure known to `attach` and `live`."""
    _kinds[kind.number] = kind


def shared_memory_name(name: str) -> str:
    """The name under which `multiprocessing.shared_memory.SharedMemory` opens the segment."""
    return PREFIX + name


def _path_of(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not name or "/" in name or "\0" in name or len(os.fsencode(name)) > _NAME_BYTES:
        raise ValueError(f"name must be 1 to {_NAME_BYTES} bytes without '/' and NUL: {name!r}")
    return os.path.join(_segment.FOLDER, PREFIX + name)


def _keep(segment: Segment) -> Segment:
    _named[segment.name] = segment
    _held.add(segment)
    return segment


def flags_of(persist: bool) -> int:
    """The header's flags."""
    return _segment.PERSIST if persist else 0


def checked_seats(seats: int) -> int:
    """`seats`, if a segment can have so many. TypeError, ValueError."""
    if not 1 <= operator.index(seats) <= _segment.MAX_SEATS:
        raise ValueError(f"seats must be 1 to {_segment.MAX_SEATS}: {seats}")
    return seats


# --- create and attach --------------------------------------------------------------------------------


def create(
    make: Callable[[str, str], Segment],
    kind: int,
    equal: Callable[[Segment], bool],
    *,
    name: str | None,
    exist_ok: bool,
) -> Segment:
    """The new segment that `make(path, name)` makes; with `exist_ok`, the one that is there if `equal(segment)`.

    FileExistsError when the name is taken, ValueError when what is there differs, OutOfSharedMemory.
    """
    _close_arrived()
    _sweep_some()
    anonymous = name is None
    while True:
        name = secrets.token_hex(6) if anonymous or name is None else name
        path = _path_of(name)
        with _gate:
            try:
                return _keep(make(path, name))
            except FileExistsError:
                if anonymous or _sweep_one(path):  # an orphan has no claim on its name
                    continue
                if not exist_ok:
                    raise FileExistsError(
                        errno.EEXIST, f"segment {name!r} exists: exist_ok=True or sharedkit.attach() open it", path
                    ) from None
            with contextlib.suppress(FileNotFoundError):
                segment = attach_segment(name)
                if segment.kind != kind or not equal(segment):
                    was = _kinds[segment.kind].name if segment.kind in _kinds else f"kind {segment.kind}"
                    raise ValueError(f"segment {name!r} is there, but is a different {was}: {path}")
                return segment


def attach_segment(name: str) -> Segment:
    """The segment `name`, attached once a process. FileNotFoundError, CorruptSegmentError, SeatsExhausted."""
    path = _path_of(name)
    with _gate:
        segment = _named.get(name)
        if segment is not None and segment.is_at(path):
            return segment
        try:
            return _keep(Segment.attach(path, name))
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, f"no segment named {name!r}", path) from None
        except errors.CorruptSegmentError as why:
            raise errors.CorruptSegmentError(f"{path}: {why}") from None


def attach(name: str) -> Any:
    """A handle to the structure named `name`, whatever it is.

    FileNotFoundError when there is none (any more), CorruptSegmentError when it is not a sound segment of ours.
    """
    _close_arrived()
    return _open(attach_segment(name))


def _open(segment: Segment) -> Any:
    kind = _kinds.get(segment.kind)
    if kind is None:
        raise errors.CorruptSegmentError(f"segment {segment.name!r} is of unknown kind {segment.kind}")
    return kind.open(segment)


# --- handles ------------------------------------------------------------------------------------------


def unlink(segment: Segment) -> None:
    """Remove the segment's name, if it still leads to it."""
    path = _path_of(segment.name)
    if segment.is_at(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def travel(segment: Segment) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """How a handle is pickled: what opens the segment on arrival."""
    return _arrive, (segment.name, segment.identity, _send(segment))


def _send(segment: Segment) -> Any:
    """What keeps the segment alive on the way: a descriptor to a child that is being started, else nothing."""
    _close_arrived()
    popen = multiprocessing.context.get_spawning_popen()
    if popen is None:
        return None
    fd = segment.transit(secrets.randbits(64))
    with _gate:
        _in_transit.append((weakref.ref(popen), fd, _path_of(segment.name)))
    if segment not in _watched:
        _watched.add(segment)
        weakref.finalize(segment, _close_arrived).atexit = False  # `start()` is over when its arguments are let go
    return reduction.DupFd(fd)


def _arrive(name: str, identity: tuple[int, int], keeper: Any) -> Any:
    fd = keeper.detach() if keeper is not None else None
    try:
        segment = attach_segment(name)
    except FileNotFoundError:
        segment = None
    finally:
        if fd is not None:
            os.close(fd)
    if segment is None or segment.identity != identity:
        raise errors.GoneError(
            errno.ENOENT,
            f"segment {name!r} ended while its handle was on the way: a pickled handle keeps nothing alive, so keep "
            "one open until it arrives, or create it with persist=True",
        )
    return _open(segment)


def _close_arrived() -> None:
    """Close our copies of descriptors whose child has been started (it has its own by then)."""
    if not _in_transit:
        return
    with _gate:
        for entry in list(_in_transit):
            popen = entry[0]()
            if popen is None or getattr(popen, "pid", None) is not None:
                _in_transit.remove(entry)
                os.close(entry[1])
                _sweep_one(entry[2])  # the child may be gone, and ours the last thing that kept the segment


# --- listing, removing, sweeping --------------------------------------------------------------------------


def _names() -> list[str]:
    with os.scandir(_segment.FOLDER) as entries:
        return sorted(entry.name[len(PREFIX) :] for entry in entries if entry.name.startswith(PREFIX))


def live() -> list[SegmentInfo]:
    """Every segment that has a name now; looking takes no seat and changes nothing."""
    return list(_look_around())


def _look_around() -> Iterator[SegmentInfo]:
    for name in _names():
        path = _path_of(name)
        try:
            segment = Segment.attach(path, name, sit=False)
        except FileNotFoundError:
            continue
        except (errors.CorruptSegmentError, OSError) as why:
            yield SegmentInfo(name, "?", _size_of(path), False, (), str(why), 0.0)
            continue
        kind = _kinds.get(segment.kind)
        try:
            state = "unknown kind" if kind is None else kind.state(segment)
        except Exception as why:  # one damaged segment must not hide the others
            state = str(why)
        attached = segment.attached()
        if not attached:
            state = f"{state}, unused" if segment.persist else "orphan"
        label = f"kind {segment.kind}" if kind is None else kind.name
        yield SegmentInfo(name, label, segment.memory, segment.persist, attached, state, segment.created)


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_blocks * 512
    except OSError:
        return 0


def remove(name: str, force: bool = False) -> None:
    """Remove a segment's name. FileNotFoundError; SegmentInUse when processes are attached, unless forced."""
    path = _path_of(name)
    if not force:
        try:
            attached = Segment.attach(path, name, sit=False).attached()
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, f"no segment named {name!r}", path) from None
        if attached:
            raise errors.SegmentInUse(errno.EBUSY, f"segment {name!r} is attached by pid {attached}", path)
    os.unlink(path)


def sweep() -> list[str]:
    """Remove every orphan: segments whose processes all died. Answers their names."""
    return [name for name in _names() if _sweep_one(_path_of(name))]


def _sweep_one(path: str) -> bool:
    try:
        return _segment.sweep(path)
    except OSError:  # gone meanwhile, or another user's: not ours to remove
        return False


def _sweep_some() -> None:
    """The bounded sweep at every creation; goes round, so that live segments cannot shield orphans."""
    global _sweep_from
    names = [name for name in _names() if name not in _named]
    if not names:
        return
    start = _sweep_from % len(names)
    _sweep_from = start + SWEEP_AT_CREATION
    for name in (names[start:] + names[:start])[:SWEEP_AT_CREATION]:
        _sweep_one(_path_of(name))


# --- fork and exit ----------------------------------------------------------------------------------------


def _after_fork_in_child() -> None:
    try:
        for _, fd, _ in _in_transit:
            with contextlib.suppress(OSError):
                os.close(fd)
        _in_transit.clear()
        for segment in list(_held):
            segment.after_fork()
    finally:
        _gate.release()


def _leave_all() -> None:
    """For the children of multiprocessing, which end by os._exit; all others leave after the interpreter's end."""
    for segment in list(_held):
        segment.leave()


def _leave_all_at_exit_of_a_child(_: object) -> None:
    # Their finalizers are cleared when they start, so this is registered anew in each.
    multiprocessing.util.Finalize(None, _leave_all, exitpriority=-100)


os.register_at_fork(before=_gate.acquire, after_in_parent=_gate.release, after_in_child=_after_fork_in_child)
multiprocessing.util.register_after_fork(_gate, _leave_all_at_exit_of_a_child)
if multiprocessing.parent_process() is not None:  # first imported by such a child's own code
    _leave_all_at_exit_of_a_child(None)
atexit.register(_close_arrived)
