"""A program that gevent has patched: its threads are greenlets, and while one waits, the others run."""

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("gevent")

WATCHDOG = 300


def in_patched_program(program: str, *arguments: str) -> str:
    """What the program prints; it must end by itself and print nothing else."""
    head = "from gevent import monkey; monkey.patch_all()\nimport gevent, multiprocessing, sys, sharedkit as sk\n"
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(program), *arguments],
        capture_output=True, text=True, timeout=WATCHDOG,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stdout + done.stderr)
    return done.stdout


@pytest.fixture(params=["thread", "shm"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_wait_lets_other_greenlets_run(method: str) -> None:
    """Each greenlet waits for something that a greenlet of the same thread does later."""
    in_patched_program(
        """
        ctx = sk.get_context(sys.argv[1])

        def waits(call, then):
            waiting = gevent.spawn(call)
            for _ in range(20):    # others have turns, and it goes on waiting
                gevent.sleep(0.001)
                assert not waiting.ready()
            then()
            return waiting.get(timeout=120)

        queue = ctx.Queue()
        assert waits(queue.get, lambda: queue.put(5)) == 5
        assert waits(queue.get_many, lambda: queue.put(6)) == [6]
        small = ctx.Queue(1)
        small.put(1)
        waits(lambda: small.put(2), lambda: small.get())
        small.get()
        waits(small.join, lambda: (small.task_done(), small.task_done()))
        for make in (ctx.Lock, ctx.Semaphore, ctx.BoundedSemaphore, ctx.RLock):
            lock = make()
            lock.acquire()
            def held():    # an RLock is to be released by the greenlet that took it
                assert lock.acquire()
                lock.release()
                return True
            assert waits(held, lock.release)
        lock = ctx.RWLock()
        lock.acquire_read()
        assert waits(lock.acquire_write, lock.release_read)
        event = ctx.Event()
        assert waits(event.wait, event.set)
        condition = ctx.Condition()
        def wait_for_notice():
            with condition:
                return condition.wait(120)
        def notify():
            with condition:
                condition.notify()
        assert waits(wait_for_notice, notify)
        barrier = ctx.Barrier(2)
        assert waits(barrier.wait, barrier.wait) in (0, 1)
        """,
        method,
    )


def test_timeouts_end_waits_and_a_killed_greenlet_takes_nothing(method: str) -> None:
    in_patched_program(
        """
        import queue
        ctx = sk.get_context(sys.argv[1])
        q, lock, event = ctx.Queue(), ctx.Lock(), ctx.Event()
        try:
            q.get(timeout=0.02)
        except queue.Empty:
            pass
        else:
            raise AssertionError
        lock.acquire()
        assert not lock.acquire(timeout=0.02) and not event.wait(0.02)
        waiting = [gevent.spawn(call) for call in (q.get, lock.acquire, event.wait)]
        gevent.sleep(0.05)
        gevent.killall(waiting)
        q.put(1)
        lock.release()
        assert q.get() == 1 and lock.acquire(timeout=120)
        """,
        method,
    )


def test_greenlets_exclude_each_other_by_an_rlock(method: str) -> None:
    out = in_patched_program(
        """
        lock = sk.get_context(sys.argv[1]).RLock()
        inside = most = 0
        def work():
            global inside, most
            for _ in range(20):
                with lock, lock:
                    inside += 1
                    most = max(most, inside)
                    gevent.sleep(0)
                    inside -= 1
        gevent.joinall([gevent.spawn(work) for _ in range(5)], raise_error=True)
        print(most)
        """,
        method,
    )
    assert out == "1\n"


def test_an_item_comes_from_another_process() -> None:
    in_patched_program("""
        queue, answers = sk.Queue(), sk.Queue()
        def other():
            for _ in range(50):
                answers.put(queue.get(timeout=120) + 1, timeout=120)
        child = multiprocessing.get_context("fork").Process(target=other)
        child.start()
        turns = 0
        def tick():
            global turns
            while True:
                turns += 1
                gevent.sleep(0)
        ticking = gevent.spawn(tick)
        for i in range(50):
            queue.put(i)
            assert answers.get(timeout=120) == i + 1
        child.join()
        assert child.exitcode == 0 and turns >= 50
        ticking.kill()
    """)


@pytest.mark.parametrize("start", ["threads", "fork", "spawn", "forkserver"])
def test_an_executor_runs_calls_and_lets_greenlets_run(start: str) -> None:
    out = in_patched_program(
        """
        start = sys.argv[1]
        made = sk.get_context("thread").Executor(2) if start == "threads" else \\
            sk.Executor(2, mp_context=multiprocessing.get_context(start))
        with made as executor:
            futures = [executor.submit(pow, 2, n) for n in range(50)]
            assert [each.result(120) for each in futures] == [2**n for n in range(50)]
            greenlets = [gevent.spawn(lambda n=n: executor.submit(abs, -n).result(120)) for n in range(20)]
            gevent.joinall(greenlets, timeout=120, raise_error=True)
            print(sum(each.value for each in greenlets), list(executor.map(abs, range(-3, 0))))
        """,
        start,
    )
    assert out == f"{sum(range(20))} [3, 2, 1]\n"


def test_workers_end_with_a_patched_program_that_is_killed() -> None:
    """A worker ends even if it is busy, so that none of its greenlets runs."""
    program = """if True:
        from gevent import monkey; monkey.patch_all()
        import multiprocessing, os, signal, sys
        import sharedkit as sk
        started = sk.Queue()
        def busy():
            started.put(os.getpid())
            while True:
                pass
        executor = sk.Executor(2, mp_context=multiprocessing.get_context("fork"))
        executor.submit(busy)
        started.get(timeout=120)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    # The output ends when the last process that has it open ends, and the workers have it open too.
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WATCHDOG)
    assert (done.returncode, done.stdout, done.stderr) == (-9, "", "")
