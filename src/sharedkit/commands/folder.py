"""The structures in the folder, for the commands; where they cannot be looked at, a sentence that says why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sharedkit._core.segment import FOLDER
from sharedkit.commands.text import CommandError, about, say
from sharedkit.errors import SharedkitError
from sharedkit.shm.inspection import Inspection, Trouble, inspect, inspect_all

__all__ = ["look_around", "look_at", "no_segment", "the_folder"]


@contextmanager
def the_folder() -> Iterator[None]:
    """What is done in the block needs the folder of segments: if it cannot be read, that is a CommandError."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{FOLDER}: {say(error)}; SHAREDKIT_DIR names another folder") from None


def look_at(name: str) -> Inspection:
    """The structure of that name. CommandError."""
    try:
        return inspect(name)
    except FileNotFoundError:
        raise no_segment(name) from None
    except (SharedkitError, OSError, ImportError, ValueError) as error:
        raise CommandError(about(name, error)) from None


def no_segment(name: str) -> CommandError:
    """The error for a name that no segment has, or for a folder that cannot be read."""
    try:
        with the_folder():
            os.scandir(FOLDER).close()
    except CommandError as error:
        return error
    return CommandError(f"no segment is named {name!r}: `sharedkit ls` lists those that there are")


def look_around() -> list[Inspection | Trouble]:
    """All structures. CommandError."""
    with the_folder():
        return inspect_all()
