"""How the structure under a name differs from the requested one: one wording for all placements."""

from __future__ import annotations

__all__ = ["is_another", "unlike", "with_another"]


def unlike(what: str, there: object, wanted: object) -> str | None:
    """None if the two are equal, else the difference in words: "maxsize 5, not 6"."""
    return None if there == wanted else f"{what} {there}, not {wanted}"


def is_another(called: str, kind: str, wanted: str) -> ValueError:
    """The error for a name that another kind of structure has."""
    return ValueError(f"{called} is {_a(kind)}, not {_a(wanted)}")


def with_another(called: str, kind: str, difference: str) -> ValueError:
    """The error for a name that a structure of the requested kind has, but with a difference that `unlike` found."""
    return ValueError(f"{called} is {_a(kind)} with {difference}")


def _a(kind: str) -> str:
    if kind == "Counters":
        return "a group of Counters"
    return f"{'an' if kind.startswith(('A', 'E', 'RL', 'RW')) else 'a'} {kind}"
