"""What is there under a name, and how it differs from what was asked for: one wording for all placements."""

from __future__ import annotations

__all__ = ["is_another", "unlike", "with_another"]


def unlike(what: str, there: object, wanted: object) -> str | None:
    """None where the two are equal, else the difference in words: "maxsize 5, not 6"."""
    return None if there == wanted else f"{what} {there}, not {wanted}"


def is_another(called: str, kind: str, wanted: str) -> ValueError:
    """The error for a name under which there is something of another kind."""
    return ValueError(f"{called} is {_a(kind)}, not {_a(wanted)}")


def with_another(called: str, kind: str, difference: str) -> ValueError:
    """The error for a name under which there is one of the same kind that `unlike` found to differ."""
    return ValueError(f"{called} is {_a(kind)} with {difference}")


def _a(kind: str) -> str:
    if kind == "Counters":
        return "a group of Counters"
    return f"{'an' if kind.startswith(('A', 'E', 'RL', 'RW')) else 'a'} {kind}"
