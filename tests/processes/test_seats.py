"""Who is alive, whose file it is, and what stays: daemons, forks that nobody sees, strangers, odd folders, limits."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import closing

import pytest
from processes.programs import LIMIT, Program, path_of

from sharedkit import _segment, errors, segments, shm

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two other users")


def run(source: str, *args: object, **environment: str) -> str:
    """What the program prints; it ends by itself, with status 0 and in silence."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(source), *map(str, args)],
        capture_output=True, text=True, timeout=LIMIT, env={**os.environ, **environment},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), f"{done.returncode}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture
def folder() -> Iterator[str]:
    """One of its own for segments, in which nothing is left."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="tests-") as path:
        yield path
        assert os.listdir(path) == []


# --- who is alive --------------------------------------------------------------------------------------

HOLDER = """
    import ctypes, os, sys, sharedkit as sk
    thing = sk.attach(sys.argv[1])
    thing.acquire()
    {what}
    print("holding", flush=True)
    sys.stdin.readline()
    thing.release()
    print("released", flush=True)
"""
CLOSES = "os.closerange(3, 4096)"
FORKS = "child = ctypes.CDLL(None).fork()\n    if child == 0: os.close(1); os.read(0, 1); os._exit(0)"


@pytest.mark.parametrize("kind", [shm.Lock, shm.RLock, shm.BoundedSemaphore])
def test_who_closes_all_its_descriptors_keeps_what_it_holds_until_it_dies(kind: type) -> None:
    with closing(kind()) as thing, Program(HOLDER.format(what=CLOSES), thing.name) as holder:
        assert holder.line() == "holding"
        assert not thing.acquire(timeout=0.2)
        holder.tell("go on")
        assert holder.line() == "released"
        assert thing.acquire(timeout=LIMIT)
        thing.release()


@pytest.mark.filterwarnings("ignore::sharedkit.OwnerDiedWarning")
@pytest.mark.parametrize("what", [CLOSES, FORKS], ids=["closed", "forked"])
@pytest.mark.parametrize("kind", [shm.Lock, shm.RLock, shm.BoundedSemaphore])
def test_what_a_dead_one_held_goes_to_the_next_though_a_child_that_nobody_saw_lives(kind: type, what: str) -> None:
    with closing(kind()) as thing, Program(HOLDER.format(what=what), thing.name) as holder:
        assert holder.line() == "holding"
        os.kill(holder.pid, 9)  # the child of the fork lives on
        assert thing.acquire(timeout=LIMIT)
        thing.release()


def test_a_child_that_nobody_saw_has_a_seat_of_its_own() -> None:
    assert run("""
        import ctypes, os, sharedkit as sk
        lock = sk.Lock()
        lock.acquire()
        r, w = os.pipe()
        if ctypes.CDLL(None).fork() == 0:
            os.write(w, b"taken" if lock.acquire(timeout=0.1) else str(lock.owner).encode())
            os._exit(0)
        print(os.read(r, 99).decode() == str(os.getpid()), lock.locked())
    """) == "True True"  # fmt: skip


def test_forked_children_that_use_nothing_take_no_seat_and_one_that_found_none_tries_again() -> None:
    run("""
        import os, sharedkit as sk
        queue = sk.Queue(seats=2)
        r, w = os.pipe()
        r2, w2 = os.pipe()
        idle = []
        for _ in range(20):
            idle.append(os.fork())
            if idle[-1] == 0:
                os.read(r, 1)
                os._exit(0)
        queue.put("ours")
        other = os.fork()
        if other == 0:
            queue.put("its")
            os.write(w2, b"x")
            os.read(r, 1)
            os._exit(0)
        os.read(r2, 1)
        last = os.fork()
        if last == 0:
            status = 1
            try:
                queue.put("no seat")
            except sk.SeatsExhausted:
                status = 2
                os.write(w2, b"x")
                while status == 2:
                    try:
                        queue.put("again")
                        status = 0
                    except sk.SeatsExhausted:
                        pass
            os._exit(status)
        os.read(r2, 1)
        os.kill(other, 9)
        os.waitpid(other, 0)
        assert os.waitpid(last, 0)[1] == 0
        assert queue.get_many() == ["ours", "its", "again"]
        os.write(w, b"x" * len(idle))
        for pid in idle:
            os.waitpid(pid, 0)
    """)


def test_a_child_without_a_descriptor_is_told_so_and_not_of_seats() -> None:
    assert run("""
        import os, resource, sharedkit as sk
        queue = sk.Queue()
        highest = os.dup(0)
        os.close(highest)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if os.fork() == 0:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
            try:
                queue.put(1)
            except OSError as why:
                print(why.errno == 24, flush=True)
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 9, hard))
            queue.put(2)
            os._exit(0)
        os.wait()
        print(queue.get())
    """) == "True\n2"  # fmt: skip


def test_ten_thousand_structures_cost_no_descriptor() -> None:
    assert run("""
        import os, resource, sharedkit as sk
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        counters = [sk.Counter(i) for i in range(10_000)]
        locks = [sk.Lock() for _ in range(100)]
        for lock in locks:
            lock.acquire()
        print(sum(counter.add(1) for counter in counters), len(os.listdir("/proc/self/fd")) < 10)
    """) == f"{sum(range(1, 10_001))} True"  # fmt: skip


# --- ends without a kill ---------------------------------------------------------------------------------

ENDS = {
    "exec of a child": "if os.fork() == 0: os.close(w); os.read(r, 1); os.execv('/bin/true', ['true'])",
    "_exit of a child": "if os.fork() == 0: os.close(w); os.read(r, 1); os._exit(0)",
    "exec of the only one": "os.execv('/bin/true', ['true'])",
    "_exit of the only one": "os._exit(0)",
}
USES = {
    "creation": "sk.Counter().close()",
    "attachment": "sk.attach('other').close()",
    "ls": "sk.segments.live()",
}


@pytest.mark.parametrize("after", USES)
@pytest.mark.parametrize("how", ENDS)
def test_what_an_end_without_a_kill_leaves_goes_at_the_next_use_of_any_program(
    how: str, after: str, folder: str
) -> None:
    run("import sharedkit as sk; sk.Counter(name='other', persist=True)", SHAREDKIT_DIR=folder)
    run(
        f"import os, sharedkit as sk; q = sk.Queue(name='ended'); q.put(1); r, w = os.pipe()\n{ENDS[how]}",
        SHAREDKIT_DIR=folder,
    )
    while "sk_ended" in os.listdir(folder):  # the child may still be about
        run(f"import sharedkit as sk; {USES[after]}", SHAREDKIT_DIR=folder)
    run("import sharedkit as sk; sk.attach('other').unlink()", SHAREDKIT_DIR=folder)


def test_a_program_removes_an_orphan_with_a_creation_a_second_later() -> None:
    run("""
        import os, time, sharedkit as sk
        from sharedkit import segments
        sk.Counter().close()                     # has looked just now
        name = f"orphan-{os.getpid()}"
        if os.fork() == 0:
            sk.Counter(name=name)
            os._exit(0)
        os.wait()
        time.sleep(segments.SWEEP_EVERY)
        sk.Counter().close()
        assert not os.path.exists(f"/dev/shm/sk_{name}")
    """)


def test_an_orphan_that_another_process_is_just_sweeping_has_no_claim_on_its_name(folder: str) -> None:
    """The other one is an open file here: it has locked the presence (decisions/0014), and removes the name later."""
    run("""
        import fcntl, os, struct, threading, time, sharedkit as sk
        if os.fork() == 0:
            counter = sk.Counter(5, name="orphan")
            os._exit(0)
        os.wait()
        path = os.path.join(os.environ["SHAREDKIT_DIR"], "sk_orphan")
        fd = os.open(path, os.O_RDWR)
        presence = (1 << 40) + (1 << 20)
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, presence, 2, 0))
        def sweep():
            time.sleep(0.05)
            os.unlink(path)
            os.close(fd)
        other = threading.Thread(target=sweep)
        other.start()
        assert sk.Counter(name="orphan").value == 0
        other.join()
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_a_preexec_function_that_outlasts_close_leaves_nothing(folder: str) -> None:
    run("""
        import os, subprocess, threading, sharedkit as sk
        r, w = os.pipe()
        r2, w2 = os.pipe()
        queue = sk.Queue()
        queue.put(1)
        def preexec():
            os.write(w2, b"x")
            os.read(r, 1)
        start = lambda: subprocess.Popen(["/bin/true"], preexec_fn=preexec).wait()
        thread = threading.Thread(target=start)
        thread.start()
        os.read(r2, 1)                           # the child has forked, and has not become another program
        queue.close()
        os.write(w, b"x")
        thread.join()
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_a_program_that_ends_without_a_free_descriptor_leaves_nothing(folder: str) -> None:
    run("""
        import os, resource, sharedkit as sk
        queue, counter, lock = sk.Queue(), sk.Counter(), sk.Lock()
        queue.put(1)
        lock.acquire()
        highest = os.dup(0)
        os.close(highest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
        counter.close()
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_an_unlinked_segment_in_use_is_handed_over_from_the_dead_and_goes_with_the_last(folder: str) -> None:
    run("""
        import os, sharedkit as sk
        lock = sk.Lock(persist=True)
        r, w = os.pipe()
        if os.fork() == 0:
            lock.acquire()
            os.write(w, b"x")
            os.kill(os.getpid(), 9)
        os.read(r, 1)
        lock.unlink()
        os.wait()
        assert lock.acquire(timeout=60)
    """, SHAREDKIT_DIR=folder)  # fmt: skip


# --- whose file it is ------------------------------------------------------------------------------------


@root_only
def test_a_segment_of_another_user_is_neither_attached_nor_swept_nor_believed() -> None:
    name = f"strange-{os.getpid()}"
    try:
        run(f"""
            import os, sharedkit as sk
            os.setgid(65534), os.setuid(65534)
            queue = sk.Queue(name={name!r}, persist=True)
            queue.put("theirs")
            os.chmod("/dev/shm/sk_{name}", 0o666)
        """)
        assert run(f"""
            import os, sharedkit as sk
            os.setgid(1000), os.setuid(1000)
            for use in (lambda: sk.attach({name!r}), lambda: sk.Queue(name={name!r}, exist_ok=True, persist=True)):
                try:
                    use()
                except sk.UntrustedSegmentError as why:
                    print(why.filename)
            sk.Counter().close()
        """) == "\n".join(2 * [str(path_of(name))])  # fmt: skip
        assert path_of(name).exists()
    finally:
        path_of(name).unlink()


@root_only
def test_a_stranger_s_file_is_not_opened_by_a_sweep() -> None:
    path = path_of(f"lease-{os.getpid()}")
    path.write_bytes(b"SHREDKT2" + bytes(1 << 16))
    os.chown(path, 65534, 65534)
    path.chmod(0o666)
    try:
        assert path.stat().st_uid == 65534
        _segment.sweep([str(path)])
        segments.sweep()
        assert path.exists()
        with pytest.raises(errors.UntrustedSegmentError):
            segments.attach(path.name.removeprefix("sk_"))
    finally:
        path.unlink()


# --- where people run it ------------------------------------------------------------------------------------


def test_another_folder_holds_segments_and_handles_carry_theirs(folder: str) -> None:
    assert run("""
        import os, pickle, subprocess, sys, sharedkit as sk
        queue = sk.Queue(name="here", persist=True)
        queue.put("through")
        assert os.listdir(os.environ["SHAREDKIT_DIR"]) == ["sk_here"]
        code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).get())"
        elsewhere = {key: value for key, value in os.environ.items() if key != "SHAREDKIT_DIR"}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, input=pickle.dumps(queue), capture_output=True, env=elsewhere)
        print(done.stdout.decode().strip(), done.stderr.decode())
        sk.attach("here").unlink()
    """, SHAREDKIT_DIR=folder) == "through"  # fmt: skip


@pytest.mark.parametrize("where", ["/nowhere/at/all", "/proc"])
def test_a_folder_that_cannot_hold_segments_is_named_with_the_way_out(where: str) -> None:
    said = run(
        """
        import sharedkit as sk
        for use in (sk.Counter, sk.Queue, lambda: sk.Array(5, "i8")):
            try:
                use()
            except OSError as why:
                print(why.filename, "SHAREDKIT_DIR" in str(why))
        """,
        SHAREDKIT_DIR=where,
    )
    assert said == "\n".join(3 * [f"{where} True"])


def test_a_limit_of_file_sizes_is_named() -> None:
    assert run("""
        import resource, sharedkit as sk
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        small = sk.Queue()
        for use in (lambda: sk.Array(1 << 20, "i8"), lambda: small.put(bytes(3 << 20))):
            try:
                use()
            except OSError as why:
                print("RLIMIT_FSIZE" in str(why))
        small.put("small")
        print(small.get())
    """) == "True\nTrue\nsmall"  # fmt: skip


def test_a_limit_of_memory_is_named() -> None:
    assert run("""
        import resource, sharedkit as sk
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        try:
            sk.Array(1 << 28, "i8")
        except sk.OutOfSharedMemory as why:
            print("ulimit -v" in str(why))
        sk.Counter(1).close()
    """) == "True"  # fmt: skip


def test_two_layouts_on_one_name_refuse_each_other_with_both_numbers() -> None:
    name = f"layout-{os.getpid()}"
    with shm.Counter(name=name, persist=True):
        raw = bytearray(path_of(name).read_bytes())
    shm.Counter(name=name, exist_ok=True, persist=True).unlink()
    raw[8:12] = (_segment.LAYOUT - 1).to_bytes(4, "little")
    path_of(name).write_bytes(raw)
    try:
        with pytest.raises(errors.LayoutError, match=f"layout {_segment.LAYOUT - 1}.*layout {_segment.LAYOUT}"):
            segments.attach(name)
        with pytest.raises(errors.LayoutError):
            shm.Counter(name=name, exist_ok=True)
        segments.sweep()
        assert path_of(name).exists()
    finally:
        path_of(name).unlink()


# --- odd programs ---------------------------------------------------------------------------------------------


def test_a_message_to_a_closed_standard_error_does_not_go_into_a_segment(folder: str) -> None:
    run("""
        import os, subprocess, sys, textwrap, sharedkit as sk
        code = '''
        import os, sharedkit as sk
        lock = sk.attach("it")
        assert not lock.acquire(timeout=0.1)     # has asked who lives, and keeps a descriptor for the next time
        for fd in (0, 1, 2):
            try:
                os.write(fd, b"a message of a C library")
            except OSError:
                pass
        '''
        lock = sk.Lock(name="it")
        lock.acquire()
        command = [sys.executable, "-c", textwrap.dedent(code)]
        assert subprocess.run(command, preexec_fn=lambda: os.closerange(0, 3)).returncode == 0
        assert subprocess.run([sys.executable, "-c", "import sharedkit as sk; sk.attach('it')"]).returncode == 0
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_who_has_no_descriptor_left_still_learns_that_an_owner_died() -> None:
    assert run("""
        import os, resource, sharedkit as sk
        lock = sk.Lock()
        lock.acquire()
        lock.release()
        r, w = os.pipe()
        child = os.fork()
        if child == 0:
            lock.acquire()
            os.write(w, b"x")
            os.kill(os.getpid(), 9)
        os.read(r, 1)
        os.waitpid(child, 0)
        highest = os.dup(0)
        os.close(highest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
        print(lock.acquire(timeout=60))
    """) == "True"  # fmt: skip


def test_threads_go_on_while_another_closes_every_descriptor_again_and_again(folder: str) -> None:
    run("""
        import os, threading, sharedkit as sk
        done, failed, other = threading.Event(), [], sk.Lock(name="other")
        def work():
            try:
                for _ in range(300):
                    lock, queue = sk.Lock(), sk.Queue()
                    with lock, other:
                        queue.put(bytes(100_000))
                        queue.get()
                    lock.close()
                    queue.unlink()
                    queue.close()
            except BaseException as why:
                failed.append(why)
            done.set()
        thread = threading.Thread(target=work)
        thread.start()
        while not done.wait(0.0002):  # what it takes to make a segment fits in between
            os.closerange(3, 64)
        thread.join()
        assert not failed, failed
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_a_descriptor_on_its_way_that_the_program_closed_is_not_closed_again(folder: str) -> None:
    run("""
        import multiprocessing as mp, os, sharedkit as sk
        from sharedkit import segments
        queue = sk.Queue()
        process = mp.get_context("spawn").Process(target=repr, args=(queue,))
        process.start()
        [transit] = segments._in_transit
        os.dup2(os.open("/dev/null", os.O_RDONLY), transit.fd)   # closes it, and takes its number
        sk.Counter().close()
        assert not segments._in_transit
        os.fstat(transit.fd)
        process.join()
    """, SHAREDKIT_DIR=folder)  # fmt: skip


@pytest.mark.parametrize("limit", [64, 1024])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_is_given_more_handles_than_there_are_descriptors(method: str, limit: int, folder: str) -> None:
    run("""
        import multiprocessing as mp, resource, sys, sharedkit as sk
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        counters = [sk.Counter() for _ in range(300)]
        process = mp.get_context(sys.argv[1]).Process(target=repr, args=(counters,))
        process.start()
        process.join()
        assert process.exitcode == 0
    """, method, limit, SHAREDKIT_DIR=folder)  # fmt: skip


def test_a_process_that_could_not_be_started_keeps_no_segment(folder: str) -> None:
    run("""
        import multiprocessing as mp, sharedkit as sk
        queue = sk.Queue()
        process = mp.get_context("spawn").Process(target=repr, args=(queue, lambda: 0))
        try:
            process.start()
        except Exception as why:
            kept = why                           # with its traceback, and so the attempt, until the end
        else:
            raise AssertionError
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_programs_started_meanwhile_leave_no_segment(folder: str) -> None:
    run("""
        import subprocess, threading, sharedkit as sk
        def start():
            for _ in range(150):
                subprocess.run(["/bin/true"])    # by vfork, which no handler sees
            done.set()
        done = threading.Event()
        thread = threading.Thread(target=start)
        thread.start()
        while not done.is_set():
            sk.Counter().close()
        thread.join()
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_several_programs_that_unlink_one_name_leave_nothing(folder: str) -> None:
    run("""
        import os, sharedkit as sk
        children = []
        for _ in range(5):
            children.append(os.fork())
            if children[-1] == 0:
                for _ in range(500):
                    queue = sk.Queue(name="it", exist_ok=True, persist=True)
                    queue.unlink()
                    queue.close()
                os._exit(0)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_a_handle_that_goes_with_the_interpreter_is_not_heard(folder: str) -> None:
    run("""
        import os, sys, sharedkit as sk
        class Cycle:
            pass
        cycle = Cycle()
        cycle.itself, cycle.queue, sys.modules["a cycle"] = cycle, sk.Queue(), cycle
        sys.kept = [sk.Lock()]
        r, w = os.pipe()
        if os.fork() == 0:                       # still present when they go
            os.close(w)
            os.read(r, 1)
            os.closerange(0, 3)
            sys.exit()
    """, SHAREDKIT_DIR=folder)  # fmt: skip
    segments.sweep()
    while os.listdir(folder):  # the child leaves a moment later
        run("from sharedkit import segments; segments.sweep()", SHAREDKIT_DIR=folder)


HOLD_UP = """
    import os, sys, threading, sharedkit as sk
    from sharedkit import segments
    {before}
    done, forks = threading.Event(), 0
    def work():
        {work}
        done.set()
    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
        forks += 1
    thread.join()
    print(forks > 2 or forks)                # held up: one before it began, and one that had to wait
"""
LONG = {
    "creation": ("", "sk.Array(1 << 30, 'u1')"),
    "growth": ("", "sk.Queue().put(bytes(1 << 28))"),
    "end": ("array = sk.Array(1 << 30, 'u1')", "array.close()"),
    "orphan": (
        "path = os.fork() or (sk.Array(1 << 30, 'u1', name='orphan'), os._exit(0)); os.wait()",
        "assert segments.sweep() == ['orphan']",
    ),
}


@pytest.mark.parametrize("what", LONG)
def test_forks_go_on_while_much_memory_is_reserved_or_given_back(what: str, folder: str) -> None:
    before, work = LONG[what]
    assert run(HOLD_UP.format(before=before, work=work), SHAREDKIT_DIR=folder) == "True"


# --- where and for whom ---------------------------------------------------------------------------------------


def test_a_relative_folder_keeps_its_meaning(folder: str) -> None:
    run("""
        import os
        os.chdir(os.environ["SHAREDKIT_DIR"])
        os.environ["SHAREDKIT_DIR"] = "."
        import sharedkit as sk
        queue = sk.Queue(name="it")
        os.chdir("/")
        queue.put(bytes(1 << 20))
        assert sk.attach("it").qsize() == 1
        sk.Counter().close()
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_long_folders_and_names_are_kept_whole_or_refused(folder: str) -> None:
    run("""
        import os, shutil, sys
        top = os.environ["SHAREDKIT_DIR"]
        def deep(length):
            path = top
            while length - len(path) > 100:
                path += "/" + "d" * 60
            return path + "/" + "e" * (length - len(path) - 1)
        os.environ["SHAREDKIT_DIR"] = path = deep(300)
        os.makedirs(path)
        import sharedkit as sk
        name = "n" * 199
        one, two = sk.Counter(1, name=name + "1"), sk.Counter(2, name=name + "2")
        assert (one.value, two.value) == (1, 2)
        assert sorted(os.listdir(path)) == [f"sk_{name}1", f"sk_{name}2"]
        one.close(), two.close()
        from sharedkit import _segment
        _segment.FOLDER = deep(301)
        os.mkdir(_segment.FOLDER)
        try:
            sk.Counter()
        except OSError as why:
            assert why.filename == _segment.FOLDER and "300" in str(why)
        else:
            raise AssertionError
        assert os.listdir(_segment.FOLDER) == []
        for entry in os.listdir(top):
            shutil.rmtree(os.path.join(top, entry))
    """, SHAREDKIT_DIR=folder)  # fmt: skip


@root_only
def test_a_file_system_whose_mappings_keep_no_lock_is_refused() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="tests-") as top:
        for name in ("low", "up", "work", "there"):
            os.mkdir(f"{top}/{name}")
        layers = f"lowerdir={top}/low,upperdir={top}/up,workdir={top}/work"
        code = "import sharedkit as sk\ntry: sk.Lock()\nexcept OSError as why: print(why.errno, 'tmpfs' in str(why))"
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", f'mount -t overlay none -o {layers} {top}/there || exit 77; "$0" -c "$1"',
             sys.executable, code],
            capture_output=True, text=True, timeout=LIMIT, env={**os.environ, "SHAREDKIT_DIR": f"{top}/there"},
        )  # fmt: skip
        if done.returncode == 77 or "unshare" in done.stderr:
            pytest.skip(f"no overlay can be mounted here: {done.stderr}")
        # 95: no nameless files there (before Linux 6.1), or no lock
        assert (done.returncode, done.stdout, done.stderr) == (0, "95 True\n", "")
        assert os.listdir(f"{top}/up") == []


@root_only
def test_who_changed_its_user_is_told_what_to_do(folder: str) -> None:
    os.chmod(folder, 0o755)
    assert run("""
        import os, sharedkit as sk
        lock, path = sk.Lock(name="it"), os.environ["SHAREDKIT_DIR"] + "/sk_it"
        if os.fork() == 0:
            os.setuid(1000)
            try:
                lock.acquire()
            except PermissionError as why:
                print(why.filename == path, "user 1000" in str(why), "group=" in str(why), flush=True)
            os._exit(0)
        os.wait()
    """, SHAREDKIT_DIR=folder) == "True True True"  # fmt: skip


@root_only
def test_an_orphan_of_another_user_of_the_group_is_named_at_once(folder: str) -> None:
    os.chmod(folder, 0o1777)
    how = "name='it', mode=0o660, group=4321"
    run(f"""
        import os, sharedkit as sk
        os.setgroups([4321]), os.setuid(1000)
        queue = sk.Queue({how})
        os._exit(0)
    """, SHAREDKIT_DIR=folder)  # fmt: skip
    assert run(f"""
        import os, sharedkit as sk
        os.setgroups([4321]), os.setuid(1001)
        attach = lambda: sk.attach("it", trust="group")
        for use in (attach, lambda: sk.Queue({how}), lambda: sk.Queue({how}, exist_ok=True)):
            try:
                use()
            except OSError as why:
                print(type(why).__name__, "uid 1000" in str(why))
    """, SHAREDKIT_DIR=folder) == "FileNotFoundError False\nFileExistsError True\nFileExistsError True"  # fmt: skip
    run("import os, sharedkit as sk; os.setgroups([4321]), os.setuid(1000); sk.segments.sweep()", SHAREDKIT_DIR=folder)


@root_only
def test_a_group_beyond_the_256th_is_one_of_ours(folder: str) -> None:
    os.chmod(folder, 0o1777)
    assert run("""
        import os, sharedkit as sk
        os.setgroups(range(5000, 5400)), os.setuid(1000)
        queue = sk.Queue(name="it", mode=0o660, group=5399)
        print(sk.segments.Segment.attach(queue._segment().path, "it", "group").kind > 0)
    """, SHAREDKIT_DIR=folder) == "True"  # fmt: skip


def test_unlink_leaves_alone_what_has_taken_the_name_meanwhile(folder: str) -> None:
    run("""
        import os, sharedkit as sk
        counter, path = sk.Counter(name="it"), os.environ["SHAREDKIT_DIR"] + "/sk_it"
        for make, remove in ((os.mkdir, os.rmdir), (lambda at: os.symlink("/nowhere", at), os.unlink)):
            os.path.lexists(path) and os.unlink(path)
            make(path)
            counter.unlink()
            remove(path)
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_unlink_works_though_somebody_has_the_hidden_name(folder: str) -> None:
    run("""
        import os, sharedkit as sk
        counter, folder = sk.Counter(name="it", persist=True), os.environ["SHAREDKIT_DIR"]
        hidden = f"{folder}/.sk_{os.stat(f'{folder}/sk_it').st_ino:x}"
        open(hidden, "w").close()
        counter.unlink()
        assert os.listdir(folder) == [os.path.basename(hidden)]
        os.unlink(hidden)
    """, SHAREDKIT_DIR=folder)  # fmt: skip
