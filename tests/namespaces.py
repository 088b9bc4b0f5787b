"""Two network namespaces with a line between them, which a test cuts as a network does: nobody is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from itertools import count
from typing import Any

__all__ = ["Namespaces", "why_not"]

_numbers = count(1)
NOWHERE = "02:00:00:00:00:99"  # a hardware address that nobody has
SERVER, CLIENT = "10.231.7.1", "10.231.7.2"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=60)


@cache
def why_not() -> str | None:
    """Why this process cannot make network namespaces; None if it can."""
    if shutil.which("ip") is None:
        return "there is no program ip to make network namespaces"
    try:
        with Namespaces():
            pass
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not permitted here: {error.stderr.strip()}"
    return None


class Namespaces:
    """A namespace `server` and a namespace `client`, with a line between them. The server's address is SERVER."""

    address = SERVER

    def __init__(self) -> None:
        self.server, self.client = (f"sk-{os.getpid()}-{next(_numbers)}-{side}" for side in ("server", "client"))
        self._hardware: dict[str, str] = {}

    def __enter__(self) -> Namespaces:
        try:
            for space in (self.server, self.client):
                _ip("netns", "add", space)
                _ip("-n", space, "link", "set", "lo", "up")
            _ip("-n", self.server, "link", "add", "line", "type", "veth", "peer", "name", "line", "netns", self.client)
            for space, own in ((self.server, SERVER), (self.client, CLIENT)):
                _ip("-n", space, "address", "add", f"{own}/24", "dev", "line")
                _ip("-n", space, "link", "set", "line", "up")
            for space in (self.server, self.client):
                shown = subprocess.run(
                    ["ip", "-n", space, "-brief", "link", "show", "line"], check=True, capture_output=True, text=True
                )
                self._hardware[space] = shown.stdout.split()[2]
            self.restore()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        for space in (self.server, self.client):
            subprocess.run(["ip", "netns", "delete", space], capture_output=True, timeout=60)

    def inside(self, space: str) -> tuple[str, ...]:
        """What the command line of a program begins with that runs in the namespace."""
        return ("ip", "netns", "exec", space)

    def _send(self, space: str, to: str, hardware: str) -> None:
        args = ("neighbour", "replace", to, "lladdr", hardware, "dev", "line", "nud", "permanent")
        _ip("-n", space, *args)

    def cut(self, to_server: bool = True, to_client: bool = True) -> None:
        """Lose every packet from now on, in one direction or in both. No side gets an error."""
        if to_server:
            self._send(self.client, SERVER, NOWHERE)
        if to_client:
            self._send(self.server, CLIENT, NOWHERE)

    def restore(self) -> None:
        self._send(self.client, SERVER, self._hardware[self.server])
        self._send(self.server, CLIENT, self._hardware[self.client])

    def take_down(self) -> None:
        """Take the client's end of the line down: its system knows that it has no network."""
        _ip("-n", self.client, "link", "set", "line", "down")

    def bring_up(self) -> None:
        _ip("-n", self.client, "link", "set", "line", "up")
        self.restore()

    def slow_down(self) -> None:
        """Let 64 kbit/s pass from the server, and no more than a packet at once: answers come late."""
        command = [
            "qdisc",
            "replace",
            "dev",
            "line",
            "root",
            "tbf",
            "rate",
            "64kbit",
            "burst",
            "2kb",
            "latency",
            "2000ms",
        ]
        subprocess.run(["tc", "-n", self.server, *command], check=True, capture_output=True, timeout=60)
