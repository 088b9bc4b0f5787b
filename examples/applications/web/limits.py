"""Limits that all workers of a web service share: requests a minute for each client, and uploads at the same time.

Importing this module opens both structures by name, or makes them if there are none (`exist_ok=True`). The master
imports it, too, so the limits last as long as the master or any worker does, through every reload. Nobody unlinks them:
the last process that ends removes them, and if all were killed, the next start does. `persist=True` would keep them
while the service is down, until somebody calls `unlink()`.

- gunicorn's workers have this module from the master: a change of it takes a new master (SIGUSR2), not a reload. The
  new master attaches to the same limits. If it asks for another size, it gets a ValueError: change the name as well.
- Workers of another user than the master's (`gunicorn --user`) need `mode=0o660` and a `group=` here.
"""

import os
import time

import sharedkit as sk
from sharedkit.hashing import partition

SERVICE = os.environ.get("SERVICE", "web-example")  # services that share a machine need different names
PER_MINUTE = float(os.environ.get("REQUESTS_PER_MINUTE", "60"))
BURST = 20

INTERVAL = int(60e9 / PER_MINUTE)  # nanoseconds
SLOTS = 1 << 16

# For each client the time at which its allowance is whole again. The array never grows: clients are spread over the
# slots by hash, and the few that share a slot share an allowance.
_whole_at = sk.Array(SLOTS, "i8", name=f"{SERVICE}-requests", exist_ok=True)

# A bounded semaphore gets the permits of a killed worker back.
uploads = sk.BoundedSemaphore(1, name=f"{SERVICE}-uploads", exist_ok=True)


def seconds_to_wait(client: str) -> float:
    """0.0 if the client may make a request now, which then counts; else the seconds until it may.

    This is the generic cell rate algorithm (ITU-T I.371). No lock is held, so a worker that dies here holds nobody up.
    """
    slot = int(partition([client], SLOTS)[0])
    while True:
        now = time.monotonic_ns()  # the same clock in every process of the machine
        before = int(_whole_at[slot])
        after = max(before, now) + INTERVAL
        excess = after - now - BURST * INTERVAL
        if excess > 0:
            return excess / 1e9
        if _whole_at.compare_exchange(slot, before, after):
            return 0.0


def close() -> None:
    """Close both structures, in a worker that ends by a signal, as uvicorn's do: else the next start removes them."""
    _whole_at.close()
    uploads.close()
