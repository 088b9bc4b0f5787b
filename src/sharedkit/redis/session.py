"""The session of this process with one server, or one node of a cluster: its lease, its operations and its waits.

    threads   each uses a connection of a pool for its call; the connection is a *lane*: one operation after another
    tasks     one connection for all tasks, on which the answers come in the order of the requests (`line.py`)
    wakes     one connection on which the server reports what waits were granted; the session lives while it is open
              (`wakes.py`)
    keeper    a thread that prolongs the lease, undoes calls that their callers have left, and checks the waits

Each operation has a number. A function that gets the number of its lane's last operation again repeats that answer. So
a call whose answer was lost is sent again, and never runs twice.

In a cluster, a session has connections to further nodes once slots have moved to them (`moves.py`).
"""

from __future__ import annotations

import os
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from redis import exceptions

from sharedkit._core.background import background
from sharedkit._core.weak_sets import members
from sharedkit.errors import ClosedError, LeaseLostError, ServerGoneError, SharedkitError
from sharedkit.redis.acknowledgements import Acknowledgements, text_of
from sharedkit.redis.address import LOST, Address, Command, Restarted, pack, pack_before, receive, send
from sharedkit.redis.cluster import Cluster
from sharedkit.redis.moves import Moves
from sharedkit.redis.node import Lane, Node
from sharedkit.redis.operation import GoesBack, Kept, Operation, Use, Wait, kept
from sharedkit.redis.refusals import Refused, refused
from sharedkit.redis.scripts import MOST_LOADS, function, library
from sharedkit.redis.wakes import RESTARTED

__all__ = ["INHERITED", "TOOK", "Session"]

TRIES = 3  # tries of one call: its idle connection may have been closed long ago, and the next one may lose the reply
TICK = 0.4  # seconds between two checks of the waits: after a death, the next has what it held a second later than this
UNDONE = 1.0  # the most seconds that an interrupted call waits for the keeper to undo it
TICKET = 60.0  # seconds after a fork in which a child may open what its parent has closed
TOOK = 2  # the first part of an answer with something that was taken at once
AGAIN = 0.2  # seconds between two attempts to reach a server
MOST_FORMS = 1000  # forms of commands that are kept

INHERITED: Any = object()
"""The reason why the parent's session is over in the child of a fork: the child has its own session."""


@dataclass
class Opened:
    """A structure that the session has open: its kind, how many handles it has, how many forks came before it."""

    kind: str
    handles: int
    forks: int


class Session:
    """A session, from `begin` to `end`; `over` is the reason why it has ended, None before."""

    def __init__(self, address: Address, lease: float, cluster: Cluster | None = None) -> None:
        self.address = address
        self.lease = lease
        self.lease_ms = b"%d" % round(lease * 1000)
        self.sid = f"{os.getpid()}-{secrets.token_hex(8)}".encode()
        self.over: Any = None
        self.numbers = count(1)
        self.waits: dict[int, Any] = {}
        self.opened: dict[bytes, Opened] = {}
        self.forks: tuple[int, float] = (0, 0.0)  # how often this process has forked in this session, and when last
        self.fences: dict[bytes, int] = {}  # the fences of the locks that this session holds
        self.released: deque[bytes] = deque()  # structures, one for each handle that was dropped without `close`
        self.lock = threading.RLock()  # reentrant: a signal handler may make calls, too
        self.moves = None if cluster is None else Moves(self, cluster)
        self.connections: weakref.WeakSet[Any] = weakref.WeakSet()  # all of them, which the child of a fork closes
        self.home = Node(self, address)
        self.nodes = {address.place: self.home}  # the others are those to which slots have moved
        self.line = self.home.line
        self._lane_numbers = count(1)
        self._acks: dict[bytes, Acknowledgements] = {}
        self._forms: dict[tuple[str, bool, bytes, int], bytes] = {}
        self._jobs: SimpleQueue[Any] = SimpleQueue()
        self._keepers_lanes: dict[Node, Lane] = {}
        self._kept = monotonic()
        self._beat_at = 0.0  # when the lease is to be prolonged next

    # --- beginning and end

    def begin(self) -> None:
        """Open the connection that shows that the session lives, and start the threads."""
        self.home.wakes.begin()
        background(self._keep, name="sharedkit redis keeper").start()

    def end(self, why: BaseException, in_order: bool = False) -> None:
        """End the session and its waits, with the reason `why`. `in_order`: have the server release what it holds."""
        with self.lock:
            if self.over is not None:
                return
            if in_order:
                for base, opened in list(self.opened.items()):
                    try:
                        self.ask(opened.kind, base, b"leave", self._ticket_of(opened))
                    except ServerGoneError:
                        break  # the server would not get the other messages either
                    except SharedkitError:
                        continue
            self.over = why
        for wait in list(self.waits.values()):
            wait.resolve(self.reason())
        self.waits.clear()
        self._jobs.put(None)
        if self.moves is not None:
            self.moves.close()
        for node in list(self.nodes.values()):
            node.close()

    def reason(self) -> BaseException:
        """Why the session is over: a new exception for each call, because each raise lengthens the traceback of one."""
        if isinstance(self.over, BaseException):
            return type(self.over)(*self.over.args)
        return ServerGoneError("this session belongs to the process that forked this one")

    def lose(self, what: str) -> LeaseLostError:
        """End the session because others may have taken over what it held."""
        why = LeaseLostError(
            f"the lease of this process at {self.address.public} is over ({what}): what it held may belong to others "
            "now. Its handles cannot be used any more; make or attach new ones"
        )
        self.end(why)
        return why

    def open(self, base: bytes, kind: str) -> None:
        """Count one more handle on a structure. Under the lock."""
        opened = self.opened.setdefault(base, Opened(kind, 0, self.forks[0]))
        opened.handles += 1

    @property
    def ticket(self) -> bytes:
        """The ticket by which a forked child opens what its parent had open, even if the parent has closed it since."""
        return b"ticket-fork-" + self.sid

    def _ticket_of(self, opened: Opened) -> bytes:
        times, when = self.forks
        return self.ticket if times > opened.forks and monotonic() - when < TICKET else b""

    def in_parent(self) -> None:
        """Record a fork: the server keeps what this process has open for the child, for a minute."""
        self.forks = (self.forks[0] + 1, monotonic())

    def in_child(self) -> None:
        """In the child of a fork, forget the session, its connections and its waits: they are the parent's."""
        self.over = INHERITED if self.over is None else self.over
        self.lock = threading.RLock()
        for node in self.nodes.values():
            node.line.in_child()
            node.idle.clear()
        for each in members(self.connections):
            each.disconnect()  # redis-py only closes the descriptor here
        self.waits.clear()

    # --- commands

    def bytes_of(self, of: Operation, method_and_args: tuple[bytes, ...]) -> bytes:
        """The packed command of an operation, which has its lane.

        In a cluster it names a second key, which never exists. While a slot moves, a server refuses a command if only
        some of its keys are still there, and so it begins none of ours before all keys of the structure are in one
        place. Otherwise the function would begin, and end with an error at the first key that is not there.
        """
        if of.acks is None:
            acks = self._acks.get(of.base)
            of.acks = acks.take(of.lane, of.number) if acks is not None else []
        said = text_of(of.acks, of.lane, of.number) if of.acks else b""
        parts = (b"%d" % of.lane, b"%d" % of.number, said, *method_and_args)
        key = (of.kind, of.shrinks, of.base, len(parts))
        form = self._forms.get(key)
        if form is None:
            form = self._form_of(key)
        return form % tuple(chain.from_iterable(zip(map(len, parts), parts, strict=True)))

    def _form_of(self, key: tuple[str, bool, bytes, int]) -> bytes:
        """The form of a command: the parts that are the same each time, and places for `count` others."""
        kind, shrinks, base, count = key
        if len(self._forms) >= MOST_FORMS:
            self._forms.clear()
        clustered = self.moves is not None
        keys = (b"2", base, base + b":never") if clustered else (b"1", base)
        same = (b"FCALL", function(kind, shrinks, clustered), *keys, self.sid)
        fixed = pack(*same).partition(b"\r\n")[2]
        form = b"*%d\r\n" % (len(same) + count) + fixed.replace(b"%", b"%%") + b"$%d\r\n%b\r\n" * count
        self._forms[key] = form
        return form

    def acknowledge(self, base: bytes, number: int, lane: int = 0) -> None:
        """Acknowledge what the operation was granted, or what it took in that lane: with the next call on the
        structure, or the next heartbeat."""
        acks = self._acks.get(base)
        if acks is None:
            acks = self._acks.setdefault(base, Acknowledgements())
        if lane:
            acks.taken[lane] = number
        else:
            acks.granted.append(number)

    def unsaid(self, made: Operation, refused: bool = False) -> None:
        """Have another call acknowledge what that operation did not. A server that has `refused` it has heard what it
        said, but its lane keeps what it had taken."""
        if made.acks:
            said, made.acks = made.acks, []
            left = [each for each in said if not refused or (made.number and each[1] == made.lane)]
            self._acks.setdefault(made.base, Acknowledgements()).restore(left)

    def node_of(self, base: bytes) -> Node:
        """The server that has the structure with that key."""
        return self.home if self.moves is None else self.moves.node_of(base)

    def _lane(self, base: bytes, number: int = 0) -> Lane:
        """A lane for the operation of that number. The numbers in a lane must rise, and another thread may have drawn a
        later number and used the lane already."""
        node = self.node_of(base)
        passed: list[Lane] | None = None
        try:
            while (lane := node.idle.pop()).last > number > 0:
                passed = [lane] if passed is None else [*passed, lane]
        except IndexError:
            lane = Lane(next(self._lane_numbers), node)
        if passed is not None:
            node.idle.extend(passed)
        if number > lane.last:
            lane.last = number
        return lane

    def new_lane(self) -> int:
        """The number of a lane for the tasks' connection."""
        return next(self._lane_numbers)

    # --- requests of threads

    def ask(self, kind: str, base: bytes, method: bytes, *args: bytes, shrinks: bool = True) -> Any:
        """The answer of a method that may run any number of times."""
        made = Operation(kind, base, 0, shrinks)
        return self._ask(made, (method, *args))[0]

    def call(self, kind: str, base: bytes, method: bytes, *args: bytes, shrinks: bool = False) -> Any:
        """The answer of a method that must run once. If a signal handler raises, the keeper completes the call."""
        made = Operation(kind, base, next(self.numbers), shrinks)
        try:
            return self._ask(made, (method, *args))[0]
        except (SharedkitError, Refused):
            raise
        except BaseException:
            self._leave(lambda: self._finish(made, (method, *args)))
            raise

    def ask_plain(self, base: bytes, *command: bytes, data: memoryview | None = None) -> Any:
        """The answer to one of Redis's own commands, which may run any number of times; `data` are its last part. It is
        asked where the structure with the key `base` is, or will be."""
        if self.over is not None:
            raise self.reason()
        lane = self._lane(base)
        try:
            answer = self._exchange(lane, pack(*command) if data is None else pack_before(data, *command), base, None)
        except BaseException:
            lane.retire()
            raise
        lane.put_back()
        return answer

    @contextmanager
    def listening(self, base: bytes) -> Iterator[None]:
        """Have the node of a cluster know that this session lives, before the structure is opened. Under the lock."""
        if self.moves is not None and base not in self.opened:
            self.moves.listen(base)
        try:
            yield
        finally:
            self.ignore_unless_open(base)

    def ignore_unless_open(self, base: bytes) -> None:
        """Have the node tell nothing about that structure any more, unless it is open."""
        if self.moves is not None and base not in self.opened:
            self.moves.ignore(base)

    def _finish(self, made: Operation, method_and_args: tuple[bytes, ...]) -> None:
        lane = Lane(made.lane or next(self._lane_numbers), self.node_of(made.base))
        made.lane = lane.number
        try:
            self._exchange(lane, self.bytes_of(made, method_and_args), made.base, made.kind, patience=0)
        finally:
            lane.retire()

    def _ask(self, made: Operation, method_and_args: tuple[bytes, ...], keep: bool = False) -> tuple[Any, Lane]:
        """The answer and the lane; with `keep`, the caller must put the lane back."""
        if self.over is not None:
            raise self.reason()
        lane = self._lane(made.base, made.number)
        made.lane = lane.number
        try:
            answer = self._exchange(lane, self.bytes_of(made, method_and_args), made.base, made.kind)
        except Refused as why:
            self.unsaid(made, refused=not why.elsewhere)
            lane.put_back()
            raise self.refusal(why, made) from None
        except BaseException:
            lane.retire()
            self.unsaid(made)
            raise
        if not keep:
            lane.put_back()
        return answer, lane

    def refusal(self, why: Refused, made: Operation) -> Exception:
        """The exception that a caller gets for a refusal. If the reason is that the lease is over, end the session."""
        if why.code == "SKFENCED":
            try:
                fenced = self._is_fenced(made.base)
            except ServerGoneError as gone:
                return gone
            if self.over is not None:  # another thread has learnt it, too
                why_over = self.reason()
                assert isinstance(why_over, Exception)
                return why_over
            return self.lose("it was not prolonged in time") if fenced else ClosedError("it was closed meanwhile")
        if why.forgotten:
            return ServerGoneError(f"the server at {self.address.public} forgets functions as soon as it has them")
        return refused(why, self.address.public, made.base)

    def _is_fenced(self, base: bytes) -> bool:
        """Whether the lease of this session is over. A structure that another thread has closed meanwhile, and that
        other processes have open, refuses a call as if it were. Raises ServerGoneError."""
        with self.lock:  # nobody opens or closes a structure meanwhile
            opened = self.opened.get(base)
            if opened is None or self.over is not None:
                return False
            made = Operation(opened.kind, base, 0, True)
            lane = self._lane(base)
            made.lane = lane.number
            try:
                self._exchange(lane, self.bytes_of(made, (b"check", b"0")), base, opened.kind, patience=0)
            except Refused as why:
                self.unsaid(made, refused=not why.elsewhere)
                lane.put_back()
                if why.elsewhere:
                    raise ServerGoneError(f"the node at {lane.node.address.public} gives the slot away") from None
                return why.code == "SKFENCED"
            except BaseException:
                lane.retire()
                self.unsaid(made)
                raise
            lane.put_back()
            return False

    def _exchange(
        self, lane: Lane, command: Command, base: bytes, kind: str | None, patience: float | None = None
    ) -> Any:
        """Send a command about the structure with the key `base` and read its answer; try again if the connection ends,
        or if the server does not know the functions of a structure of that kind. In a cluster, do so where the
        structure is now, and as long as no node serves it for `patience` seconds, a lease by default.

        Raises Refused, ServerGoneError, LeaseLostError.
        """
        lost = loaded = 0
        moving: float | None = None
        while True:
            try:
                if lane.connection is None:
                    lane.connection = self.connect(lane.node)
                connection = lane.connection
                send(connection, command)
                return receive(connection)
            except exceptions.ResponseError as why:
                refusal = Refused.of(why)
                if refusal.elsewhere and self.moves is not None:
                    moving = self.moves.redirected(
                        lane, base, refusal, moving, self.lease if patience is None else patience
                    )
                    continue
                if not refusal.forgotten or loaded == MOST_LOADS or kind is None:
                    raise refusal from None
                loaded += 1
                self._load(lane.connection, kind)
            except LOST as why:
                lane.retire()
                lost += 1
                if self.over is None and self.moves is not None and lost < TRIES and self.moves.has_moved(lane, base):
                    continue
                if isinstance(why, SharedkitError):
                    raise
                if lost == TRIES or (lost == 2 and isinstance(why, exceptions.TimeoutError | TimeoutError)):
                    raise ServerGoneError(f"the server at {lane.node.address.public} does not answer: {why}") from why

    def _load(self, connection: Any, kind: str) -> None:
        send(connection, pack(b"FUNCTION", b"LOAD", library(kind, self.moves is not None)))
        try:
            connection.read_response(disable_decoding=True)
        except exceptions.ResponseError as why:
            refusal = Refused.of(why)
            if not refusal.loaded:
                raise refusal from None

    def connect(self, node: Node) -> Any:
        """A connection to that server."""
        try:
            connection = node.address.connect()
        except Restarted as other:
            raise self.restarted(node.address, other) from None
        self.connections.add(connection)
        if self.over is not None:  # another thread may have learnt meanwhile that this is another server
            connection.disconnect()
            raise self.reason()
        return connection

    def restarted(self, address: Address, other: Restarted) -> LeaseLostError:
        """End the session, because another server answers; after that, and not before, connections to it are made."""
        why = self.lose(RESTARTED)
        address.run_id = other.run_id
        return why

    # --- waits of threads

    def take(
        self,
        kind: str,
        base: bytes,
        method: bytes,
        *args: bytes,
        entry: bytes = b"",
        timeout: float | None,
        use: Use,
        shrinks: bool = True,
    ) -> Any:
        """The result that `use` makes of an operation that may wait.

        If any other exception than an error of sharedkit is raised meanwhile, by a signal handler for example, the
        operation is undone: what it was granted goes back.
        """
        if self.over is not None:
            raise self.reason()
        number = next(self.numbers)
        made = self.waits[number] = Wait(kind, base, number, shrinks, entry)
        lane: Lane | None = None
        try:
            answer, lane = self._ask(made, (method, *args), keep=True)
            payload, left = None, 0
            if answer[0] == 0:
                lane.put_back()
                lane = None
                payload, left = self._wait(made, timeout)
            used = use(answer, payload, number, left)
            if lane is not None:
                if answer[0] == TOOK:
                    self.acknowledge(base, number, lane.number)
                lane.put_back()
            return used
        except (Refused, SharedkitError) as why:
            if isinstance(why, ServerGoneError) and self.over is None:  # it may have happened
                self._leave(lambda: self._undo(made), 0.0)
            raise
        except GoesBack as why:
            if lane is not None:
                lane.retire()
            self._leave(lambda: self._undo(made))
            raise why.error from None
        except Kept as why:
            if lane is not None:
                self.acknowledge(base, number, lane.number)
                lane.put_back()
            raise why.error from None
        except BaseException:
            if lane is not None:  # the lane must run nothing else before the operation is undone
                lane.retire()
            self._leave(lambda: self._undo(made))
            raise
        finally:
            self.waits.pop(number, None)

    def entry_of(self, made: Operation) -> bytes:
        """The entry of its wait in the structure's wait queue."""
        return b"%b %d" % (self.sid, made.number) + (b" " + made.entry if made.entry else b"")

    def _wait(self, made: Wait, timeout: float | None) -> tuple[bytes | None, int]:
        came = made.gate.acquire(True, -1 if timeout is None else max(0.0, timeout))
        if came:
            payload = made.payload
            if isinstance(payload, BaseException):
                raise payload
            return payload, 0
        entry = self.entry_of(made)
        return kept(self.ask(made.kind, made.base, b"cancel", b"0", b"%d" % made.number, b"keep", entry))

    def _undo(self, made: Operation) -> None:
        lane, entry = b"%d" % made.lane, self.entry_of(made)
        self.ask_as_keeper(made.kind, made.base, b"cancel", lane, b"%d" % made.number, b"undo", entry)

    def ask_as_keeper(self, kind: str, base: bytes, *method_and_args: bytes) -> Any:
        """The answer of a method that may run any number of times. The keeper's thread calls this. Raises Refused."""
        made = Operation(kind, base, 0, True)
        node = self.node_of(base)
        lane = self._keepers_lanes.pop(node, None) or Lane(next(self._lane_numbers), node)
        try:
            return self._exchange(lane, self.bytes_of(made, method_and_args), base, made.kind, patience=0)
        except Refused as why:
            self.unsaid(made, refused=not why.elsewhere)
            raise
        except SharedkitError:
            self.unsaid(made)
            raise
        finally:
            self._keepers_lanes[lane.node] = lane

    def _leave(self, job: Callable[[], object], patience: float = UNDONE) -> None:
        """Have the keeper do a job, and wait for it up to `patience` seconds; a further signal ends only this wait."""
        if self.over is not None:
            return
        done = threading.Lock()
        done.acquire()
        self._jobs.put((job, done))
        if patience:
            done.acquire(True, patience)

    def later(self, job: Callable[[], object]) -> None:
        """Have the keeper do a job, without waiting for it."""
        self._jobs.put((job, None))

    # --- the keeper

    def _keep(self) -> None:
        """Run the keeper's thread."""
        self._beat_at, look_at = monotonic() + self.lease / 3, monotonic() + TICK
        while self.over is None:
            now = monotonic()
            until = min(self._beat_at, look_at) if self.waits else min(self._beat_at, now + TICK)
            try:
                job = self._jobs.get(timeout=max(0.0, until - now)) if until > now else None
            except Empty:
                job = None
            if self.over is not None:
                break
            if job is not None:
                self._do(*job)
                continue
            now = monotonic()
            if now >= self._beat_at:
                self._beat_at = now + self.lease / 3 if self._beat() else now + min(AGAIN, self.lease / 3)
            if now >= look_at:
                look_at = now + self._look()
            self.flush()
        for lane in self._keepers_lanes.values():
            lane.retire()

    def _do(self, job: Callable[[], object], done: threading.Lock | None) -> None:
        try:
            job()
        except (ServerGoneError, Refused) as why:
            if isinstance(why, ServerGoneError) or why.elsewhere:
                if self.over is None:
                    threading.Event().wait(AGAIN)
                    self._jobs.put((job, done))
                return
        except SharedkitError:
            pass
        if done is not None:
            done.release()

    def reassure(self) -> None:
        """Prolong the lease as soon as possible, because a server may have taken this process for dead, and then check
        the waits. Any thread may call this."""

        def hurry() -> None:
            self._beat_at = 0.0

        self.later(hurry)
        self.later(self._check_waits)

    def _beat(self) -> bool:
        """Prolong the lease in every structure, and send acknowledgements; return whether all were reached."""
        all_served = True
        try:
            for base, opened in list(self.opened.items()):
                try:
                    self.ask_as_keeper(opened.kind, base, b"beat", self.lease_ms)
                except Refused as why:
                    if why.code == "SKFENCED" and self._is_fenced(base):
                        self.lose("it was not prolonged in time")
                    elif why.code == "SKGONE":
                        self._structure_gone(base, refused(why, self.address.public, base))
                    elif why.elsewhere:
                        all_served = False
            for node in list(self.nodes.values()):
                node.wakes.ping()
        except SharedkitError:
            if monotonic() - self._kept > self.lease:
                self.lose("the server could not be reached")
            return False
        self._kept = monotonic()
        return all_served

    def _structure_gone(self, base: bytes, why: Exception) -> None:
        for number, wait in list(self.waits.items()):
            if wait.base == base:
                self.waits.pop(number, None)
                wait.resolve(why)

    def _look(self) -> float:
        """For each structure in which this process waits, end the sessions of dead processes and serve the waits.
        Returns after how many seconds to do so again: at once when a session that has no connection counts as dead."""
        waited = {wait.base: wait.kind for wait in list(self.waits.values())}
        again = TICK
        for base, kind in waited.items():
            with suppress(Refused, SharedkitError):
                ends = self.ask_as_keeper(kind, base, b"look")
                if ends:
                    again = min(again, ends / 1000)
        return again

    def _check_waits(self) -> None:
        """Ask whether each wait is over: the message that said so may have been lost with a connection."""
        unserved: Refused | None = None
        for number, wait in list(self.waits.items()):
            try:
                given = self.ask_as_keeper(wait.kind, wait.base, b"check", b"%d" % number)
            except Refused as why:
                unserved = why if why.elsewhere else unserved
                continue
            if given and self.waits.pop(number, None) is not None:
                wait.resolve(bytes(given))
        if unserved is not None:
            raise unserved  # the keeper does this job again

    def flush(self) -> None:
        """Count the handles that were dropped without `close`."""
        while self.released and self.over is None:
            try:
                base = self.released.popleft()
            except IndexError:
                return
            self.close(base)

    def close(self, base: bytes) -> None:
        """Count one handle less on a structure. After the last one, release what the session holds, end its waits."""
        with self.lock:
            if base not in self.opened or self.over is not None:
                return
            opened = self.opened[base]
            opened.handles -= 1
            if opened.handles:
                return
            del self.opened[base]
            self.fences.pop(base, None)
            with suppress(SharedkitError):
                self.ask(opened.kind, base, b"leave", self._ticket_of(opened))  # acknowledges, too
            self._acks.pop(base, None)
            self.ignore_unless_open(base)
        self._structure_gone(base, ClosedError("it was closed while this call waited"))
