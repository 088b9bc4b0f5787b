"""The errors that a server answers, and the exceptions of sharedkit that they become."""

from __future__ import annotations

from redis import exceptions

from sharedkit.errors import GoneError, LayoutError, OutOfSharedMemory, ServerGoneError, ServerMismatchError

__all__ = ["Refused", "refused", "refused_connection"]


IN_FUNCTION = ("The user executing the script can't", "ACL failure in script")
"""The beginnings of the errors of a command in a function that the user may not run: of Redis 7, of later servers."""


IN_CLUSTER: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.MovedError, "MOVED"),
    (exceptions.AskError, "ASK"),
    (exceptions.TryAgainError, "TRYAGAIN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
)
"""The errors of a node that does not serve the slot of a structure now."""


class Refused(Exception):
    """An error that the server answered. `code` is its first word; those of our functions begin with SK.

    Internal: no user gets this exception.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code, self.text = code, text
        self.forgotten = (code, text) == ("Function", "not found")
        self.loaded = "already exists" in text  # the functions: another client has loaded them meanwhile
        self.elsewhere = any(code == each for _, each in IN_CLUSTER)  # another node serves the slot, or none for now

    @classmethod
    def of(cls, why: exceptions.ResponseError) -> Refused:
        """Make one from an error of redis-py, which removes the first word of the errors that it knows."""
        if isinstance(why, exceptions.OutOfMemoryError):
            return cls("OOM", str(why))
        if isinstance(why, exceptions.NoPermissionError) or str(why).startswith(IN_FUNCTION):
            return cls("NOPERM", str(why))
        for kind, code in IN_CLUSTER:
            if isinstance(why, kind):
                return cls(code, str(why))
        code, _, text = str(why).partition(" ")
        return cls(code, text)


def refused(why: Refused, server: str, base: bytes) -> Exception:
    """The exception for an error that any call may get. Errors of one kind of structure are returned as they are."""
    name = name_of(base)
    if why.code == "SKGONE":
        return GoneError(
            f"{name!r} is no longer in the server at {server}: the last process that had it open has gone, or the "
            "server has lost it; keep a handle open, or use persist=True"
        )
    if why.code == "SKLAYOUT":
        return LayoutError(
            f"{name!r} was made by a release that lays out its keys differently (version {why.text}); let those "
            "programs end, or use another name or prefix"
        )
    if why.code == "SKFOREIGN":
        return ServerMismatchError(
            f"the key {why.text!r} in the server at {server} was not made by sharedkit; use another prefix"
        )
    if why.code == "SKTYPE":
        found, wanted, key = why.text.split(" ", 2)
        return ServerMismatchError(
            f"the key {key!r} in the server at {server} is a {found}, but {name!r} keeps a {wanted} there: another "
            "program has written it. Remove it, or use another prefix"
        )
    if why.code == "WRONGTYPE" or "WRONGTYPE" in why.text:
        return ServerMismatchError(
            f"another program has written to one of the keys in the server at {server} that begin with "
            f"{base.decode('utf-8', 'replace')!r}, which belong to {name!r}: {why.code} {why.text}"
        )
    if why.code == "SKDENIED":
        return _not_permitted(server, f"{why.text} on {_key_of(base)!r}", name)
    if why.code == "NOPERM":
        return _not_permitted(server, f"{why.text}, with the key {_key_of(base)!r}", name)
    if why.code.startswith("SK"):
        return why
    if why.elsewhere:
        return ServerGoneError(
            f"no node of the cluster serves {name!r} now, and the call was not made: {why.code} {why.text}. Its slot "
            "is being moved, or a primary is gone"
        )
    if why.code == "OOM" or "OOM" in why.text:
        return OutOfSharedMemory(
            f"the server at {server} is out of memory, and {name!r} is unchanged; take something out, or raise "
            "its maxmemory"
        )
    return ServerMismatchError(f"the server at {server} refuses to work on {name!r}: {why.code} {why.text}")


def refused_connection(why: Refused, server: str, what_for: str = "") -> ServerMismatchError:
    """The exception for an error while this process connects."""
    if why.code == "NOPERM":
        return _not_permitted(server, why.text + what_for)
    return ServerMismatchError(f"the server at {server} refuses this program: {why.code} {why.text}")


def _not_permitted(server: str, what: str, name: str | None = None) -> ServerMismatchError:
    """The exception for a user who lacks a permission in the server's access control list (ACL)."""
    whose = "sharedkit" if name is None else repr(name)
    return ServerMismatchError(
        f"the server at {server} does not permit its user what {whose} needs ({what}): allow it with ACL SETUSER, as "
        "docs/placements.md shows"
    )


def _key_of(base: bytes) -> str:
    """The key that stands for the name of a structure."""
    return base.decode("utf-8", "replace").rpartition(":")[0]


def name_of(base: bytes) -> str:
    """The name of a structure from its key `{prefix:name}:incarnation`."""
    inside = base.decode("utf-8", "surrogateescape").rpartition(":")[0][1:-1]
    return inside.partition(":")[2]
