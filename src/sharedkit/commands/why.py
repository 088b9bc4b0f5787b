"""`sharedkit why`: who waits for whom, at one structure or everywhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import click

from sharedkit import segments
from sharedkit._core.distrust import Distrust
from sharedkit._core.processes import lives
from sharedkit.commands.exit_codes import FOUND
from sharedkit.commands.folder import look_around, look_at
from sharedkit.commands.options import Seconds
from sharedkit.commands.participants import ProcessFacts, facts_of, wait_documents
from sharedkit.commands.text import ago, clock, say, shown
from sharedkit.commands.waitgraph import Block, Deadlock, deadlocks, lasting, possible_deadlocks
from sharedkit.shm.inspection import Holder, Inspection, Process, Trouble, Wait

__all__ = ["why"]


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="As a JSON document.")
@click.option(
    "--for",
    "span",
    type=Seconds(0.01),
    default=0.25,
    show_default=True,
    metavar="SECONDS",
    help="The time between the two looks; a wait lasts if it is there in both, with the same holders.",
)
@click.pass_context
def why(context: click.Context, name: str | None, as_json: bool, span: float) -> None:
    """Say who holds the structure NAME and who waits for it.

    Then says what the holders wait for in turn. Without NAME: every wait that lasts, among all segments that this user
    may read. A deadlock is named, also across processes and structures; then the exit code is 1. "perhaps a deadlock"
    leaves it at 0: a process waits for what it holds itself, and another of its threads may let go. Looking disturbs
    no structure.

    Structures of threads and structures behind a server have no segment; a queue and a dict do not count their waiters.
    """
    _facts.cache_clear()
    if name is not None:
        look_at(name)
    before = _readable(look_around())
    time.sleep(span)
    found = look_around()
    now = _readable(found)
    if name is not None and name not in now:
        now[name] = look_at(name)  # raises, if it has ended meanwhile
    blocks = lasting(before.values(), now.values())
    circles = deadlocks(blocks, _threads_of)
    possible = possible_deadlocks(blocks, _threads_of, circles)
    if name is None:
        chosen: dict[str, list[int]] = {each: [] for each in sorted({block.structure for block in blocks})}
    else:
        chosen = _followed(name, now, blocks)
        circles = [each for each in circles if any(block.structure in chosen for block in each.waits)]
        possible = [each for each in possible if any(block.structure in chosen for block in each.waits)]
    structures = [now[each] for each in chosen]
    unreadable = {each.name: say(each.error) for each in found if isinstance(each, Trouble)}
    if as_json:
        click.echo(json.dumps(_document(structures, circles, possible, unreadable, span), indent=2))
    else:
        for line in _text(structures, chosen, before, circles, possible, span):
            click.echo(shown(line))
        if unreadable:
            click.echo(f"segments that cannot be looked at: {len(unreadable)}; `sharedkit top --once` says why")
    if circles:
        context.exit(FOUND)


def _readable(found: Iterable[Inspection | Trouble]) -> dict[str, Inspection]:
    return {each.name: each for each in found if isinstance(each, Inspection)}


def _followed(name: str, now: Mapping[str, Inspection], blocks: list[Block]) -> dict[str, list[int]]:
    """The structure, then its lock if that is another structure, then those at which the holders wait, then those at
    which their holders wait, and so on; for each of the last, the pids that lead there."""
    found: dict[str, list[int]] = {name: []}
    order = [name]
    for each in order:  # grows meanwhile
        lock = getattr(now[each].statistics, "lock", None)
        further: dict[str, list[int]] = {lock.name: []} if lock is not None and lock.name in now else {}
        holders = {holder.process for wait in now[each].waits for holder in wait.holders}
        for block in sorted(blocks, key=lambda block: (block.structure, block.process)):
            if block.process in holders:
                further.setdefault(block.structure, []).append(block.process.pid)
        for other, pids in further.items():
            if other not in found:
                found[other] = pids
                order.append(other)
    return found


@cache
def _facts(process: Process) -> ProcessFacts:
    return facts_of(process)


def _threads_of(process: Process) -> int | None:
    return _facts(process).threads


# --- for people ---------------------------------------------------------------------------------------------


def _text(
    structures: list[Inspection],
    led_by: Mapping[str, list[int]],
    before: Mapping[str, Inspection],
    circles: list[Deadlock],
    possible: list[Deadlock],
    span: float,
) -> Iterator[str]:
    if not structures:
        yield f"no wait lasts: no process waited for the same thing in two looks, {span:g} s apart"
    for each in structures:
        pids = " and ".join(map(str, led_by[each.name]))
        where = f", where pid {pids} wait{'s' * (len(led_by[each.name]) == 1)}" if pids else ""
        yield f"{each.kind} {each.name!r}{where}: {each.state}"
        refused = segments.distrust_of(each.name)
        if refused is not None:
            yield f"  `attach` refuses it, because {refused.why}: {refused.do}"
        lines = list(_lines(each, before.get(each.name)))
        yield from lines or ["  nobody holds it and nobody waits for it"]
    for circle in circles:
        yield from _circle_text(circle)
    for circle in possible:
        yield f"perhaps a deadlock: {_steps_text(circle)}"
        yield from _threads_text(circle)
        yield (
            "  It is one only if the threads that hold are among those that wait. A segment names the process that "
            "holds, not the thread."
        )


def _lines(each: Inspection, before: Inspection | None) -> Iterator[str]:
    lock = getattr(each.statistics, "lock", None)
    if lock is not None and lock.name != each.name:
        yield f"  its lock is {lock.name!r}"
    shown: set[Holder] = set()
    earlier = {holder for wait in before.waits for holder in wait.holders} if before is not None else set()
    for wait in each.waits:
        for holder in wait.holders:
            if holder not in shown and (not wait.brief or holder in earlier):
                shown.add(holder)
                yield f"  {_holder_text(holder, wait, each.kind)}"
        for process, threads in wait.waiters.items():
            some = "1 thread" if threads == 1 else f"{threads} threads"
            verb = "waits" if threads == 1 else "wait"
            yield f"  {some} of pid {process.pid} {verb} {wait.what}{_command_text(process)}"
        if wait.uncounted:
            yield f"  threads may wait {wait.what}: a {each.kind} does not count them"


def _holder_text(holder: Holder, wait: Wait, kind: str) -> str:
    if holder.process is None and wait.brief:
        return "a process has died in the middle of an operation: the next operation repairs what it left"
    if holder.process is None:
        who = "its owner" if holder.gone is None else f"its owner, pid {holder.gone.pid},"
        took = "" if holder.since is None else f" took it at {_since_text(holder.since, ' ago')} and"
        left = holder.gone is not None and lives(*holder.gone)
        went = "left without releasing it" if left else "died holding it"
        told = "an OwnerDiedWarning"
        if kind in ("Lock", "RLock"):
            told += ' (an OwnerDiedError if it was made with on_owner_died="raise")'
        return f"{who}{took} {went}: the next process that takes it gets {told}"
    text = f"pid {holder.process.pid} {holder.how} it"
    if holder.times > 1:
        text += f" {holder.times} times"
    if holder.since is not None:
        text += f" since {_since_text(holder.since)}"
    return text + _command_text(holder.process)


def _since_text(since: float, after: str = "") -> str:
    now = time.time()
    return f"{clock(since, now)} ({ago(now - since)}{after})"


def _command_text(process: Process) -> str:
    facts = _facts(process)
    if facts.command is None:
        return " (not to be seen from here: of another pid namespace, or hidden)"
    return f"{', and is stopped' if facts.stopped else ''}: {facts.command or '(no command line)'}"


def _circle_text(circle: Deadlock) -> Iterator[str]:
    yield f"{'deadlock' if circle.certain else 'deadlock, it seems'}: {_steps_text(circle)}"
    if circle.certain:
        return
    yield from _threads_text(circle)
    yield "  A segment names the process that holds, not the thread: a thread that holds and does not wait can let go."


def _threads_text(circle: Deadlock) -> Iterator[str]:
    for process in dict.fromkeys(each.process for each in circle.waits):
        threads = _facts(process).threads
        has = "an unknown number of threads" if threads is None else f"{threads} thread{'s' * (threads != 1)}"
        waiting = sum(each.threads for each in circle.waits if each.process == process)
        yield f"  pid {process.pid} has {has}; waiting in this circle: {waiting}"


def _steps_text(circle: Deadlock) -> str:
    return "; ".join(
        f"pid {step['pid']} {step['how']} {step['holds']!r} and waits for {step['waits_for']!r}"
        for step in _steps(circle)
    )


def _steps(circle: Deadlock) -> list[dict[str, Any]]:
    steps = []
    for each, last in zip(circle.waits, (circle.waits[-1], *circle.waits), strict=False):
        how = next(holder.how for holder in last.holders if holder.process == each.process)
        steps.append({
            "pid": each.process.pid,
            "how": how,
            "holds": last.structure,
            "waits_for": each.structure,
            "what": each.what,
        })  # fmt: skip
    return steps


# --- for programs -------------------------------------------------------------------------------------------


def _document_of(refused: Distrust | None) -> dict[str, str] | None:
    return None if refused is None else refused._asdict()


def _document(
    structures: list[Inspection],
    circles: list[Deadlock],
    possible: list[Deadlock],
    unreadable: dict[str, str],
    span: float,
) -> dict[str, Any]:
    def documents(found: list[Deadlock]) -> list[dict[str, Any]]:
        return [{"certain": each.certain, "text": _steps_text(each), "steps": _steps(each)} for each in found]

    return {
        "seconds": span,
        "structures": [
            {
                "name": each.name,
                "kind": each.kind,
                "state": each.state,
                "waits": wait_documents(each, _facts),
                "untrusted": _document_of(segments.distrust_of(each.name)),
            }
            for each in structures
        ],
        "deadlocks": documents(circles),
        "possible_deadlocks": documents(possible),
        "unreadable": unreadable,
    }
