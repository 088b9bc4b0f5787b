"""Signals and forks during a wait: the wait can be left, handlers run, and the queue is fine afterwards."""

from __future__ import annotations

import signal

import pytest
from processes.programs import Program, await_sleep

WAITS = {
    "get": ("q = sk.Queue(2)", "q.get()"),
    "get with a timeout": ("q = sk.Queue(2)", "q.get(timeout=3600)"),
    "get_many": ("q = sk.Queue(2)", "q.get_many()"),
    "put": ("q = sk.Queue(2); q.put_many([1, 2])", "q.put(3)"),
    "put_many": ("q = sk.Queue(2); q.put_many([1, 2])", "q.put_many([3, 4])"),
    "join": ("q = sk.Queue(2); q.put(1)", "q.join()"),
}

INTERRUPTED = """
    import faulthandler, sys
    from sharedkit import shm as sk
    faulthandler.enable()
    {make}
    print(q.name, flush=True)
    before = q.qsize()
    try:
        {wait}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    assert q.qsize() == before
    while not q.empty():
        q.get()
    for i in range(10):
        q.put(i, timeout=10)
        assert q.get(timeout=10) == i
    q.close()
    print("fine")
"""


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_a_wait_and_the_queue_is_fine_afterwards(wait: str) -> None:
    make, call = WAITS[wait]
    with Program(INTERRUPTED.format(make=make, wait=call)) as program:
        program.line()
        await_sleep(program.pid)
        program.signal(signal.SIGINT)
        assert program.line() == "interrupted"
        assert program.result() == (0, "fine\n", "")


def test_ctrl_c_ends_a_wait_although_another_thread_waits_too() -> None:
    source = """
        import faulthandler, threading
        from sharedkit import shm as sk
        faulthandler.enable()
        q = sk.Queue()
        got = []
        other = threading.Thread(target=lambda: got.append(q.get()))
        other.start()
        print("ready", flush=True)
        try:
            q.get()
        except KeyboardInterrupt:
            q.put("for the other")
        other.join()
        print(got)
    """
    with Program(source) as program:
        program.line()
        await_sleep(program.pid)
        program.signal(signal.SIGINT)
        assert program.result() == (0, "['for the other']\n", "")


@pytest.mark.parametrize("call", ["q.get()", "q.get(timeout=3600)", "q.get_many()"])
def test_an_item_that_comes_together_with_a_signal_stays_in_the_queue(call: str) -> None:
    """Another thread receives the signal, so the signal does not wake the waiting thread; the item does."""
    source = f"""
        import faulthandler, os, signal, threading
        from sharedkit import shm as sk
        faulthandler.enable()
        q = sk.Queue()

        def both():
            os.read(0, 1)
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            q.put("item")

        other = threading.Thread(target=both)
        other.start()
        print("ready", flush=True)
        try:
            {call}
        except KeyboardInterrupt:
            other.join()
            print(q.qsize(), q.get(timeout=10))
    """
    with Program(source) as program:
        program.line()
        await_sleep(program.pid)
        program.tell("both")
        assert program.result() == (0, "1 item\n", "")


@pytest.mark.parametrize("wait", ["get", "get_many", "put", "join"])
def test_a_handler_runs_during_the_wait_and_may_end_it(wait: str) -> None:
    """For the first signal the handler returns; for the second it does what the wait is for."""
    make, call = WAITS[wait]
    cure = {"get": "q.put(7)", "get_many": "q.put(7)", "put": "q.get()", "join": "q.task_done()"}[wait]
    source = f"""
        import faulthandler, signal
        from sharedkit import shm as sk
        faulthandler.enable()
        calls = []
        def handler(number, frame):
            calls.append(number)
            print("handled", flush=True)
            if len(calls) == 2:
                {cure}
        signal.signal(signal.SIGUSR1, handler)
        {make}
        print("ready", flush=True)
        {call}
        print("over", len(calls))
    """
    with Program(source) as program:
        program.line()
        for _ in range(2):
            await_sleep(program.pid)
            program.signal(signal.SIGUSR1)
            assert program.line() == "handled"
        assert program.result() == (0, "over 2\n", "")


def test_a_fork_while_another_thread_waits_leaves_both_processes_fine() -> None:
    source = """
        import faulthandler, os, threading, warnings
        from sharedkit import shm as sk
        faulthandler.enable()
        warnings.simplefilter("ignore", DeprecationWarning)    # that a fork with threads may hang: it is what we test
        q, back = sk.Queue(), sk.Queue()
        def serve():
            while (item := q.get()) is not None:
                back.put(item)
        server = threading.Thread(target=serve)
        server.start()
        for i in range(100):
            pid = os.fork()
            if pid == 0:
                q.put(i, timeout=20)
                os._exit(0 if back.get(timeout=20) == i else 1)
            assert os.waitpid(pid, 0)[1] == 0, i
        q.put(None)
        server.join(20)
        print(q.qsize(), back.qsize(), server.is_alive())
    """
    with Program(source) as program:
        assert program.result() == (0, "0 0 False\n", "")


def test_a_fork_while_other_threads_are_inside_put_and_get_leaves_both_processes_fine() -> None:
    """In the child the other threads do not exist; the locks that they held belong to the parent, which goes on."""
    source = """
        import faulthandler, os, threading, warnings
        from sharedkit import shm as sk
        faulthandler.enable()
        warnings.simplefilter("ignore", DeprecationWarning)    # that a fork with threads may hang: it is what we test
        busy, answers = sk.Queue(8), sk.Queue()
        stop = threading.Event()
        large = bytes(100_000)
        def produce():
            while not stop.is_set():
                busy.put(large)
        def consume():
            while busy.get() is not None:
                pass
        threads = [threading.Thread(target=produce), threading.Thread(target=consume)]
        for thread in threads:
            thread.start()
        for i in range(100):
            pid = os.fork()
            if pid == 0:
                busy.put(large, timeout=20)
                answers.put(i, timeout=20)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0, i
            assert answers.get(timeout=20) == i
        stop.set()
        threads[0].join(20)
        busy.put(None)
        threads[1].join(20)
        print([thread.is_alive() for thread in threads], busy.qsize())
    """
    with Program(source) as program:
        assert program.result() == (0, "[False, False] 0\n", "")
