"""The barrier in shared memory: between processes, after deaths, under signals, by name."""

from __future__ import annotations

import functools
import os
import random
import signal
import sys
import threading
from pathlib import Path
from threading import BrokenBarrierError

import pytest

sys.path.append(str(Path(__file__).parent))

import shm_waiting_children as children

from sharedkit import errors, segments
from sharedkit.shm import Array, Barrier, Counter, attach

# --- threading's rules ------------------------------------------------------------------------------------


def test_arguments_are_checked() -> None:
    for parties in (0, -1):
        with pytest.raises(ValueError, match="parties"):
            Barrier(parties)
    with pytest.raises(ValueError, match="16777216"):
        Barrier(1 << 24 | 1)
    for wrong in ("2", 2.0, None):
        with pytest.raises(TypeError):
            Barrier(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Barrier(2, None, "soon")  # type: ignore[arg-type]
    with Barrier(2) as barrier:
        with pytest.raises(OverflowError):
            barrier.wait(1e100)
        assert (barrier.n_waiting, barrier.broken) == (0, False)


def test_a_timeout_breaks_it_until_it_is_reset() -> None:
    with Barrier(2, timeout=0.01) as barrier:
        for timeout in (None, 0.005, 0, -1):
            with pytest.raises(BrokenBarrierError):
                barrier.wait(timeout)
            assert barrier.broken
            with pytest.raises(BrokenBarrierError):
                barrier.wait(3600)
            barrier.reset()
            assert not barrier.broken


def test_its_repr_and_statistics() -> None:
    with Barrier(2) as barrier:
        assert repr(barrier) == f"<sharedkit.Barrier at {id(barrier):#x} name={barrier.name!r}: waiters=0/2>"
        other = children.in_thread(barrier.wait)
        children.until(lambda: barrier.n_waiting == 1)
        shown = barrier.statistics()
        assert (shown.parties, shown.waiting, shown.state, shown.owners) == (2, 1, "filling", (os.getpid(),))
        barrier.abort()
        with pytest.raises(BrokenBarrierError):
            other()
        assert repr(barrier).endswith(": broken>")
        assert barrier.statistics().state == "broken"
        barrier.close()
        assert "closed" in repr(barrier)
        for use in (barrier.wait, barrier.reset, barrier.abort, barrier.statistics, lambda: barrier.broken):
            with pytest.raises(errors.ClosedError):
                use()


def test_the_time_of_the_action_is_not_counted() -> None:
    begun, end, patience = threading.Event(), threading.Event(), 0.2

    def action() -> None:
        begun.set()
        assert end.wait(children.LIMIT)

    with Barrier(2, action) as barrier:
        while not begun.is_set():
            first = children.in_thread(lambda: barrier.wait(patience))  # noqa: B023
            children.until(lambda: barrier.n_waiting == 1 or barrier.broken)
            second = children.in_thread(barrier.wait)
            children.until(lambda: begun.is_set() or barrier.broken)
            if barrier.broken:  # on a busy machine the second party may come too late
                for late in (first, second):
                    with pytest.raises(BrokenBarrierError):
                        late()
                barrier.reset()
                patience *= 2
        assert barrier.statistics().state == "acting"
        newcomer = children.in_thread(lambda: barrier.wait(0))
        assert not end.wait(1.5 * patience)
        end.set()
        assert {first(), second()} == {0, 1}
        with pytest.raises(BrokenBarrierError):
            newcomer()


def test_an_action_may_break_or_reset_its_own_barrier() -> None:
    for what in (Barrier.abort, Barrier.reset):
        with Barrier(2, lambda: what(barrier)) as barrier:  # noqa: B023
            results = [children.in_thread(barrier.wait) for _ in range(2)]
            for result in results:
                with pytest.raises(BrokenBarrierError):
                    result()
            assert barrier.broken is (what is Barrier.abort)


# --- processes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_meet_each_with_an_index_of_its_own(method: str) -> None:
    with (
        Array(3, "i8") as indices,
        Counter() as acted,
        Barrier(3, functools.partial(children.count_up, acted)) as barrier,
    ):
        with children.crew(children.meet, barrier, indices, 200, n=2, method=method) as crew:
            children.meet(barrier, indices, 200)
            children.finish(*crew)
        assert list(indices) == [200, 200, 200]
        assert acted.value == 200
        assert (barrier.n_waiting, barrier.broken) == (0, False)


def test_more_parties_than_cores_meet_in_order() -> None:
    with Array(8, "i8") as indices, Barrier(8) as barrier:
        with children.crew(children.meet, barrier, indices, 50, n=8) as crew:
            children.finish(*crew)
        assert list(indices) == [50] * 8


def test_a_party_that_dies_waiting_breaks_it_for_the_other_waiters() -> None:
    with Barrier(4) as barrier:
        for dead in (1, 2):
            with children.crew(children.meet_in_vain, barrier, n=3) as crew:
                children.until(lambda: barrier.n_waiting == 3)
                children.kill(*crew[:dead])
                children.finish(*crew[dead:])
            assert barrier.broken
            barrier.reset()


def test_a_party_that_died_waiting_breaks_it_for_later_parties() -> None:
    with Barrier(2) as barrier:
        for notice in (False, True):
            with children.crew(children.meet_in_vain, barrier, n=1) as crew:
                children.until(lambda: barrier.n_waiting == 1)
                children.kill(*crew)
            if notice:
                assert barrier.broken
                assert barrier.n_waiting == 0
            with pytest.raises(BrokenBarrierError):
                barrier.wait(children.LIMIT)
            barrier.reset()


def test_a_party_that_dies_in_the_action_breaks_it() -> None:
    with Barrier(2, children.die) as barrier, attach(barrier.name) as without_action:
        result = children.in_thread(without_action.wait)
        children.until(lambda: barrier.n_waiting == 1)
        child = children.start("fork", barrier.wait)
        with pytest.raises(BrokenBarrierError):
            result()
        child.join(children.LIMIT)
        assert child.exitcode == -signal.SIGKILL
        assert barrier.broken


def test_random_deaths_never_leave_a_party_waiting() -> None:
    """When one of a busy crew is killed, the barrier breaks, unless that one was outside: then the others wait."""
    rng = random.Random(3)
    with Array(3, "i8") as indices, Barrier(3) as barrier:
        for _ in range(30):
            with children.crew(children.meet_until_broken, barrier, indices, n=3) as crew:
                before = list(indices)
                children.until(lambda: indices[0] > before[0])  # noqa: B023
                victim = crew.pop(rng.randrange(3))
                threading.Event().wait(rng.random() / 200)  # a random moment
                children.kill(victim)
                children.until(lambda: barrier.broken or barrier.n_waiting == 2)
                barrier.abort()
                children.finish(*crew)
            barrier.reset()
        results = [children.in_thread(barrier.wait) for _ in range(3)]
        assert sorted(result() for result in results) == [0, 1, 2]


def test_a_stopped_party_is_waited_for_and_reset_sends_it_away() -> None:
    with Barrier(2) as barrier, children.crew(children.meet_in_vain, barrier, n=1) as crew:
        children.until(lambda: barrier.n_waiting == 1)
        os.kill(crew[0].pid, signal.SIGSTOP)
        assert not barrier.broken
        barrier.reset()
        with pytest.raises(BrokenBarrierError):  # the stopped party has not left yet
            barrier.wait(0.1)
        assert barrier.broken
        os.kill(crew[0].pid, signal.SIGCONT)
        children.finish(*crew)
        barrier.reset()
        other = children.in_thread(barrier.wait)
        assert {barrier.wait(), other()} == {0, 1}


# --- signals ----------------------------------------------------------------------------------------------


def test_ctrl_c_takes_one_party_out_and_the_others_go_on() -> None:
    with Barrier(2) as barrier:
        with children.signalled_when(lambda: barrier.n_waiting == 1), pytest.raises(KeyboardInterrupt):
            barrier.wait()
        assert (barrier.n_waiting, barrier.broken) == (0, False)
        other = children.in_thread(barrier.wait)
        assert {barrier.wait(), other()} == {0, 1}


def test_a_fork_in_a_handler_leaves_the_child_outside() -> None:
    with Barrier(2) as barrier:
        pids: list[int] = []
        before = signal.signal(signal.SIGUSR1, lambda *_: pids.append(os.fork()))
        try:
            with children.signalled_when(lambda: barrier.n_waiting == 1, signal.SIGUSR1):
                try:
                    barrier.wait(1)
                except BrokenBarrierError:
                    if pids == [0]:
                        os._exit(7)
        finally:
            if pids == [0]:
                os._exit(8)
            signal.signal(signal.SIGUSR1, before)
        assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 7
        assert barrier.broken  # the parent's time ran out


# --- names ------------------------------------------------------------------------------------------------


def test_by_name_it_is_the_same_for_equal_arguments_only() -> None:
    name = f"barrier-{os.getpid()}"
    with Barrier(2, timeout=30, name=name) as barrier:
        with pytest.raises(FileExistsError):
            Barrier(2, name=name)
        for parties, timeout in ((3, 30), (2, None), (2, 31)):
            with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
                Barrier(parties, timeout=timeout, name=name, exist_ok=True)
        with Barrier(2, timeout=30, name=name, exist_ok=True) as again, attach(name) as third:
            other = children.in_thread(again.wait)
            assert {third.wait(), other()} == {0, 1}
        assert barrier.parties == 2
    with pytest.raises(FileNotFoundError):
        attach(name)


def test_a_persistent_barrier_stays() -> None:
    name = f"barrier-{os.getpid()}-kept"
    Barrier(2, name=name, persist=True).close()
    with attach(name) as barrier:
        assert isinstance(barrier, Barrier)
        assert barrier.parties == 2
        barrier.unlink()


def test_listings_show_the_waiters() -> None:
    with Barrier(2) as barrier:

        def shown() -> str:
            return next(each.state for each in segments.live() if each.name == barrier.name)

        assert shown() == "filling, 0 of 2 waiting"
        other = children.in_thread(barrier.wait)
        children.until(lambda: shown() == "filling, 1 of 2 waiting")
        barrier.abort()
        with pytest.raises(BrokenBarrierError):
            other()
        assert shown() == "broken, 0 of 2 waiting"
