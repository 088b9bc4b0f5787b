"""Programs that do unusual things, in unusual places and for unusual users: nothing of it harms a segment."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest
from processes.programs import LIMIT, run

from sharedkit import segments

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to two other users")


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


def test_a_process_without_a_free_descriptor_learns_that_an_owner_died() -> None:
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


def test_a_descriptor_in_transit_that_the_program_closed_is_not_closed_again(folder: str) -> None:
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


def test_programs_started_by_another_thread_leave_no_segment(folder: str) -> None:
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


def test_a_handle_that_goes_with_the_interpreter_prints_nothing(folder: str) -> None:
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
    while os.listdir(folder):  # the child ends a moment later
        run("from sharedkit import segments; segments.sweep()", SHAREDKIT_DIR=folder)


HOLD_UP = """
    import os, sys, threading, time, sharedkit as sk
    from sharedkit import segments
    {before}
    done, forks, longest, took = threading.Event(), 0, 0.0, []
    def work():
        began = time.monotonic()
        {work}
        took.append(time.monotonic() - began)
        done.set()
    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        began = time.monotonic()
        if (child := os.fork()) == 0:
            os._exit(0)
        longest = max(longest, time.monotonic() - began)
        os.waitpid(child, 0)
        forks += 1
    thread.join()
    # Held up: one before it began, and one that had to wait in fork(). A busy machine lets few children end, and
    # a quick end of the work leaves no time for three forks.
    print(forks > 2 or longest < max(took[0] / 2, 0.01) or (forks, longest, took))
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


# --- unusual places and users ---------------------------------------------------------------------------------


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
        from sharedkit._core import segment as core
        core.FOLDER = deep(301)
        os.mkdir(core.FOLDER)
        try:
            sk.Counter()
        except OSError as why:
            assert why.filename == core.FOLDER and "300" in str(why)
        else:
            raise AssertionError
        assert os.listdir(core.FOLDER) == []
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
        # 95: no O_TMPFILE there (before Linux 6.1), or no lock
        assert (done.returncode, done.stdout, done.stderr) == (0, "95 True\n", "")
        assert os.listdir(f"{top}/up") == []


@root_only
def test_a_process_that_changed_its_user_is_told_what_to_do(folder: str) -> None:
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
def test_a_group_beyond_the_256th_is_trusted(folder: str) -> None:
    os.chmod(folder, 0o1777)
    assert run("""
        import os, sharedkit as sk
        os.setgroups(range(5000, 5400)), os.setuid(1000)
        queue = sk.Queue(name="it", mode=0o660, group=5399)
        print(sk.segments.Segment.attach(queue._segment().path, "it", "group").kind > 0)
    """, SHAREDKIT_DIR=folder) == "True"  # fmt: skip


def test_unlink_leaves_alone_a_file_that_took_the_name_meanwhile(folder: str) -> None:
    run("""
        import os, sharedkit as sk
        counter, path = sk.Counter(name="it"), os.environ["SHAREDKIT_DIR"] + "/sk_it"
        for make, remove in ((os.mkdir, os.rmdir), (lambda at: os.symlink("/nowhere", at), os.unlink)):
            os.path.lexists(path) and os.unlink(path)
            make(path)
            counter.unlink()
            remove(path)
    """, SHAREDKIT_DIR=folder)  # fmt: skip


def test_unlink_works_although_another_file_has_the_hidden_name(folder: str) -> None:
    run("""
        import os, sharedkit as sk
        counter, folder = sk.Counter(name="it", persist=True), os.environ["SHAREDKIT_DIR"]
        hidden = f"{folder}/.sk_{os.stat(f'{folder}/sk_it').st_ino:x}"
        open(hidden, "w").close()
        counter.unlink()
        assert os.listdir(folder) == [os.path.basename(hidden)]
        os.unlink(hidden)
    """, SHAREDKIT_DIR=folder)  # fmt: skip
