"""Where the primary of a service is: Redis Sentinel says it, before each connection."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from redis import connection as redis_connection
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from sharedkit.errors import ServerGoneError
from sharedkit.redis.url import SENTINEL, places

__all__ = ["Sentinels"]

PORT = 26379


class Sentinels:
    """The sentinels of a url: redis+sentinel://user:password@host:port,host:port/service/database.

    Raises ValueError if the url has another form.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        before, at, hosts = parts.netloc.rpartition("@")
        self.service, _, database = (unquote(each) for each in parts.path.lstrip("/").partition("/"))
        self.places = places(hosts, PORT)
        if not self.service:
            raise ValueError(url)
        self.url_of_primary = f"{SENTINEL[parts.scheme]}://{before}{at}primary/{database}" + (
            f"?{parts.query}" if parts.query else ""
        )

    def primary(self, timeout: float, public: str) -> dict[str, Any]:
        """Host and port of the primary, as the first sentinel that answers says. Raises ServerGoneError."""
        said: list[str] = []
        connect: Any = redis_connection.Connection
        for host, port in self.places:
            connection = connect(
                host=host, port=port, protocol=2, legacy_responses=True, retry=Retry(NoBackoff(), 0),
                socket_timeout=timeout, socket_connect_timeout=timeout, driver_info=None,
            )  # fmt: skip
            try:
                connection.connect()
                connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
                found = connection.read_response(disable_decoding=True)
            except (exceptions.RedisError, OSError) as why:
                said.append(f"{host}:{port}: {why}")
                continue
            finally:
                connection.disconnect()
            if isinstance(found, list) and len(found) == 2:
                return {"host": found[0].decode(), "port": int(found[1])}
            said.append(f"{host}:{port} knows no service {self.service!r}")
        raise ServerGoneError(f"no sentinel of {public} names a primary ({'; '.join(said)})")
