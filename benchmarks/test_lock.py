"""Locks, alone and contended, with the smallest share of a process; events, conditions and barriers to and fro."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.race import Entrant, field_of, group
from benchmarks.rivals.ours_served import ServedBarrier, ServedCondition, ServedEvents, ServedLock
from benchmarks.rivals.ours_sync import OurBarrier, OurCondition, OurEvents, OurLock, OurRLock
from benchmarks.rivals.rival import LockRival
from benchmarks.rivals.standard_sync import BarePipe, Barrier, Condition, Events, Lock, ManagerLock, RLock
from benchmarks.rivals.subetha import SubethaLock
from benchmarks.workloads.locking import Contending, Taking
from benchmarks.workloads.meeting import Meeting

LOCKS: list[LockRival] = [OurLock(), OurRLock(), ServedLock(), SubethaLock(), Lock(), RLock(), ManagerLock()]

Race = Callable[[Entrant], None]


@group("lock: acquire and release, one process")
@field_of(Taking, LOCKS)
def test_one_process_takes_a_lock(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("lock: two processes contend")
@field_of(lambda lock: Contending(lock, 2), LOCKS)
def test_two_processes_contend(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("lock: four processes contend")
@field_of(lambda lock: Contending(lock, 4), LOCKS)
def test_four_processes_contend(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("event: round trip through two events")
@field_of(Meeting, [OurEvents(), ServedEvents(), Events(), BarePipe()])
def test_events_to_and_fro(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("condition: round trip")
@field_of(Meeting, [OurCondition(), ServedCondition(), Condition(), BarePipe()])
def test_a_condition_to_and_fro(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("barrier: two processes pass")
@field_of(Meeting, [OurBarrier(), ServedBarrier(), Barrier(), BarePipe()])
def test_two_pass_a_barrier(entrant: Entrant, race: Race) -> None:
    race(entrant)
