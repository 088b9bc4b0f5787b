"""The urls of servers: those that name several hosts, and the form in which a url is shown and pickled."""

from __future__ import annotations

from urllib.parse import quote, unquote_plus, urlsplit

__all__ = ["CLUSTER", "SENTINEL", "UNREADABLE", "Place", "places", "without_password"]

Place = tuple[str, int]
"""Host and port."""

CLUSTER = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
SENTINEL = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
"""The schemes of urls with several hosts, and those of the servers to which they lead."""

UNREADABLE = "://?"  # instead of the rest of a url that may have a password anywhere
SECRETS = {"password", "sentinel_password", "ssl_password"}


def places(netloc: str, port: int) -> list[Place]:
    """The hosts of a url, separated by commas; `port` is that of a host without one. Raises ValueError."""
    found: list[Place] = []
    for each in netloc.rpartition("@")[2].split(","):
        parts = urlsplit("//" + each)
        if not parts.hostname:
            raise ValueError(netloc)
        found.append((parts.hostname, port if parts.port is None else parts.port))
    return found


def without_password(url: str) -> str:
    """The url in the form that is shown and pickled: with the user's name, but without a password."""
    try:
        parts = urlsplit(url)
        user = parts.username
        host = parts.netloc.rpartition("@")[2]
        query = "&".join(each for each in parts.query.split("&") if not _is_secret(each))
        if parts.scheme not in CLUSTER | SENTINEL:
            _ = parts.port  # ValueError if it is no number
        if (
            parts.scheme != "unix" and "@" in parts.path + parts.query + parts.fragment
        ):  # the end of a password that was cut
            raise ValueError
    except ValueError:
        return url.partition("://")[0] + UNREADABLE
    netloc = f"{quote(user)}@{host}" if user else host
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{query}" if query else "")


def _is_secret(option: str) -> bool:
    return unquote_plus(option.partition("=")[0]) in SECRETS
