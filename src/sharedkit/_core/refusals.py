"""The exceptions for what the C code refuses: what was wrong, with the numbers, and what to do."""

from __future__ import annotations

import errno
import os
import resource

from sharedkit import errors
from sharedkit._core.distrust import distrust

__all__ = [
    "contradiction",
    "file_limit",
    "no_file",
    "no_folder",
    "no_mapping",
    "no_memory",
    "no_proc",
    "no_seat",
    "other_layout",
    "too_large",
    "untrusted",
]


def no_memory(asked: int, folder: str, reason: int) -> errors.OutOfSharedMemory:
    """For a reservation of `asked` bytes (0: not known) that the folder's file system has no room for."""
    room = os.statvfs(folder)
    left = room.f_bavail * room.f_frsize
    wanted = f"{asked:,} bytes were asked for" if asked else "no more memory could be reserved"
    if room.f_files and not room.f_favail:
        wanted = f"{folder} can hold no more files, it has {room.f_files:,}; {wanted}"
    return errors.OutOfSharedMemory(
        f"{wanted}, {left:,} are free in {folder} ({os.strerror(reason)}): free some, or enlarge it "
        f"(docker run --shm-size=…, mount -o remount,size=… {folder})"
    )


def no_mapping(asked: int) -> errors.OutOfSharedMemory:
    """For a process that cannot add a mapping of `asked` bytes (0: not known)."""
    wanted = f" of {asked:,} bytes" if asked else ""
    try:
        with open("/proc/sys/vm/max_map_count") as limit, open("/proc/self/maps") as maps:
            have = f"it has {sum(1 for _ in maps):,} of {int(limit.read()):,} mappings (vm.max_map_count)"
    except OSError:
        have = "see vm.max_map_count"
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    limit_text = "" if soft == resource.RLIM_INFINITY else f", and its memory is limited to {soft:,} bytes (ulimit -v)"
    what = f"this process cannot map one more segment{wanted}"
    return errors.OutOfSharedMemory(f"{what}: {have}{limit_text}: close some handles, or raise the limit")


def file_limit(asked: int, folder: str, reason: int) -> OSError:
    """For a file of more bytes than the process may give one."""
    soft = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    text = f"{asked:,} bytes are more than this process may give a file ({soft:,}): raise RLIMIT_FSIZE (ulimit -f)"
    return OSError(reason, text, folder)


def no_folder(folder: str, reason: int) -> OSError:
    """For a folder in which segments cannot be made."""
    if reason in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
        why = "its file system cannot hold segments (tmpfs, ext4 and xfs can)"
    else:
        why = os.strerror(reason)
    text = f"segments cannot be made here: {why}; mount a tmpfs there, or name another folder by SHAREDKIT_DIR"
    return OSError(reason, text, folder)


def no_proc(folder: str, reason: int) -> OSError:
    """For a new segment that cannot get its name."""
    return OSError(reason, "a segment cannot get its name without /proc: mount it", folder)


def no_file(path: str, reason: int) -> OSError:
    """For a segment's file that could not be opened or used."""
    if reason == errno.ENOENT:
        return errors.GoneError(
            reason,
            "the segment's file is not there under its name: a program removed or renamed it while it was in use, or "
            "this process sees other files since (chroot, a mount namespace)",
            path,
        )
    if reason in (errno.EACCES, errno.EPERM):
        return PermissionError(
            reason,
            f"this process, of user {os.geteuid()}, may not open the segment's file: make the segment after the change "
            "of user, or with mode=0o660 and a group= that it is in",
            path,
        )
    return OSError(reason, os.strerror(reason), path)


def too_large(asked: int) -> ValueError:
    """For an item or a structure that no structure of the kind can hold."""
    return ValueError(f"too large for this structure: {asked:,} bytes")


def contradiction(name: str | None) -> errors.CorruptSegmentError:
    """For contents that contradict themselves, of the segment of this name; None: data that came by another way."""
    import shlex

    if name is None:
        return errors.CorruptSegmentError("the data of this object contradict themselves")
    advice = f"remove it with `sharedkit rm --force {shlex.quote(name)}`"
    return errors.CorruptSegmentError(f"the segment contradicts itself: {advice}")


def no_seat(name: str | None, seats: int) -> errors.SeatsExhausted:
    """For a segment whose seats are all taken; None: its handle was closed meanwhile."""
    where = "the segment" if name is None else f"segment {name!r}, which has {seats}"
    return errors.SeatsExhausted(errno.EAGAIN, f"no seat is free in {where}: create it with a larger seats=")


def other_layout(path: str, layout: int, own: int) -> errors.LayoutError:
    """For a segment of another release."""
    return errors.LayoutError(
        f"{path} was made by a sharedkit of layout {layout}, this one has layout {own}: "
        "let the other program end first, or use another name or SHAREDKIT_DIR"
    )


def untrusted(path: str) -> errors.UntrustedSegmentError:
    """For a file that users may write to whom this process does not trust."""
    try:
        found = distrust(path)
    except OSError:  # it is gone meanwhile
        found = None
    why, do = found or ("other users may write its file", "make it anew")
    text = f"{why}, and what may write a segment can run code in the processes that use it: {do}"
    return errors.UntrustedSegmentError(errno.EACCES, text, path)
