"""Ray as an engine: its tasks, and what runs in its workers.

A Ray worker is a process that runs one task at a time and cannot be asked anything meanwhile. So each has an inbox, a
queue in Redis, whose key is its address; a thread takes orders from it and answers to the queue that the order names.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from multiprocessing import process
from queue import Empty
from typing import Any

import ray
from ray import exceptions

from sharedkit._core.background import background
from sharedkit.errors import GoneError, SharedkitError, ShutDown
from sharedkit.redis.engines import host
from sharedkit.redis.engines.calls import GONE, Outcome, Packed, failure
from sharedkit.redis.engines.engine import Came, Counts, Work
from sharedkit.redis.engines.record import CallRecord, Owner, Where
from sharedkit.redis.placement import Placement
from sharedkit.redis.refusals import name_of

__all__ = ["RayEngine"]

RETRIES = 3  # attempts of Ray at a task whose worker has died, beside the first
PATIENCE = 10.0  # seconds that a worker has to answer an order


class Task:
    """An attempt of Ray at a call, and how it has ended."""

    __slots__ = ("error", "over", "ref")

    def __init__(self, ref: Any) -> None:
        self.ref = ref
        self.over = False
        self.error: BaseException | None = None


class RayEngine:
    """The cluster to which this process is connected."""

    name = "Ray"

    def __init__(self, home: Placement, record: CallRecord) -> None:
        self._home, self._record = home, record
        self._run: Any = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)(run_call)

    def submit(self, work: dict[int, Work], where: Where) -> dict[int, Any]:
        return {
            number: Task(self._run.options(name=each.key).remote(number, each.call, each.limit, where))
            for number, each in work.items()
        }

    def fetch(self, number: int, task: Task, came: Came) -> None:
        def done(future: Any) -> None:
            outcome: Outcome | None = None
            try:
                outcome = future.result()
            except BaseException as why:
                task.error = why
            task.over = True
            came((number, task, outcome))

        task.ref.future().add_done_callback(done)

    def forget(self, number: int, task: Task | None) -> None:
        if task is not None and not task.over:  # the call was taken back, and no worker will begin it
            with suppress(Exception):  # the cluster has gone
                ray.cancel(task.ref)

    def is_pending(self, task: Task) -> bool:
        return not task.over

    def state(self, task: Task) -> str:
        return "pending" if not task.over else "finished" if task.error is None else type(task.error).__name__

    def status(self) -> str:
        return "running" if ray.is_initialized() else "closed"

    def lost(self, tasks: dict[int, Task]) -> list[int]:
        """All, when this process has left the cluster; Ray tells of the end of each task otherwise."""
        return [] if ray.is_initialized() else list(tasks)

    def failure(self, task: Task) -> BaseException | None:
        if isinstance(task.error, exceptions.RayTaskError):
            cause: BaseException | None = task.error.cause
            return task.error if cause is None else cause
        return None

    def places(self) -> None:
        return None

    def threads(self) -> int:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call, unused-ignore]
        return int(resources.get("CPU", 0))

    def end_call(self, where: Where, number: int, owner: Owner) -> bool:
        return self._ask([owner.address], "end_call", number).get(owner.address) is True

    def end_children(self, where: Where, kill: bool) -> None:
        self._ask(self._record.hosts(), "end_children", kill)

    def counts(self, where: Where) -> list[Counts]:
        return list(self._ask(self._record.hosts(), "counts").values())

    def _ask(self, addresses: list[str], what: str, *args: Any) -> dict[str, Any]:
        """The answers of workers, by their addresses; without those that are gone, or do not answer in PATIENCE."""
        answers: dict[str, Any] = {}
        with suppress(SharedkitError), self._home.classes["Queue"]() as replies:
            asked = {address for address in addresses if self._order(address, (replies, what, args))}
            until = time.monotonic() + PATIENCE
            with suppress(Empty):
                while asked - answers.keys():
                    address, answer = replies.get(timeout=max(0.0, until - time.monotonic()))
                    answers[address] = answer
        return answers

    def _order(self, address: str, order: Any) -> bool:
        """Put an order into an inbox; whether there is a worker that has it."""
        base = address.encode()
        try:
            session = self._home.session(base)
            with self._home.classes["Queue"]._of(session, name_of(base), base) as inbox:
                if inbox.statistics().waiting_getters == 0:  # nobody waits at the inbox of a dead process
                    return False
                inbox.put(order)
        except GoneError:
            return False
        return True


# --- in a Ray worker -------------------------------------------------------------------------------------


def run_call(number: int, call: Packed, limit: float | None, where: Where) -> Outcome:
    """Run a call in a child, if no other attempt has begun it; `limit` in seconds. In a Ray worker."""
    try:
        its_host = host.host_of(where, HERE, 1, _enter)
    except SharedkitError as error:
        return failure(error)
    return Outcome(GONE) if its_host is None else its_host.run(number, call, limit)


HERE = secrets.token_hex(4)
"""In the place of an address: a process is one worker."""


def _enter(its_host: host.Host) -> None:
    """Make the inbox of a new host, and name it in the record."""
    record = its_host.record
    inbox = record.home.classes["Queue"](ack="on-get")
    address = inbox._base.decode("utf-8", "surrogateescape")
    its_host.owner = Owner(its_host.owner.pid, address)
    background(_obey, name="sharedkit inbox", args=(its_host, inbox)).start()
    record.enter(address)


def _obey(its_host: host.Host, inbox: Any) -> None:
    """Run the thread that does what an executor orders; it ends with its executor, which nobody can order then."""
    while True:
        try:
            replies, what, args = inbox.get(timeout=host.LOOK)
        except Empty:
            if its_host.is_over:
                inbox.close()
                return
            continue
        except (SharedkitError, ShutDown):  # this process was silent for its lease
            return
        except Exception:  # an order that cannot be unpickled: its executor is gone
            continue
        with suppress(SharedkitError), replies:
            replies.put((its_host.owner.address, _done(its_host, what, args)))


def _done(its_host: host.Host, what: str, args: tuple[Any, ...]) -> Any:
    if what == "counts":
        return its_host.counts()
    if what == "end_children":
        its_host.end(process.BaseProcess.kill if args[0] else process.BaseProcess.terminate)
        return None
    (number,) = args
    until = time.monotonic() + host.BEGIN
    while its_host.is_about_to_begin(number) and time.monotonic() < until:
        threading.Event().wait(0.005)
    return its_host.end_call(number)
