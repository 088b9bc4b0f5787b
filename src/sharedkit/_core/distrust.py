"""Why a process does not attach a file as a segment: the rule of ext/include/core/sk_door.h in words."""

from __future__ import annotations

import os
import shlex
import stat
from typing import NamedTuple

__all__ = ["Distrust", "distrust"]


class Distrust(NamedTuple):
    """What is wrong with the file, with the numbers, and what to `do`."""

    why: str
    do: str


def distrust(path: str) -> Distrust | None:
    """Why `sharedkit.attach(name)` refuses the file for its kind, mode or owner; None if it does not. Raises
    OSError."""
    at = os.lstat(path)
    mode = stat.S_IMODE(at.st_mode)
    me, quoted = os.geteuid(), shlex.quote(path)
    of = f"(mode {mode:04o}, user {at.st_uid}, group {at.st_gid})"
    if not stat.S_ISREG(at.st_mode):
        return Distrust("it is no regular file", "remove it")
    if mode & stat.S_IWOTH:
        return Distrust(f"every user may write its file {of}", f"if you trust its contents: chmod o-w {quoted}")
    may_open = os.access(path, os.R_OK | os.W_OK, effective_ids=True)
    if at.st_uid in (me, 0):
        if not mode & stat.S_IWGRP and may_open:
            return None
        why = f"a group may write its file {of}" if mode & stat.S_IWGRP else f"this user may not write its file {of}"
    else:
        why = f"its file belongs to another user {of}"
    if may_open and at.st_gid in (os.getegid(), *os.getgroups()):
        return Distrust(why, 'attach it with trust="group", if you trust that user and group')
    if at.st_uid == me:
        return Distrust(why, f"chmod u+rw,g-w {quoted}")
    return Distrust(
        why, 'its user can make it with mode=0o660 and a group= that this process is in: attach it with trust="group"'
    )
