"""The structures in the folder, for the commands; where they cannot be looked at, a sentence that says why."""

from __future__ import annotations

from sharedkit._core.segment import FOLDER
from sharedkit.commands.text import CommandError, say
from sharedkit.errors import SharedkitError
from sharedkit.shm.inspection import Inspection, Trouble, inspect, inspect_all

__all__ = ["look_around", "look_at"]


def look_at(name: str) -> Inspection:
    """The structure of that name. CommandError."""
    try:
        return inspect(name)
    except FileNotFoundError:
        raise CommandError(f"no segment is named {name!r}: `sharedkit ls` lists those that there are") from None
    except (SharedkitError, OSError, ImportError, ValueError) as error:
        raise CommandError(f"{name!r}: {say(error)}") from None


def look_around() -> list[Inspection | Trouble]:
    """All structures. CommandError."""
    try:
        return inspect_all()
    except OSError as error:
        raise CommandError(f"{FOLDER}: {say(error)}; SHAREDKIT_DIR names another folder") from None
