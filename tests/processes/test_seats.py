"""Which processes live, whose files are trusted, what remains: daemons, unseen forks, other users, folders, limits."""

from __future__ import annotations

import os
from contextlib import closing

import pytest
from processes.programs import LIMIT, Program, path_of, run

from sharedkit import errors, segments, shm
from sharedkit._core import segment as core

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to two other users")


# --- which processes are alive -------------------------------------------------------------------------

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
def test_a_process_that_closes_all_its_descriptors_keeps_its_locks_until_it_dies(kind: type) -> None:
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
def test_the_lock_of_a_dead_process_goes_to_the_next_although_its_unseen_child_lives(kind: type, what: str) -> None:
    with closing(kind()) as thing, Program(HOLDER.format(what=what), thing.name) as holder:
        assert holder.line() == "holding"
        os.kill(holder.pid, 9)  # the child of the fork lives on
        assert thing.acquire(timeout=LIMIT)
        thing.release()


def test_the_child_of_an_unseen_fork_has_a_seat_of_its_own() -> None:
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


def test_a_forked_child_takes_a_seat_only_when_it_uses_something_and_retries_if_none_was_free() -> None:
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


SEATED = {
    "Queue": "thing.put(1)",
    "Lock": "thing.acquire(); thing.release()",
    "Dict": "thing['a'] = 1",
    "Semaphore": "thing.release(); thing.acquire(timeout=9); thing.acquire(timeout=9); thing.acquire(timeout=0.01)",
    "Barrier": "thing.wait()",
    "RWLock": "thing.acquire_read(); thing.release_read()",
}


@pytest.mark.parametrize("kind", SEATED)
def test_a_process_without_a_seat_is_told_the_segment_and_how_many_seats_it_has(kind: str) -> None:
    name = f"seats-{os.getpid()}"
    told = run(f"""
        import os, sharedkit as sk
        thing = sk.{kind}({"1, " * (kind == "Barrier")}name={name!r}, seats=1)
        {SEATED[kind]}
        r, w = os.pipe()
        if os.fork() == 0:
            try:
                {SEATED[kind]}
            except sk.SeatsExhausted as why:
                os.write(w, str(why).encode())
            os._exit(0)
        os.wait()
        print(os.read(r, 999).decode())
    """)
    assert told.endswith(f"no seat is free in segment {name!r}, which has 1: create it with a larger seats=")


def test_a_child_without_a_free_descriptor_gets_that_error_and_not_one_about_seats() -> None:
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
def test_the_next_use_by_any_program_removes_what_an_exec_or_exit_leaves(how: str, after: str, folder: str) -> None:
    run("import sharedkit as sk; sk.Counter(name='other', persist=True)", SHAREDKIT_DIR=folder)
    run(
        f"import os, sharedkit as sk; q = sk.Queue(name='ended'); q.put(1); r, w = os.pipe()\n{ENDS[how]}",
        SHAREDKIT_DIR=folder,
    )
    while "sk_ended" in os.listdir(folder):  # the child may still be running
        run(f"import sharedkit as sk; {USES[after]}", SHAREDKIT_DIR=folder)
    run("import sharedkit as sk; sk.attach('other').unlink()", SHAREDKIT_DIR=folder)


def test_a_program_removes_an_orphan_with_a_creation_a_second_later() -> None:
    run("""
        import os, time, sharedkit as sk
        from sharedkit import segments
        sk.Counter().close()                     # this process has just searched for orphans
        name = f"orphan-{os.getpid()}"
        if os.fork() == 0:
            sk.Counter(name=name)
            os._exit(0)
        os.wait()
        time.sleep(segments.SWEEP_EVERY)
        sk.Counter().close()
        assert not os.path.exists(f"/dev/shm/sk_{name}")
    """)


def test_an_orphan_that_another_process_is_sweeping_does_not_block_its_name(folder: str) -> None:
    """An open file here plays the other process: it locks the presence (decisions/0014), and removes the name later."""
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


def test_the_lock_of_a_dead_process_is_handed_over_in_an_unlinked_segment_too(folder: str) -> None:
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


# --- whose files are trusted -------------------------------------------------------------------------------


@root_only
def test_a_segment_of_another_user_is_neither_attached_nor_swept() -> None:
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
def test_a_sweep_does_not_open_a_file_of_another_user() -> None:
    path = path_of(f"lease-{os.getpid()}")
    path.write_bytes(b"SHREDKT2" + bytes(1 << 16))
    os.chown(path, 65534, 65534)
    path.chmod(0o666)
    try:
        assert path.stat().st_uid == 65534
        core.sweep([str(path)])
        segments.sweep()
        assert path.exists()
        with pytest.raises(errors.UntrustedSegmentError):
            segments.attach(path.name.removeprefix("sk_"))
    finally:
        path.unlink()


# --- folders and limits -------------------------------------------------------------------------------------


def test_segments_may_be_in_another_folder_and_handles_remember_theirs(folder: str) -> None:
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
def test_the_error_about_a_folder_that_cannot_hold_segments_says_what_to_do(where: str) -> None:
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
        pages = int(open("/proc/self/statm").read().split()[0])    # a free-threaded Python has a gigabyte by now
        limit = pages * resource.getpagesize() + (1 << 28)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            sk.Array(1 << 28, "i8")
        except sk.OutOfSharedMemory as why:
            print("ulimit -v" in str(why))
        sk.Counter(1).close()
    """) == "True"  # fmt: skip


def test_a_segment_of_another_layout_is_refused_with_both_numbers() -> None:
    name = f"layout-{os.getpid()}"
    with shm.Counter(name=name, persist=True):
        raw = bytearray(path_of(name).read_bytes())
    shm.Counter(name=name, exist_ok=True, persist=True).unlink()
    raw[8:12] = (core.LAYOUT - 1).to_bytes(4, "little")
    path_of(name).write_bytes(raw)
    try:
        with pytest.raises(errors.LayoutError, match=f"layout {core.LAYOUT - 1}.*layout {core.LAYOUT}"):
            segments.attach(name)
        with pytest.raises(errors.LayoutError):
            shm.Counter(name=name, exist_ok=True)
        segments.sweep()
        assert path_of(name).exists()
    finally:
        path_of(name).unlink()
