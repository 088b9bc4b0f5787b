"""The list of workloads; a new one is one entry here."""

from __future__ import annotations

from sharedkit.compare.array import ArrayWorkload
from sharedkit.compare.counter import CounterWorkload
from sharedkit.compare.dict import DictWorkload
from sharedkit.compare.digests import HashWorkload
from sharedkit.compare.executor import ExecutorWorkload
from sharedkit.compare.locks import LocksWorkload
from sharedkit.compare.queue import QueueWorkload
from sharedkit.compare.workload import Workload

__all__ = ["WORKLOADS"]

WORKLOADS: dict[str, type[Workload]] = {
    kind.name: kind
    for kind in (
        HashWorkload,
        CounterWorkload,
        QueueWorkload,
        ArrayWorkload,
        DictWorkload,
        LocksWorkload,
        ExecutorWorkload,
    )
}
