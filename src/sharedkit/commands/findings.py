"""What `sharedkit doctor` looks at: one function for each matter, which changes nothing and returns findings."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import resource
import shlex
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import sharedkit
from sharedkit import errors, segments
from sharedkit._core.distrust import Distrust
from sharedkit._core.segment import FOLDER, LAYOUT
from sharedkit.commands.text import say
from sharedkit.compare.machine import gil_enabled
from sharedkit.compare.numbers import quantity
from sharedkit.shm.inspection import Inspection, Trouble, inspect_all

__all__ = ["CHECKS", "Finding", "Verdict"]

Verdict = Literal["ok", "note", "problem"]

MIB = 1 << 20
SMALL_FOLDER = 64 * MIB  # what Docker gives a container
FEW_DESCRIPTORS = 64
FEW_PROCESSES = 64
FEW_MAPPINGS = 65530  # the system's default
NO_LIMIT = 1 << 60  # control groups of version 1 have a number like that for "none"
GROUPS = Path("/proc/self/cgroup")
FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}  # numbers of the system call
FUTEX_WAITV = 449
FUTEX_WAIT = 0
KINDS_THAT_HOLD = ("tmpfs", "ext4", "xfs")


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was looked at, what it `says`, and what to `do` about it where that is not "ok"."""

    what: str
    verdict: Verdict
    says: str
    do: str = ""


def ok(what: str, says: str) -> Finding:
    """All is well."""
    return Finding(what, "ok", says)


def note(what: str, says: str, do: str = "") -> Finding:
    """What somebody may want to know, or to change."""
    return Finding(what, "note", says, do)


def problem(what: str, says: str, do: str) -> Finding:
    """What keeps structures from working."""
    return Finding(what, "problem", says, do)


# --- the folder ---------------------------------------------------------------------------------------------


def _mounts() -> list[list[str]]:
    """The fields of /proc/self/mountinfo; an empty list without /proc."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [line.split(" ") for line in lines]


def _file_system(path: str) -> str:
    """The kind of file system that the path is on; "unknown" without /proc."""
    found, longest = "unknown", -1
    for fields in _mounts():
        point = fields[4].encode("utf-8", "surrogateescape").decode("unicode_escape")  # a blank is \\040 there
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= longest:
            found, longest = fields[fields.index("-") + 1], len(point)
    return found


def folder() -> Iterator[Finding]:
    """Whether segments can be made in the folder, and how much room it has."""
    if not os.path.isdir(FOLDER):
        yield problem(
            "folder", f"{FOLDER} is no folder", "mount a tmpfs there, or name another folder by SHAREDKIT_DIR"
        )
        return
    if not os.access(FOLDER, os.W_OK | os.X_OK):
        yield problem(
            "folder",
            f"user {os.geteuid()} may not write to {FOLDER}",
            f"chmod 1777 {FOLDER}, or name another folder by SHAREDKIT_DIR",
        )
    kind, room = _file_system(FOLDER), os.statvfs(FOLDER)
    size, free = room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize
    says = f"{FOLDER}: {kind}, {quantity(size, 'B')}, {quantity(free, 'B')} free"
    enlarge = f"docker run --shm-size=…, an emptyDir of medium Memory, or mount -o remount,size=… {FOLDER}"
    if free < MIB or (room.f_files and not room.f_favail):
        yield problem("folder", f"{says}: it is full", f"`sharedkit ls` shows what is there; {enlarge}")
    elif size <= SMALL_FOLDER or free < size / 10:
        yield note("folder", f"{says}: little for large arrays and long queues", enlarge)
    elif kind not in (*KINDS_THAT_HOLD, "unknown"):
        yield note("folder", f"{says}: sharedkit is tested on {', '.join(KINDS_THAT_HOLD)}")
    else:
        yield ok("folder", says)


def _flock(kind: int) -> bytes:
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 1, 0)


def _is_locked(descriptor: int) -> bool:
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK))
    return bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return libc


def file_calls() -> Iterator[Finding]:
    """Try what a segment's file needs with a file that has no name and vanishes at once."""
    refused = "name another folder by SHAREDKIT_DIR, on tmpfs, ext4 or xfs"
    try:
        first = os.open(FOLDER, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        yield problem("files", f"no file without a name can be made in {FOLDER}: {say(error)}", refused)
        return
    try:
        second = os.open(f"/proc/self/fd/{first}", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        yield problem("files", f"/proc/self/fd does not work: {say(error)}", "mount /proc")
        os.close(first)
        return
    try:
        tried = "reserving memory (fallocate)"
        os.posix_fallocate(first, 0, mmap.PAGESIZE)
        tried = "locks of open files (F_OFD_SETLK)"
        fcntl.fcntl(first, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK))
        locked = _is_locked(second)
        page = _libc().mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_SHARED, first, 0)
        os.close(first)
        first = -1
        kept = _is_locked(second)
        if page not in (None, ctypes.c_void_p(-1).value):
            _libc().munmap(page, mmap.PAGESIZE)
        freed = not _is_locked(second)
        if locked and kept and freed:
            yield ok("files", "files without a name, fallocate and locks of open files work there")
        else:
            yield problem("files", "a mapping does not keep the lock of its file there (overlayfs?)", refused)
    except OSError as error:
        yield problem("files", f"{tried} does not work in {FOLDER}: {say(error)}", refused)
    finally:
        for descriptor in (first, second):
            if descriptor >= 0:
                os.close(descriptor)


# --- system calls -------------------------------------------------------------------------------------------


def _futex(number: int) -> int:
    """The errno of a wait for a word in a file of the folder, which has another value than expected: EAGAIN where
    futexes work."""
    descriptor = os.open(FOLDER, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, mmap.PAGESIZE)
        page = mmap.mmap(descriptor, mmap.PAGESIZE)
    finally:
        os.close(descriptor)
    word, expected = ctypes.c_uint32.from_buffer(page), ctypes.c_uint32(1)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(number), ctypes.byref(word), ctypes.c_int(FUTEX_WAIT), expected, None, None, 0)
    return ctypes.get_errno()


def system_calls() -> Iterator[Finding]:
    """Whether the system calls are there that waits and servers use."""
    number = FUTEX.get(platform.machine())
    if number is not None:
        with suppress(OSError):  # no file can be made there, which `file_calls` has said
            reason = _futex(number)
            if reason == errno.EAGAIN:
                yield ok("futex", "waiting on a word of a file there works")
            else:
                fails = f"waiting on a word of a file there fails: {os.strerror(reason)}"
                yield problem("futex", fails, "allow futex in the seccomp profile")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(FUTEX_WAITV), None, 0, 0, None, 0)
    if ctypes.get_errno() in (errno.ENOSYS, errno.EPERM):
        yield note(
            "futex_waitv",
            "waiting on several words is not there (Linux 5.16, or a seccomp profile): "
            "waits of event loops poll instead",
            "a newer kernel, or allow the call",
        )
    else:
        yield ok("futex_waitv", "waiting on several words works")
    try:
        os.close(os.pidfd_open(os.getpid()))
        yield ok("pidfd", "pidfd_open works")
    except OSError as error:
        yield note(
            "pidfd", f"pidfd_open fails ({say(error)}): a server asks ten times a second whether its owner lives"
        )
    try:
        os.close(os.memfd_create("sharedkit-doctor"))
        yield ok("memfd", "memfd_create works")
    except OSError as error:
        yield problem(
            "memfd",
            f"memfd_create fails ({say(error)}): get_context('manager') cannot start a server",
            "allow it in the seccomp profile",
        )


# --- limits -------------------------------------------------------------------------------------------------


def _limit(which: int) -> int | None:
    soft = resource.getrlimit(which)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def limits() -> Iterator[Finding]:
    """The limits of this process that structures meet. RLIMIT_MEMLOCK is none of them: nothing locks memory."""
    files = _limit(resource.RLIMIT_NOFILE)
    if files is not None and files < FEW_DESCRIPTORS:
        yield note(
            "descriptors",
            f"{files} descriptors (RLIMIT_NOFILE): few for a program that sends handles to children",
            "ulimit -n 1024",
        )
    else:
        yield ok(
            "descriptors",
            f"{'any number of' if files is None else files} descriptors (RLIMIT_NOFILE); an open structure needs none",
        )
    space = _limit(resource.RLIMIT_AS)
    if space is None:
        yield ok("address space", "no limit (RLIMIT_AS)")
    else:
        yield note(
            "address space",
            f"{quantity(space, 'B')} (RLIMIT_AS): each segment is mapped whole, a growing one twice over",
            "ulimit -v unlimited",
        )
    size = _limit(resource.RLIMIT_FSIZE)
    if size is None:
        yield ok("file size", "no limit (RLIMIT_FSIZE)")
    else:
        yield note(
            "file size", f"no structure can be larger than {quantity(size, 'B')} (RLIMIT_FSIZE)", "ulimit -f unlimited"
        )
    processes = _limit(resource.RLIMIT_NPROC)
    if processes is not None and processes < FEW_PROCESSES:
        yield note("processes", f"{processes} processes and threads for this user (RLIMIT_NPROC)", "ulimit -u 4096")
    else:
        yield ok("processes", f"{'any number' if processes is None else processes} for this user (RLIMIT_NPROC)")
    with suppress(OSError, ValueError):
        mappings = int(Path("/proc/sys/vm/max_map_count").read_text())
        says = f"{mappings} a process (vm.max_map_count); a segment in use takes two"
        few = mappings < FEW_MAPPINGS
        yield note("mappings", says, f"sysctl vm.max_map_count={FEW_MAPPINGS}") if few else ok("mappings", says)


def _cgroup_memory() -> tuple[int, int] | None:
    """The least memory limit of the control groups that this process is in, and what is in use there; None for none."""
    found: list[tuple[int, int]] = []
    with suppress(OSError, ValueError):
        for line in GROUPS.read_text().splitlines():
            _, controllers, inside = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            kind = "cgroup" if controllers else "cgroup2"
            names = (
                ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
            )
            for fields in _mounts():
                after = fields.index("-")
                if fields[after + 1] != kind or (controllers and "memory" not in fields[-1].split(",")):
                    continue
                top = Path(fields[4])
                below = top / inside.lstrip("/")
                for place in (below, *below.parents):
                    with suppress(OSError, ValueError):
                        limit, used = (int((place / name).read_text()) for name in names)  # "max" is a ValueError
                        if limit < NO_LIMIT:
                            found.append((limit, used))
                    if place == top:
                        break
    return min(found, default=None)


def memory() -> Iterator[Finding]:
    """The memory that the control groups leave."""
    limited = _cgroup_memory()
    if limited is None:
        yield ok("memory", "no control group that can be seen limits it")
        return
    limit, used = limited
    yield note(
        "memory",
        f"a control group allows {quantity(limit, 'B')}, {quantity(used, 'B')} are in use: segments on tmpfs count",
        "a program that goes beyond is killed, whatever is free in the folder: docker run --memory=…",
    )


# --- what surrounds this process ----------------------------------------------------------------------------


def _status() -> dict[str, str]:
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text(errors="replace").splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return {}


def surroundings() -> Iterator[Finding]:
    """Container, seccomp and /proc."""
    signs = [path for path in ("/.dockerenv", "/run/.containerenv") if os.path.exists(path)]
    signs += [name for name in ("KUBERNETES_SERVICE_HOST", "container") if os.environ.get(name)]
    with suppress(OSError):
        if any(word in Path("/proc/1/cgroup").read_text() for word in ("docker", "kubepods", "containerd", "lxc")):
            signs.append("/proc/1/cgroup")
    if signs:
        yield note(
            "container",
            f"signs of a container: {', '.join(signs)}",
            "containers that share the folder share structures (docker run --ipc=…, -v); each has its own pids",
        )
    else:
        yield ok("container", "no sign of a container")
    status = _status()
    if status.get("Seccomp", "0") == "2":
        yield note("seccomp", "a filter is in force; the system calls were tried under it")
    elif status:
        yield ok("seccomp", "no filter")
    if not status:
        yield problem("/proc", "/proc is not mounted: no segment can be made", "mount -t proc proc /proc")
        return
    options = next((fields[-1] for fields in reversed(_mounts()) if fields[4] == "/proc"), "")
    hidden = next((option for option in options.split(",") if option.startswith("hidepid=")), "hidepid=0")
    if hidden in ("hidepid=0", "hidepid=off"):
        yield ok("/proc", "mounted, and shows all processes of this pid namespace")
    else:
        yield note(
            "/proc",
            f"mounted with {hidden}: the processes of other users are hidden; structures work all the same",
            "`sharedkit why` cannot show their command lines",
        )


# --- the segments that are there ----------------------------------------------------------------------------


def leftovers() -> Iterator[Finding]:
    """Orphans, and segments that cannot be used."""
    try:
        found = inspect_all()
    except OSError as error:
        yield problem("segments", f"{FOLDER} cannot be read: {say(error)}", "chmod, or SHAREDKIT_DIR")
        return
    sound = [each for each in found if isinstance(each, Inspection)]
    yield ok("segments", f"{len(sound)} that can be looked at, {quantity(sum(each.size for each in sound), 'B')}")
    orphans = [each for each in sound if each.orphan]
    if orphans:
        held = quantity(sum(each.size for each in orphans), "B")
        yield note(
            "orphans", f"{_names(each.name for each in orphans)}: {held} that no process uses", "sharedkit rm --orphans"
        )
    else:
        yield ok("orphans", "none")
    for each in found:
        if isinstance(each, Trouble) and not isinstance(each.error, errors.UntrustedSegmentError):
            yield _of_trouble(each)
    yield from _untrusted(each.name for each in found)


def _untrusted(names: Iterable[str]) -> Iterator[Finding]:
    """The segments that `attach` refuses for their mode or owner, a finding for each reason."""
    refused: dict[Distrust, list[str]] = {}
    for name in names:
        reason = segments.distrust_of(name)
        if reason is not None:
            refused.setdefault(reason, []).append(name)
    for (why, do), found in refused.items():
        yield note("untrusted", f"{_names(found)}: `attach` refuses it, because {why}", do)


def _names(names: Iterable[str], most: int = 5) -> str:
    every = [repr(name) for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _of_trouble(each: Trouble) -> Finding:
    remove = f"sharedkit rm --force {shlex.quote(each.name)}"
    match each.error:
        case errors.LayoutError():
            return note("layout", say(each.error), f"when its programs have ended: {remove}")
        case errors.CorruptSegmentError():
            return problem("damage", f"{each.name!r}: {say(each.error)}", remove)
        case PermissionError():
            return note("segments", f"{each.name!r} is another user's: {say(each.error)}")
    return note("segments", f"{each.name!r}: {say(each.error)}")


# --- versions -----------------------------------------------------------------------------------------------


def versions() -> Iterator[Finding]:
    """What runs here."""
    libc = " ".join(part for part in platform.libc_ver() if part)
    yield ok("sharedkit", f"{sharedkit.__version__}, layout {LAYOUT} of segments, NumPy {np.__version__}")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield ok("Python", f"{python}, {'with' if gil_enabled() else 'without'} a GIL, {sys.executable}")
    system = [f"{platform.system()} {platform.release()} {platform.machine()}", *([libc] if libc else ())]
    yield ok("system", f"{', '.join(system)}, {len(os.sched_getaffinity(0))} cores for this process")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    versions,
    folder,
    file_calls,
    system_calls,
    limits,
    memory,
    surroundings,
    leftovers,
)
