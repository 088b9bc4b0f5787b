"""Where the primary of a service is: Redis Sentinel says it, before each connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

from redis import exceptions

from sharedkit.errors import AuthkeyError, ServerGoneError, ServerMismatchError, SharedkitError
from sharedkit.redis.url import SENTINEL, Place, places

__all__ = ["Sentinels"]

PORT = 26379
OWN = {"sentinel_username": "username", "sentinel_password": "password"}
"""The options of a url that are for the sentinels alone, and what they are for a connection."""


class Sentinels:
    """The sentinels of a url: redis+sentinel://user:password@host:port,host:port/service/database.

    User and password are those of the primary; those of the sentinels are options. With rediss+sentinel, all of them
    speak TLS. Raises ValueError if the url has another form.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        before, at, hosts = parts.netloc.rpartition("@")
        self.service, _, database = (unquote(each) for each in parts.path.lstrip("/").partition("/"))
        self.places = places(hosts, PORT)
        if not self.service:
            raise ValueError(url)
        options = [each for each in parts.query.split("&") if each]
        names = [unquote_plus(each.partition("=")[0]) for each in options]
        self.login = {
            OWN[name]: unquote_plus(each.partition("=")[2])
            for name, each in zip(names, options, strict=True)
            if name in OWN
        }
        query = "&".join(each for name, each in zip(names, options, strict=True) if name not in OWN)
        scheme = SENTINEL[parts.scheme]
        self.url_of_primary = f"{scheme}://{before}{at}primary/{database}" + (f"?{query}" if query else "")

    def primary(self, connect: Callable[[dict[str, Any]], Any], public: str) -> dict[str, Any]:
        """Host and port of the primary, as the first sentinel that answers says; `connect` makes a connection with such
        options.

        Raises ServerGoneError if none does, or what is wrong with the password or certificate that one refuses.
        """
        said: list[str] = []
        refusals: list[SharedkitError] = []
        for place in self.places:
            try:
                found = self._asked(connect, place)
            except (AuthkeyError, ServerMismatchError) as why:
                refusals.append(why)
            except (exceptions.RedisError, SharedkitError, OSError) as why:
                said.append(f"{place[0]}:{place[1]}: {why}")
            else:
                if isinstance(found, list) and len(found) == 2:
                    return {"host": found[0].decode(), "port": int(found[1])}
                said.append(f"{place[0]}:{place[1]} knows no service {self.service!r}")
        if refusals:
            raise refusals[0]
        raise ServerGoneError(f"no sentinel of {public} names a primary ({'; '.join(said)})")

    def _asked(self, connect: Callable[[dict[str, Any]], Any], place: Place) -> Any:
        connection = connect(
            {"host": place[0], "port": place[1], "db": 0, "username": None, "password": None} | self.login
        )
        try:
            connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
            return connection.read_response(disable_decoding=True)
        finally:
            connection.disconnect()
