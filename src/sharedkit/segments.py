"""The life of a named segment: create, attach, hand over, detach, remove.

A segment is one POSIX shared memory object, `sk_<name>`, of the kind that `multiprocessing.shared_memory` makes and can
open. It is created in one step and is never known to the resource tracker (docs/decisions/0001). This module keeps the
segments that the process has attached, so that all handles share one mapping and one seat, and no descriptor stays
open. ext/include/core/sk_segment.h ensures what is promised if a process dies.

The folder is /dev/shm, or the value of SHAREDKIT_DIR when sharedkit is imported; a handle carries its own folder.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import grp
import multiprocessing
import multiprocessing.context
import multiprocessing.util
import operator
import os
import resource
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import reduction
from typing import Any, NamedTuple

from sharedkit import errors
from sharedkit._core import segment as core
from sharedkit._core.differences import is_another, unlike, with_another
from sharedkit._core.distrust import Distrust, distrust
from sharedkit._core.segment import OWN_GROUP, Place, Segment

__all__ = ["Kind", "SegmentInfo", "attach", "live", "remove", "shared_memory_name", "sweep"]

PREFIX = core.PREFIX
DEFAULT_SEATS = 192  # together with the header, the seats fill most of one page
_IN_TRANSIT_MOST = 200  # limit of descriptors for one child
_SPARE = 32  # descriptors that are left free for the code that starts the child
SWEEP_EVERY = 1.0  # seconds; creating or attaching a segment searches the folder for orphans at most once in this time
_NAME_BYTES = 200
_FOLDER_BYTES = 300  # limit, chosen so that the folder and the longest name together are shorter than SK_PATH


class Kind(NamedTuple):
    """One kind of structure: its number in the header, its name, and how to open and describe it.

    `contents` is the index of the header param that says where the contents begin; WHOLE if there is none: then a copy
    includes everything.
    """

    number: int
    name: str
    open: Callable[[Segment], Any]
    state: Callable[[Segment], str]
    contents: int = core.WHOLE


class Blueprint(NamedTuple):
    """The description of a structure before it is created, in any memory.

    `make(place, name, seats, flags)` makes its segment. `differs(segment)` gets a segment of the same name and kind; it
    returns None if the segment is equal, otherwise the difference in words.
    """

    kind: int
    make: Callable[[Any, str | None, int, int], Segment]
    differs: Callable[[Segment], str | None]


class _Transit(NamedTuple):
    """A descriptor that keeps a segment for a child that is being started."""

    popen: Callable[[], Any]
    fd: int
    file: tuple[int, int]
    path: str

    def is_needed(self) -> bool:
        """Whether the child still needs the descriptor, which it does until `start()` is over."""
        popen = self.popen()
        return popen is not None and getattr(popen, "pid", None) is None

    def close(self) -> None:
        """Close the descriptor, unless the program has closed it and its number belongs to another file."""
        if core.leads_to(self.fd, self.file):
            os.close(self.fd)


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
_contents = bytearray([core.WHOLE]) * core.KINDS
_lock = threading.RLock()
_named: weakref.WeakValueDictionary[str, Segment] = weakref.WeakValueDictionary()
_watched: weakref.WeakSet[Segment] = weakref.WeakSet()
_in_transit: list[_Transit] = []
_next_sweep = 0.0


def register_kind(kind: Kind) -> None:
    """Register a structure for `attach` and `live`."""
    _kinds[kind.number] = kind
    _contents[kind.number] = kind.contents


def shared_memory_name(name: str) -> str:
    """The name under which `multiprocessing.shared_memory.SharedMemory` opens the segment."""
    return PREFIX + name


def checked_name(name: object) -> str:
    """`name` as a plain str, even if it is a StrEnum; TypeError or ValueError if no structure can have this name."""
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str, not {type(name).__name__}")
    name = str.__str__(name)
    if not name or "/" in name or "\0" in name or len(os.fsencode(name)) > _NAME_BYTES:
        raise ValueError(f"a name must be 1 to {_NAME_BYTES} bytes without '/' and NUL: {name!r}")
    return name


def _path_of(name: str, folder: str | None = None) -> str:
    folder = folder or core.FOLDER
    if len(os.fsencode(folder)) > _FOLDER_BYTES:
        raise OSError(
            errno.ENAMETOOLONG, f"the folder for segments has a name of more than {_FOLDER_BYTES} bytes", folder
        )
    return os.path.join(folder, PREFIX + checked_name(name))


def _keep(segment: Segment) -> Segment:
    with _lock:
        other = _named.get(segment.path)
        # another thread may have attached the segment as soon as the file had its name
        if other is not None and other.file == segment.file:
            return other
        _named[segment.path] = segment
        return segment


def flags_of(persist: bool) -> int:
    """The flags in the header of a segment."""
    return core.PERSIST if persist else 0


def checked_seats(seats: int) -> int:
    """`seats`, if a segment can have that many. Raises TypeError, ValueError."""
    seats = operator.index(seats)
    if not 1 <= seats <= core.MAX_SEATS:
        raise ValueError(f"seats must be 1 to {core.MAX_SEATS}: {seats}")
    return seats


# --- create and attach --------------------------------------------------------------------------------


def admission(mode: int | None, group: int | str | None) -> tuple[int, int]:
    """The permissions and the group of a segment's file. Raises TypeError, ValueError, LookupError."""
    if mode is None:
        mode = 0o600 if group is None else 0o660
    mode = operator.index(mode)
    if mode & ~0o664 or mode & 0o600 != 0o600:
        raise ValueError(
            "mode must let the owner read and write (0o600), and may add reading and writing for the group (0o060) and "
            f"reading for others (0o004): {mode:#o}"
        )
    if group is None:
        return mode, OWN_GROUP
    if not isinstance(group, str):
        return mode, operator.index(group)
    try:
        return mode, grp.getgrnam(group).gr_gid
    except KeyError:
        raise LookupError(f"no group is named {group!r}") from None


def create(
    blueprint: Blueprint,
    name: str | None,
    exist_ok: bool,
    persist: bool,
    seats: int,
    mode: int | None,
    group: int | str | None,
) -> Segment:
    """The new segment of the blueprint; with `exist_ok`, the existing one if it is equal.

    Raises FileExistsError if the name is taken and not `exist_ok`, ValueError if the existing segment differs,
    OutOfSharedMemory.
    """
    seats, flags = checked_seats(seats), flags_of(persist)
    _close_arrived()
    permissions, gid = admission(mode, group)
    chosen = None if name is None else checked_name(name)
    sweep_now_and_then()
    anonymous = chosen is None
    while True:
        name = os.urandom(6).hex() if chosen is None else chosen
        path = _path_of(name)
        try:
            # `_lock` is not held, because this may take seconds.
            return _keep(blueprint.make(Place(path, permissions, gid), name, seats, flags))
        except errors.OutOfSharedMemory:
            if not _sweep_if_possible():  # dead processes may hold the memory, and the search above may be a second old
                raise
            continue
        except FileExistsError:
            # An orphan does not keep its name; another process may have removed it meanwhile.
            if anonymous or core.sweep([path]) or not os.path.lexists(path):
                continue
            _refuse_orphan_of_another(path, name)
            if not exist_ok:
                raise FileExistsError(
                    errno.EEXIST, f"segment {name!r} exists: exist_ok=True or sharedkit.attach() open it", path
                ) from None
        with contextlib.suppress(FileNotFoundError):
            segment = attach_segment(name, trust="group" if permissions & 0o020 else None)
            check_same(segment, f"segment {name!r}", blueprint, bool(persist), seats)
            return segment


def _refuse_orphan_of_another(path: str, name: str) -> None:
    """Raise FileExistsError if the segment is an orphan of another user: this user can neither attach nor remove
    it."""
    try:
        owner = os.lstat(path).st_uid
        if owner == os.geteuid():
            return
        segment = Segment.attach(path, name, "group", present=False)
        if segment.persist or segment.in_use:
            return
    except (errors.CorruptSegmentError, OSError):  # it is gone, or this user may not read it
        return
    raise FileExistsError(
        errno.EEXIST,
        f"segment {name!r} was left by a program that has ended; only its user (uid {owner}) or root can remove it",
        path,
    )


def _name_of(kind: int) -> str:
    return _kinds[kind].name if kind in _kinds else f"structure of kind {kind}"


def check_same(
    there: Segment,
    called: str,
    blueprint: Blueprint,
    persist: bool,
    seats: int,
    name_of: Callable[[int], str] = _name_of,
) -> None:
    """Raise a ValueError that says how `there` differs from the requested segment, if it does."""
    was, wanted = name_of(there.kind), name_of(blueprint.kind)
    if was != wanted:
        raise is_another(called, was, wanted)
    difference = (
        blueprint.differs(there) or unlike("seats", there.seats, seats) or unlike("persist", there.persist, persist)
    )
    if difference is not None:
        raise with_another(called, was, difference)


def attach_segment(name: str, *, folder: str | None = None, trust: str | None = None) -> Segment:
    """The segment `name`; a process attaches it only once.

    Raises FileNotFoundError, UntrustedSegmentError, LayoutError, CorruptSegmentError, OutOfSharedMemory, OSError.
    """
    if trust not in (None, "group"):
        raise ValueError(f"trust must be None or 'group': {trust!r}")
    name = checked_name(name)
    path = _path_of(name, folder)
    sweep_now_and_then()
    with _lock:
        segment = _named.get(path)
        if segment is not None and segment.named:
            return segment
        try:
            return _keep(Segment.attach(path, name, trust))
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, f"no segment named {name!r}", path) from None
        except errors.LayoutError:
            raise
        except errors.CorruptSegmentError as why:
            raise errors.CorruptSegmentError(f"{path}: {why}") from None


def attach(name: str, *, trust: str | None = None) -> Any:
    """Return a handle to the structure named `name`, of whatever kind.

    `trust=None` accepts segments to which only this user or root may write; `trust="group"` also accepts segments to
    which a group of this process may write (see `mode=` and `group=` of the structures). A process that may write to a
    segment can run code in every process that attaches it, by way of pickle.

    Raises FileNotFoundError if there is no such segment (any more), UntrustedSegmentError if others may write to it,
    LayoutError if another release made it, CorruptSegmentError if it is damaged or not a segment.
    """
    _close_arrived()
    return open_as_kind(attach_segment(name, trust=trust))


def open_as_kind(segment: Segment) -> Any:
    """Return a handle of the class that is registered for the segment's kind. Raises CorruptSegmentError."""
    kind = _kinds.get(segment.kind)
    if kind is None:
        raise errors.CorruptSegmentError(f"segment {segment.name!r} is of unknown kind {segment.kind}")
    return kind.open(segment)


# --- handles ------------------------------------------------------------------------------------------


def travel(segment: Segment) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The pickled form of a handle: the function that opens the segment when it is unpickled, and its arguments."""
    folder = os.path.dirname(segment.path)
    return _arrive, (segment.name, segment.identity, _send(segment), folder, segment.trust)


core.set_travel(travel)


def _send(segment: Segment) -> Any:
    """The object that keeps the segment alive in transit: a descriptor if a child is being started, else None.

    Also None if few descriptors are left, or if this child gets 200 already (`forkserver` accepts 256 at most). Then
    the handle is like any other pickled handle: it can be opened while this process keeps a handle open.
    """
    _close_arrived()
    popen = multiprocessing.context.get_spawning_popen()
    if popen is None:
        return None
    with _lock:
        if sum(entry.popen() is popen for entry in _in_transit[-_IN_TRANSIT_MOST:]) == _IN_TRANSIT_MOST:
            return None
        try:
            fd = segment.transit()
        except OSError as why:
            if why.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            return None
        if fd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE:
            os.close(fd)
            return None
        _in_transit.append(_Transit(weakref.ref(popen), fd, segment.file, segment.path))
    if segment not in _watched:
        _watched.add(segment)
        # `start()` drops its arguments at its end; if the last handle was among them, the copies are closed then
        weakref.finalize(segment, _close_arrived).atexit = False
    return reduction.DupFd(fd)


def _arrive(name: str, identity: tuple[int, int], keeper: Any, folder: str, trust: str | None) -> Any:
    fd = keeper.detach() if keeper is not None else None
    try:
        segment = attach_segment(name, folder=folder, trust=trust)
    except FileNotFoundError:
        segment = None
    finally:
        if fd is not None:
            os.close(fd)
    if segment is None or segment.identity != identity:
        raise errors.GoneError(
            errno.ENOENT,
            f"segment {name!r} ended while its handle was on the way: a pickled handle keeps nothing alive, so keep "
            "another handle open until it has arrived, or create the structure with persist=True",
        )
    return open_as_kind(segment)


def _close_arrived() -> None:
    """Close this process's copies of the descriptors for children that have been started: each such child has its own
    copy."""
    if not _in_transit:
        return
    with _lock:
        on_the_way = [entry for entry in _in_transit if entry.is_needed()]
        started = [entry for entry in _in_transit if entry not in on_the_way]
        _in_transit[:] = on_the_way
        _close(started)


def _close_all_in_transit() -> None:
    """Close all copies, including those for children that could not be started."""
    with _lock:
        _close(list(_in_transit))
        _in_transit.clear()


def _close(transits: list[_Transit]) -> None:
    for transit in transits:
        transit.close()
        core.sweep([transit.path])  # if the child has ended, this descriptor may have been the last user


# --- listing, removing, sweeping --------------------------------------------------------------------------


def _file_names() -> list[str]:
    """The names of the segments' files, including the hidden files of unlinked segments in use."""
    return [name for name in os.listdir(core.FOLDER) if name.startswith((PREFIX, core.HIDDEN))]


def live() -> list[SegmentInfo]:
    """Every segment that has a name now. Listing reads private copies, takes no seat, and removes only orphans."""
    sweep()
    return list(look_around())


def names() -> list[str]:
    """The names of the segments in the folder, sorted; looking for them removes nothing. Raises OSError."""
    return sorted(name.removeprefix(PREFIX) for name in os.listdir(core.FOLDER) if name.startswith(PREFIX))


def kind_of(segment: Segment) -> Kind | None:
    """The kind of the segment's structure; None if this release knows no such kind."""
    return _kinds.get(segment.kind)


def copy_segment(name: str) -> Segment:
    """A private copy of the segment `name` without its contents: nothing that is done with it reaches the segment.

    Raises FileNotFoundError, LayoutError, CorruptSegmentError, OutOfSharedMemory, OSError; ValueError for a name that
    no structure can have, or if too much would have to be copied.
    """
    path = _path_of(name)
    try:
        return Segment.copy(path, name, bytes(_contents))
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, f"no segment named {name!r}", path) from None


def look_around() -> Iterator[SegmentInfo]:
    """Every segment that has a name now, read from a private copy. Removes nothing. OSError."""
    users = _users_of_files(core.FOLDER)
    for name in names():
        try:
            segment = copy_segment(name)
        except FileNotFoundError:
            continue
        except (errors.SharedkitError, OSError, ValueError) as why:
            yield SegmentInfo(name, "?", size_of(name) or 0, False, (), _without_path(why), 0.0)
            continue
        kind = kind_of(segment)
        try:
            state = "unknown kind" if kind is None else kind.state(segment)
        except Exception as why:  # one damaged segment must not hide the others
            state = str(why)
        attached = who_has_open(segment, users)
        if not attached and not segment.in_use:
            state = f"{state}, unused" if segment.persist else "orphan"
        label = f"kind {segment.kind}" if kind is None else kind.name
        yield SegmentInfo(name, label, segment.memory, segment.persist, attached, state, segment.created)


def _without_path(why: Exception) -> str:
    return str(why.strerror) if isinstance(why, OSError) and why.strerror else str(why)


def size_of(name: str) -> int | None:
    """How many bytes of memory the file of that name holds, whatever it contains; None if that cannot be found out."""
    try:
        return os.lstat(_path_of(name)).st_blocks * 512
    except (OSError, ValueError):  # a file in the folder may have a name that no structure can have
        return None


def distrust_of(name: str) -> Distrust | None:
    """Why `attach(name)` refuses the file of that name for its kind, mode or owner; None if it does not, or if there is
    no file."""
    try:
        return distrust(_path_of(name))
    except (OSError, ValueError):
        return None


def remove(name: str, force: bool = False) -> None:
    """Remove a segment's name. Raises FileNotFoundError; SegmentInUse if processes have it open, unless forced."""
    name = checked_name(name)
    path = _path_of(name)
    if not force:
        try:
            segment = Segment.attach(path, name, "group", present=False)
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, f"no segment named {name!r}", path) from None
        if segment.in_use:
            pids = who_has_open(segment, _users_of_files(core.FOLDER))
            who = f"pid {', '.join(map(str, pids))}" if pids else "a process"
            raise errors.SegmentInUse(errno.EBUSY, f"segment {name!r} is attached by {who}", path)
    try:
        core.unname(path)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, f"no segment named {name!r}", path) from None
    except OSError:  # a link, for example, or a file of another user, which root may remove
        os.unlink(path)


def who_has_open(segment: Segment, users: dict[tuple[int, int], set[int]]) -> tuple[int, ...]:
    """The sorted pids of the processes that have the segment open, including those that have not used it."""
    own = _named.get(segment.path)
    ours = {os.getpid()} if own is not None and own.file == segment.file else set()
    return tuple(sorted({*segment.seated(), *users.get(segment.file, ()), *ours}))


def _users_of_files(folder: str) -> dict[tuple[int, int], set[int]]:
    """The pids of other processes that have mapped files of the folder, by device and inode, as far as /proc tells."""
    users: dict[tuple[int, int], set[int]] = {}
    where = f"{folder}/".encode()
    for pid in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        try:
            with open(f"/proc/{pid}/maps", "rb") as maps:
                lines = [line for line in maps if where in line]
        except OSError:  # the process has ended, or belongs to another user
            continue
        for line in lines:
            _, _, _, device, inode, _ = line.split(maxsplit=5)
            major, minor = (int(part, 16) for part in device.split(b":"))
            users.setdefault((os.makedev(major, minor), int(inode)), set()).add(int(pid))
    return users


def sweep() -> list[str]:
    """Remove every orphan: every segment whose processes have all ended. Return their names. Releases the GIL."""
    global _next_sweep
    _next_sweep = time.monotonic() + SWEEP_EVERY
    own = {os.path.basename(path) for path in list(_named.keys())}
    files = [name for name in _file_names() if name not in own]
    swept = core.sweep([os.path.join(core.FOLDER, name) for name in files])
    return [os.path.basename(path).removeprefix(PREFIX) for path in swept]


def sweep_now_and_then() -> None:
    """Remove orphans, unless this process has done so within the last second."""
    if time.monotonic() >= _next_sweep:
        _sweep_if_possible()


def _sweep_if_possible() -> bool:
    """Remove orphans; return whether there were any. Ignores errors of the folder, which creating a segment reports."""
    with contextlib.suppress(OSError):
        return bool(sweep())
    return False


# --- fork and exit ----------------------------------------------------------------------------------------


def _after_fork_in_child() -> None:
    try:
        while _in_transit:
            _in_transit.pop().close()
        core.forget_left()
    finally:
        _lock.release()


def _leave_all() -> None:
    """Detach from all segments. Children of multiprocessing call this at their exit, because they end by os._exit.
    Other processes detach after the interpreter's end."""
    core.leave_all()
    core.sweep_left()


def _leave_all_at_exit_of_a_child(_: object) -> None:
    # multiprocessing clears a child's finalizers when it starts, so each child registers this again.
    multiprocessing.util.Finalize(None, _leave_all, exitpriority=-100)


os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_after_fork_in_child)
multiprocessing.util.register_after_fork(_lock, _leave_all_at_exit_of_a_child)
if multiprocessing.parent_process() is not None:  # a spawned child, which imports this only after its start
    _leave_all_at_exit_of_a_child(None)
atexit.register(core.sweep_left)
atexit.register(_close_all_in_transit)
