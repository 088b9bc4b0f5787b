"""Locks of killed and of stopped owners: `python owners.py handover KILLS` and `python owners.py stopped SECONDS`.

The stepper stops the owner after it has taken the queue's put or get lock, and before it commits. If the owner is then
killed, the lock must go to the next process; if it stays stopped, it must keep the lock, and finish later.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import statistics
import sys
import time
from pathlib import Path
from queue import Empty, Full
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from stress.arena import trace
from stress.operations import STUCK_AFTER, QueueOperation, newcomer, payload
from stress.operations_queue import Get, Put, changes
from stress.stepper import Route, Stepper

from sharedkit import shm as sk

OPERATIONS: dict[str, type[QueueOperation]] = {"put": Put, "get": Get}


def stop_with_lock(stepper: Stepper, kind: type[QueueOperation], route: Route) -> tuple[QueueOperation, int]:
    """The operation and its victim, which has only taken the lock so far."""
    operation = kind()
    operation.prepare()
    victim = stepper.fork(operation.enter, operation.act, operation.seated)
    stepper.to(victim, *route.to(changes(route)[0]))
    seen = operation.queue.statistics()
    assert victim in (seen.put_owner, seen.get_owner), "the victim has no lock"
    return operation, victim


def attempt(what: str, queue: Any, item: bytes, timeout: float) -> bool:
    """Put or get; return whether it succeeded."""
    try:
        if what == "put":
            queue.put(item, timeout=timeout)
        else:
            queue.get(timeout=timeout)
    except (Full, Empty):
        return False
    return True


def handover(stepper: Stepper, what: str, route: Route, kills: int) -> dict[str, Any]:
    """Kill owners; measure the time until another process has done its operation."""
    times, stuck = [], 0
    for i in range(kills):
        operation, victim = stop_with_lock(stepper, OPERATIONS[what], route)
        other = newcomer(sk.Queue, operation.name) if i % 2 else None
        stepper.kill(victim)
        began = time.perf_counter()
        stuck += not attempt(what, other or operation.queue, payload("next"), STUCK_AFTER)
        times.append((time.perf_counter() - began) * 1e3)
        if other is not None:
            other.close()
        operation.finish()
    return {
        "operation": what,
        "kills": kills,
        "stuck": stuck,
        "median_ms": statistics.median(times),
        "p99_ms": sorted(times)[int(0.99 * (len(times) - 1))],
        "max_ms": max(times),
        "clean": stuck == 0,
    }


def stopped(stepper: Stepper, what: str, route: Route, seconds: float) -> dict[str, Any]:
    """Leave an owner stopped, and try all the time to get past it; then let it finish."""
    operation, victim = stop_with_lock(stepper, OPERATIONS[what], route)
    other = newcomer(sk.Queue, operation.name)
    deadline, attempts, stolen = time.monotonic() + seconds, 0, 0
    while time.monotonic() < deadline:
        for queue in (operation.queue, other):
            stolen += attempt(what, queue, payload("early"), 0.05)
            attempts += 1
        seen = other.statistics()
        stolen += victim not in (seen.put_owner, seen.get_owner)
    stepper.release(victim)
    os.waitpid(victim, os.WUNTRACED)  # it has finished its operation and stopped itself
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    wanted = operation.before[1:] if what == "get" else operation.before + operation.mine
    found = [other.get(timeout=STUCK_AFTER) for _ in wanted]
    torn = int(found != wanted) + other.qsize()
    other.close()
    left = operation.finish()
    return {
        "operation": what,
        "seconds": seconds,
        "attempts": attempts,
        "stolen": stolen,
        "torn": torn,
        "left": left,
        "clean": not (stolen or torn or left) and attempts > 0,
    }


def main() -> None:
    gc.disable()
    stepper = Stepper()
    rows = []
    for what, kind in OPERATIONS.items():
        route = trace(stepper, kind)
        if sys.argv[1] == "handover":
            rows.append(handover(stepper, what, route, int(sys.argv[2])))
        else:
            rows.append(stopped(stepper, what, route, float(sys.argv[2])))
    print(json.dumps({"rows": rows, "clean": all(row["clean"] for row in rows)}))


if __name__ == "__main__":
    main()
