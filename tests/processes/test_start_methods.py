"""Handles go anywhere: by each start method and channel, by name, by raw forks; segments end with their last user."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

TRAVEL = Path(__file__).parent / "travel.py"
WATCHDOG = 240
Program = Callable[..., str]
METHODS = ["fork", "spawn", "forkserver"]
BY_METHOD = [
    "as_argument", "through_our_queue", "through_their_queue_and_pipe", "by_submit", "by_initializer",
    "dropped_right_after_start", "one_counter_of_a_group", "race_to_create", "persistent_until_unlinked",
]  # fmt: skip
ALONE = [
    "nothing_keeps_a_plain_pickle_alive", "another_of_the_same_name_is_not_taken_for_it",
    "threads_work_while_their_process_forks", "what_a_thread_alone_holds_survives_the_fork",
]  # fmt: skip


# If permitted, each program has a /dev/shm of its own, so that what it leaves is seen whatever other programs do.
ALONE_IN_SHM = [
    "unshare", "--mount", "sh", "-c",
    'mount -t tmpfs none /dev/shm && "$@"; status=$?; test -z "$(ls -A /dev/shm)" || { ls /dev/shm >&2; exit 99; };'
    " exit $status", "sh",
]  # fmt: skip


def permitted() -> bool:
    try:
        return subprocess.run([*ALONE_IN_SHM, "true"], capture_output=True, timeout=WATCHDOG).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="session")
def place() -> list[str]:
    return ALONE_IN_SHM if permitted() else []


def run(place: list[str], arguments: list[str]) -> str:
    """Run a program: it must end by itself with status 0, print nothing, and leave nothing in shared memory."""
    started = subprocess.Popen(
        [*place, sys.executable, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = started.communicate(timeout=WATCHDOG)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        out, err = started.communicate()
        pytest.fail(f"hung\n{out}\n{err}")
    assert started.returncode == 0, f"ended with {started.returncode}\n{out}\n{err}"
    assert err == ""
    return out


@pytest.fixture
def program(place: list[str]) -> Program:
    def program(text: str, *arguments: str) -> str:
        return run(place, ["-c", textwrap.dedent(text), *arguments])

    return program


# A spawned child starts an interpreter. What "forkserver" shares with "spawn" is tested only by `make stress`.
SLOW = {
    "race_to_create",
    "by_initializer",
    "through_our_queue",
    "through_their_queue_and_pipe",
    "one_counter_of_a_group",
}
WAYS = [
    pytest.param(each, method, marks=pytest.mark.stress if method == "forkserver" and each in SLOW else ())
    for each in BY_METHOD
    for method in METHODS
]


@pytest.mark.parametrize(("scenario", "method"), WAYS)
def test_handles_travel(place: list[str], scenario: str, method: str) -> None:
    run(place, [str(TRAVEL), scenario, method])


@pytest.mark.parametrize("scenario", ALONE)
def test_handles_in_flight_and_in_forks(place: list[str], scenario: str) -> None:
    run(place, [str(TRAVEL), scenario, "fork"])


# --- by name, from an unrelated program ----------------------------------------------------------------


def test_an_unrelated_program_attaches_by_name_and_may_close_without_harm(program: Program) -> None:
    program("""
        import os, subprocess, sys
        from sharedkit import segments, shm
        name = f"public-{os.getpid()}"
        queue = shm.Queue(name=name)
        other = f'''if True:
            import os
            from sharedkit import shm
            it = shm.Queue(name={name!r}, exist_ok=True)
            it.put(os.getpid())
        '''
        endings = ["", "os._exit(0)", "os.kill(os.getpid(), 9)", "it.close()", "it.close(); it.close()"]
        for ending in endings:
            done = subprocess.run([sys.executable, "-c", other + "    " + ending], capture_output=True, timeout=60)
            assert done.stderr == b"", done.stderr
            assert done.returncode == (-9 if "kill" in ending else 0)
            assert os.path.exists(f"/dev/shm/sk_{name}"), ending
            assert queue.get(timeout=30) != os.getpid()
            assert queue.statistics().attached == (os.getpid(),)
    """)


def test_the_last_process_to_leave_removes_the_segment_whatever_the_order(program: Program) -> None:
    program("""
        import os, subprocess, sys
        name = f"order-{os.getpid()}"
        one = f'''if True:
            import sys
            from sharedkit import shm
            counter = shm.Counter(name={name!r}, exist_ok=True)
            print(counter.add(1), flush=True)
            sys.stdin.read()
        '''
        for order in [(0, 1, 2), (2, 1, 0), (1, 2, 0)]:
            users = []
            for i in range(3):
                user = subprocess.Popen([sys.executable, "-c", one], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                users.append(user)
                assert users[-1].stdout.readline() == b"%d\\n" % (i + 1)
            for n, i in enumerate(order):
                assert os.path.exists(f"/dev/shm/sk_{name}")
                users[i].communicate(timeout=60)
                assert users[i].returncode == 0
            assert not os.path.exists(f"/dev/shm/sk_{name}"), order
    """)


def test_shared_memory_of_the_standard_library_opens_our_segments(program: Program) -> None:
    program("""
        import sys
        from multiprocessing import resource_tracker
        from multiprocessing.shared_memory import SharedMemory
        from sharedkit import segments, shm
        counter = shm.Counter(0x1234567890)
        name = segments.shared_memory_name(counter.name)
        if sys.version_info >= (3, 13):
            raw = SharedMemory(name=name, track=False)
        else:   # it cannot be told not to register; a program that does so would have the tracker unlink it
            resource_tracker.register = resource_tracker.unregister = lambda *_: None
            raw = SharedMemory(name=name)
        assert raw.size >= 4096 and (0x1234567890).to_bytes(8, "little") in bytes(raw.buf)
        raw.close()
        assert counter.value == 0x1234567890
    """)


def test_sharedkit_never_starts_the_resource_tracker(program: Program) -> None:
    program("""
        import os, pickle, sys, threading
        from sharedkit import segments, shm
        things = [shm.Counter(), shm.Counter(striped=True), shm.Counters(["a"]), shm.Queue(), shm.Queue(persist=True)]
        for each in things:
            twin = pickle.loads(pickle.dumps(each))
            segments.attach(each.name).close()
            twin.close()
        segments.live(), segments.sweep()
        things[-1].unlink()
        pid = os.fork()
        if pid == 0:
            things[0].add(1)
            os._exit(0)
        os.waitpid(pid, 0)
        tracker = sys.modules.get("multiprocessing.resource_tracker")
        assert tracker is None or tracker._resource_tracker._fd is None
        children = [open(f"/proc/self/task/{t}/children").read() for t in os.listdir("/proc/self/task")]
        assert "".join(children) == "", children
    """)


# --- raw forks ----------------------------------------------------------------------------------------

HOLD = """
    import mmap, os, queue, signal, struct, sys, time
    from sharedkit import shm

    def hold(q, owner):
        "Write an owner into the word of the producers, as if it were inside put."
        assert owner is not None
        with open(f"/dev/shm/sk_{q.name}", "r+b") as file:
            raw = mmap.mmap(file.fileno(), 0)
        (body,) = struct.unpack_from("<Q", raw, 48 + 8 - 8)
        struct.pack_into("<I", raw, body, owner)

    def owner_of(q, pid):
        "Seat and epoch of a process, from the seat table; it has a seat once it has used the queue."
        if pid == os.getpid():
            q.put("first"), q.get()
        with open(f"/dev/shm/sk_{q.name}", "rb") as file:
            raw = file.read(4096)
        (seats,) = struct.unpack_from("<I", raw, 20)
        for seat in range(seats):
            epoch, who, _ = struct.unpack_from("<IIQ", raw, 256 + 16 * seat)
            if who == pid and epoch:
                return epoch << 10 | seat

    def put_is_refused(q):
        try:
            q.put("robbed", timeout=0.2)
        except queue.Full:
            return True
"""


def test_after_a_raw_fork_each_side_has_a_seat_of_its_own(program: Program) -> None:
    program("""
        import os
        from sharedkit import shm
        counter, queue = shm.Counter(striped=True), shm.Queue()
        counter.add(1)
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                counter.add(10)
                queue.put("first"), queue.get()   # takes a seat
                assert set(queue.statistics().attached) == {os.getpid()}   # the parent has not used it yet
                os.write(w, b"x")
                queue.get(timeout=60)
                status = 0
            finally:
                os._exit(status)
        os.read(r, 1)
        assert set(queue.statistics().attached) == {os.getpid(), pid}
        queue.put("go")
        assert os.waitpid(pid, 0)[1] == 0
        assert queue.statistics().attached == (os.getpid(),) and counter.value == 11
    """)


def test_a_killed_parent_s_lock_is_handed_over_to_the_child_that_it_forked(program: Program) -> None:
    """The child inherited the parent's mappings, which must not keep the parent's seat alive."""
    program(textwrap.dedent(HOLD) + textwrap.dedent("""
        r, w = os.pipe()
        middle = os.fork()
        if middle == 0:
            q = shm.Queue()
            hold(q, owner_of(q, os.getpid()))
            if os.fork() == 0:
                parent = os.getppid()
                assert put_is_refused(q)   # it lives: not ours to take
                os.kill(parent, signal.SIGKILL)
                q.put("mine", timeout=60)
                assert q.get(timeout=60) == "mine"
                assert q.statistics().attached == (os.getpid(),)
                name = q.name
                q.close()
                os.write(w, b"left" if os.path.exists(f"/dev/shm/sk_{name}") else b"good")
                os._exit(0)
            signal.pause()
        os.waitpid(middle, 0)
        os.close(w)
        assert os.read(r, 100) == b"good"
    """))  # fmt: skip


def test_a_killed_child_s_lock_is_handed_over_to_its_parent(program: Program) -> None:
    program(textwrap.dedent(HOLD) + textwrap.dedent("""
        q = shm.Queue()
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            hold(q, owner_of(q, os.getpid()))
            os.write(w, b"x")
            signal.pause()
        os.read(r, 1)
        assert put_is_refused(q)
        os.kill(pid, signal.SIGSTOP)
        assert put_is_refused(q)           # stopped is not dead
        os.kill(pid, signal.SIGKILL)
        q.put("mine", timeout=60)          # before anybody reaps it
        assert q.get(timeout=60) == "mine"
        os.waitpid(pid, 0)
    """))  # fmt: skip


def test_a_parent_that_ends_right_after_the_fork_takes_nothing_from_its_child(program: Program) -> None:
    program("""
        import os
        from sharedkit import shm
        for i in range(60):
            q = shm.Queue(name=f"leaver-{os.getpid()}-{i}")
            r, w = os.pipe()
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    os.read(r, 1)
                    assert os.path.exists(f"/dev/shm/sk_{q.name}"), "the name is gone"
                    q.put(i)
                    assert q.get(timeout=60) == i
                    assert q.statistics().attached == (os.getpid(),)
                    name = q.name
                    q.close()
                    assert not os.path.exists(f"/dev/shm/sk_{name}")
                    status = 0
                finally:
                    os._exit(status)
            q.close()   # before the child has used it
            os.write(w, b"x")
            assert os.waitpid(pid, 0)[1] == 0
            os.close(r), os.close(w)
    """)


# --- endings -----------------------------------------------------------------------------------------------


def test_a_daemon_thread_that_waits_at_the_end_leaves_nothing_and_prints_nothing(program: Program) -> None:
    program("""
        import threading, time
        from sharedkit import shm
        q, ready = shm.Queue(), threading.Event()
        def consume():
            q.put("started")
            ready.set()
            while True:
                q.get()
        for _ in range(3):
            threading.Thread(target=consume, daemon=True).start()
        ready.wait(60)
        q.join   # the main thread ends while they wait
    """)


def test_handles_may_be_used_until_the_interpreter_has_ended(program: Program) -> None:
    program("""
        import atexit
        def last():
            q.put(1)
            assert q.get(timeout=30) == 1 and c.add(1) == 2
        atexit.register(last)   # before sharedkit is imported: runs after all that it registers
        class Late:
            def __del__(self):
                c.add(1)
        from sharedkit import shm
        q, c, late = shm.Queue(), shm.Counter(1), Late()
    """)


def test_a_program_that_closed_all_its_descriptors_harms_no_other_file(program: Program, tmp_path: Path) -> None:
    """Daemons do that. Afterwards the numbers of sharedkit's descriptors belong to other files."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious" * 100_000)
    program(
        """
        import os, queue, sys
        from sharedkit import shm
        q, c = shm.Queue(), shm.Counter(5)
        os.closerange(3, 256)
        files = [os.open(sys.argv[1], os.O_RDWR) for _ in range(40)]
        for i in range(200):
            q.put(bytes(20_000))       # grows
        assert len(q.get_nowait()) == 20_000 and len(q.get_many(block=False)) > 0
        assert c.add(1) == 6
        names = q.name, c.name
        q.close(), c.close()
        assert all(os.fstat(each) for each in files)
        assert not any(os.path.exists(f"/dev/shm/sk_{name}") for name in names)
        """,
        str(precious),
    )
    assert precious.read_bytes() == b"precious" * 100_000
