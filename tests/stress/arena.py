"""Kill the victims of one operation: `python arena.py OPERATION [--every N] [--start K] [--only K]`.

Prints a JSON line for the trace, then one for each death; sweep.py reads them and has the watchdog. The arena is the
victim's parent, its tracer and the survivor in one process, and stays on one core, where stepping is fastest.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import json
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))

from stress import (
    operations_array,
    operations_condition,
    operations_dict,
    operations_family,
    operations_life,
    operations_lock,
    operations_queue,
    operations_rwlock,
    operations_stream,
    operations_sync,
    operations_words,
)
from stress.operations import Operation, Stuck, path_of
from stress.operations_queue import AfterDeath, changes
from stress.stepper import CHANGED, IN_OWN, Route, Stepper

TRIES = 5  # tries of one death, if the victim takes another way than the traced one
CONTROL = 8192  # bytes of a segment that hold its control words

PLAIN: dict[str, type[Operation]] = {
    "put": operations_queue.Put,
    "put over the edge": operations_queue.PutOverTheEdge,
    "put an array": operations_queue.PutArray,
    "put, growing": operations_queue.PutGrowing,
    "put, growing over the edge": operations_queue.PutGrowingOverTheEdge,
    "put, next lap": operations_queue.PutNextLap,
    "put, waiting": operations_queue.PutWaiting,
    "put_many": operations_queue.PutMany,
    "put_many, growing": operations_queue.PutManyGrowing,
    "get": operations_queue.Get,
    "get, bounded": operations_queue.GetBounded,
    "get, large": operations_queue.GetLarge,
    "get an array": operations_queue.GetArray,
    "get, waiting": operations_queue.GetWaiting,
    "get_many": operations_queue.GetMany,
    "task_done": operations_queue.TaskDone,
    "join": operations_queue.Join,
    "shutdown": operations_queue.Shutdown,
    "shutdown at once": operations_queue.ShutdownAtOnce,
    "create": operations_life.Create,
    "create by class": operations_life.CreateByClass,
    "attach": operations_life.Attach,
    "close, not last": operations_life.CloseNotLast,
    "close, last": operations_life.CloseLast,
    "unlink": operations_life.Unlink,
    "first use": operations_life.FirstUse,
    "transit": operations_life.Transit,
    "sweep": operations_life.Sweep,
    "Counter.add": operations_words.Add,
    "Counter.add, striped": operations_words.AddStriped,
    "Counters.add": operations_words.AddInGroup,
    "Counter.exchange": operations_words.Exchange,
    "Counter.compare_exchange": operations_words.CompareExchange,
    **operations_stream.STREAMS,
    **operations_array.ARRAY,
    **operations_lock.LOCKS,
    **operations_family.FAMILY,
    **operations_dict.DICT,
    **operations_sync.SYNC,
    **operations_condition.CONDITION,
    **operations_rwlock.READ_WRITE,
}

# Deaths after a death: the first victim's operation; after which change of the control words it dies (from the end if
# negative); whether it has committed then; and the operation of the second victim.
AFTER: dict[str, tuple[str, int, bool, str]] = {
    "put after a death in put": ("put", 0, False, "put"),
    "put after a death growing": ("put, growing", 2, False, "put, growing"),
    "put after a death grown": ("put, growing", 3, False, "put, growing"),
    "get after a death in get": ("get", 0, False, "get"),
    "get after a death growing": ("put, growing", 2, False, "get"),
    "shutdown after a death growing": ("put, growing", 2, False, "shutdown"),
    "Dict set after a death in set": ("Dict set new", 0, False, "Dict set new"),
    "Dict set after a death set": ("Dict set new", -6, True, "Dict set new"),
    "Dict set after a death cleared": ("Dict.clear", 1, True, "Dict set new"),
    "Dict len after a death set": ("Dict set new", -6, True, "Dict len"),
}
NAMES = [*PLAIN, *AFTER]


def commits_once(name: str) -> bool:
    """Whether the operation takes effect in one instruction, and its traced run does not wait."""
    return name in PLAIN and PLAIN[name].commits_once


@contextlib.contextmanager
def _watch(operation: Operation) -> Iterator[tuple[int, int]]:
    """Address and length of the control words of the segment that the operation works on."""
    if operation.watched is None:
        yield 0, 0
        return
    with open(path_of(operation.watched), "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        view = np.frombuffer(mapped, "u1")
        yield view.ctypes.data, min(CONTROL, len(mapped))
        del view


def trace(stepper: Stepper, make: Callable[[], Operation]) -> Route:
    """The instructions of one complete operation."""
    operation = make()
    operation.prepare()
    with _watch(operation) as watch:
        victim = stepper.fork(operation.enter, operation.act, operation.seated)
        steps = stepper.trace(victim, watch)
    stepper.kill(victim)
    operation.survive(0)
    operation.finish()
    return Route(steps)


class Arena:
    def __init__(self, name: str) -> None:
        self._warm_up(name)
        self.stepper = Stepper()
        if name in PLAIN:
            self._make: Callable[[], Operation] = PLAIN[name]
        else:
            self._make = self._after(name)
        self.route = trace(self.stepper, self._make)

    def _warm_up(self, name: str) -> None:
        """Do everything once before the first fork, so that caches are filled."""
        involved = [name] if name in PLAIN else [AFTER[name][0], AFTER[name][3]]
        for each in involved:
            for k in range(3):
                operation = PLAIN[each]()
                operation.prepare()
                pid = os.fork()
                if pid == 0:
                    os._exit(0)
                os.waitpid(pid, 0)
                operation.survive(k)
                operation.finish()
                own = PLAIN[each]()
                own.prepare()
                with contextlib.suppress(OSError, AttributeError):  # some need another process at the segment
                    own.enter()
                    own.act()
                own.finish()

    def _after(self, name: str) -> Callable[[], Operation]:
        first, change, committed, second = AFTER[name]
        route = trace(self.stepper, PLAIN[first])
        at = changes(route)[change]
        return lambda: AfterDeath(PLAIN[first], PLAIN[second], at, self.stepper, route, committed)

    def die(self, k: int) -> dict[str, Any]:
        """Kill one victim; return what its survivors found."""
        for _ in range(TRIES):
            operation = self._make()
            operation.prepare()
            victim = self.stepper.fork(operation.enter, operation.act, operation.seated)
            start, counted = self.route.to(k)
            at = self.stepper.to(victim, start, counted)
            self.stepper.kill(victim)
            # The way through libc (its allocator above all) depends on earlier calls, that through our code does not.
            intended = self.route.steps[k] if k < len(self.route) else None
            strayed = intended is not None and intended.flags & IN_OWN != 0 and at != intended.at
            told: dict[str, Any] = {"k": k, "at": self.stepper.describe(at or 0), "strayed": strayed}
            try:
                told |= asdict(operation.survive(k))
                told["left"] += operation.finish()
            except Stuck as why:
                told["stuck"] = str(why)
            except Exception as why:
                told["error"] = repr(why)
            if not strayed:
                break
        return told

    def points(self, every: int) -> list[int]:
        """All points; or one in `every`, and those around each effect that other processes can see."""
        if every == 1:
            return list(range(len(self.route) + 1))
        return sorted({0, len(self.route), *range(0, len(self.route), every), *self.route.near_effects()})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("operation", choices=NAMES)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--only", type=int)
    given = parser.parse_args()
    faulthandler.enable()
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[os.getpid() % len(os.sched_getaffinity(0))]})
    arena = Arena(given.operation)
    gc.collect()
    gc.disable()
    effects = sum(1 for step in arena.route.steps if step.flags & CHANGED)
    print(json.dumps({"instructions": len(arena.route), "changes": effects}), flush=True)
    points = arena.points(given.every) if given.only is None else [given.only]
    for k in points:
        if k >= given.start:
            print(json.dumps(arena.die(k)), flush=True)


if __name__ == "__main__":
    main()
