"""A /dev/shm of 16 MiB in a private mount namespace: when it is full, calls raise and say so; never a bus error."""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

WATCHDOG = 300
MIB = 1 << 20


def may_unshare() -> str | None:
    """The reason why no private mount namespace can be made here, or None."""
    if shutil.which("unshare") is None:
        return "no unshare command"
    tried = subprocess.run([*namespace(), "true"], capture_output=True, text=True, timeout=WATCHDOG)
    return None if tried.returncode == 0 else f"not permitted: {tried.stderr.strip()}"


def namespace(size: int = 16 * MIB) -> list[str]:
    mounts = f'mount -t tmpfs -o size={size},mode=1777 none /dev/shm && exec "$@"'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "sh", "-c", mounts, "sh"]


WHY_NOT = may_unshare()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=f"private mount namespace: {WHY_NOT}")


def in_small_shm(program: str, size: int = 16 * MIB) -> str:
    """Return what the program prints. It must end by itself with status 0 and print nothing on stderr."""
    head = """
        import os, re
        from pathlib import Path
        from sharedkit import errors, segments, shm

        def free():
            room = os.statvfs("/dev/shm")
            return room.f_bavail * room.f_frsize

        def numbers(why):
            "How much was asked and how much is free, as the message says."
            found = re.findall(r"([\\d,]+) (?:bytes were asked|are free in /dev/shm)", str(why))
            return [int(each.replace(",", "")) for each in found]
    """
    done = subprocess.run(
        [*namespace(size), sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(program)],
        capture_output=True, text=True, timeout=WATCHDOG,
    )  # fmt: skip
    assert done.returncode == 0, f"ended with {done.returncode} (a negative number is a signal)\n{done.stderr}"
    assert done.stderr == ""
    return done.stdout


def test_a_queue_that_fills_shared_memory_refuses_and_keeps_what_it_has() -> None:
    in_small_shm("""
        queue = shm.Queue()
        n = 0
        try:
            while True:
                queue.put(n.to_bytes(4, "little") * 2500)
                n += 1
        except errors.OutOfSharedMemory as why:
            assert isinstance(why, MemoryError)
            asked, told = numbers(why)
            assert asked == 10_000 and abs(told - free()) < 1 << 20, (str(why), free())
        assert n > 200 and queue.qsize() == n
        for i in range(n):
            assert queue.get(timeout=5) == i.to_bytes(4, "little") * 2500
        for i in range(3 * n):   # round and round within what it has
            queue.put(bytes([i % 256]) * 10_000)
            assert queue.get(timeout=5) == bytes([i % 256]) * 10_000
        assert queue.empty()
        queue.close()
        assert os.listdir("/dev/shm") == []
    """)


def test_an_item_larger_than_shared_memory_is_refused_and_the_queue_goes_on() -> None:
    in_small_shm("""
        queue = shm.Queue()
        queue.put("first")
        before = free()
        for size in (17 << 20, 64 << 20, 1 << 30):
            try:
                queue.put(bytes(size))
            except errors.OutOfSharedMemory as why:
                assert f"{size:,}" in str(why)
            else:
                raise AssertionError("it cannot have fitted")
            assert abs(free() - before) < 1 << 16   # what was reserved in vain is given back
        try:
            queue.put_many(["second", bytes(64 << 20), "third"])
        except errors.OutOfSharedMemory as why:
            assert why.put == 1, why.put
        assert queue.get_many() == ["first", "second"]
    """)


def test_memory_of_dead_processes_is_there_for_the_next_creation_at_once() -> None:
    in_small_shm("""
        import signal, subprocess, sys
        big = "import sharedkit as sk, os; a = sk.Array(10 << 20, 'u1'); os.kill(os.getpid(), 9)"
        for _ in range(3):   # each within a second of the last search for what the dead left
            with shm.Counter():
                pass
            died = subprocess.run([sys.executable, "-c", big]).returncode
            assert died == -signal.SIGKILL, died
            assert free() < 10 << 20
            shm.Array(10 << 20, "u1").close()
        assert os.listdir("/dev/shm") == []
    """)


def test_ten_frames_of_full_hd_fit_the_64_mib_of_a_container() -> None:
    """Doubling the ring does not fit, so it takes what is free."""
    in_small_shm(
        """
        import numpy as np
        frames = [np.full((1080, 1920, 3), i, "u1") for i in range(10)]
        queue = shm.Queue(10)
        for each in frames:
            queue.put(each, timeout=60)
        for _ in range(2):   # and round and round
            for each in frames:
                assert np.array_equal(queue.get(timeout=60), each)
                queue.put(each, timeout=60)
        assert queue.statistics().capacity_bytes % 4096 == 0
        shm.Counter().close()    # a little is left for others
        """,
        64 * MIB,
    )


def test_the_error_says_what_the_ring_holds_and_by_how_much_it_would_have_to_grow() -> None:
    in_small_shm("""
        queue = shm.Queue()
        item = bytes(1 << 20)
        try:
            while True:
                queue.put(item)
        except errors.OutOfSharedMemory as why:
            asked, told = numbers(why)
            ring, used, lack = (
                int(re.search(words, str(why))[1].replace(",", ""))
                for words in ("ring holds ([0-9,]+) bytes", "([0-9,]+) are in use", "must grow by ([0-9,]+)")
            )
        n = queue.qsize()
        assert n >= 14, n    # of 16 MiB; a ring of doubled lengths has 7
        assert asked == 1 << 20 and ring == queue.statistics().capacity_bytes
        assert used == n * ((1 << 20) + 16) and lack > told
        assert lack == -(-(used + (1 << 20) + 16 - ring) // 4096) * 4096    # whole pages
    """)


def test_a_ring_with_items_around_its_end_grows_by_little_and_keeps_all_items() -> None:
    """Wherever the items lie in the ring and however little memory is free, all of them come out in order."""
    in_small_shm("""
        from collections import deque
        ballast = Path("/dev/shm/ballast")
        grown = refused = 0
        for ahead in range(0, 17, 2):
            for pages in (1, 2, 3, 5, 8, 13, 21):
                ballast.unlink(missing_ok=True)
                queue, there = shm.Queue(), deque()
                for i in range(ahead):    # where the ring's first item lies
                    queue.put(bytes(1000))
                    queue.get(timeout=60)
                with ballast.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, free() - pages * 4096)
                for i in range(60):
                    item = os.urandom(500 + 137 * i % 900)
                    before = queue.statistics().capacity_bytes
                    try:
                        queue.put(item)
                        there.append(item)
                        grown += queue.statistics().capacity_bytes > before
                    except errors.OutOfSharedMemory:
                        refused += 1
                        assert queue.statistics().capacity_bytes == before
                        assert queue.get(timeout=60) == there.popleft()
                assert [queue.get(timeout=60) for _ in there] == list(there)
                queue.close()
        assert grown > 63 and refused > 63, (grown, refused)
        ballast.unlink()
        assert os.listdir("/dev/shm") == []
    """)


def test_all_processes_can_use_a_ring_that_grew_a_hundred_times_page_by_page() -> None:
    """A process does not run out of mappings, however often the ring grows."""
    in_small_shm("""
        import multiprocessing

        context = multiprocessing.get_context("fork")
        ballast = open("/dev/shm/ballast", "wb")
        queue, (mine, yours) = shm.Queue(), context.Pipe()

        def put_when_asked():
            while (item := mine.recv()) is not None:
                queue.put(item)
                mine.send(True)

        child = context.Process(target=put_when_asked, daemon=True)
        child.start()
        put, sizes = 0, set()
        os.posix_fallocate(ballast.fileno(), 0, free() - 16 * 4096)
        for i in range(100):
            os.ftruncate(ballast.fileno(), os.fstat(ballast.fileno()).st_size - 3 * 4096)
            yours.send(put.to_bytes(4, "little") * 1000)
            assert yours.recv()
            put += 1
            while True:    # fill it to the edge
                try:
                    queue.put(put.to_bytes(4, "little") * 1000)
                    put += 1
                except errors.OutOfSharedMemory:
                    break
            sizes.add(queue.statistics().capacity_bytes)
        assert len(sizes) > 90, len(sizes)
        yours.send(None)
        child.join(120)
        assert child.exitcode == 0
        for i in range(put):
            assert queue.get(timeout=120) == i.to_bytes(4, "little") * 1000
    """)


def test_batches_that_fill_the_memory_say_how_many_items_went_in() -> None:
    in_small_shm("""
        queue = shm.Queue()
        items = [i.to_bytes(4, "little") * 5000 for i in range(2000)]   # 40 MB
        try:
            queue.put_many(items)
        except errors.OutOfSharedMemory as why:
            n = why.put
        assert 0 < n < 2000 and queue.qsize() == n
        taken = []
        while len(taken) < n:
            taken += queue.get_many(timeout=5)
        assert taken == items[:n]
        queue.put_many(items[:100])
        assert queue.get_many(100) == items[:100]
    """)


def test_growth_at_every_distance_from_the_edge_never_dies() -> None:
    in_small_shm("""
        ballast = Path("/dev/shm/ballast")
        grown = refused = 0
        for pages in range(0, 160, 5):   # from ample room down to none
            ballast.unlink(missing_ok=True)
            queue = shm.Queue()
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free() - pages * 4096)
            put = []
            for i in range(60):
                item = bytes([i]) * 7000
                try:
                    queue.put(item, timeout=5)
                    put.append(item)
                    grown += 1
                except errors.OutOfSharedMemory:
                    refused += 1
                    if put:
                        assert queue.get(timeout=5) == put.pop(0)
            assert [queue.get(timeout=5) for _ in put] == put
            queue.close()
        assert grown > 100 and refused > 100, (grown, refused)
        ballast.unlink()
        assert os.listdir("/dev/shm") == []
    """)


def test_no_structure_is_made_in_a_full_shared_memory_and_nothing_is_left() -> None:
    in_small_shm("""
        Path("/dev/shm/ballast").write_bytes(b"")
        with open("/dev/shm/ballast", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, free())
        for make in (shm.Counter, shm.Queue, lambda: shm.Counters(["a", "b"])):
            try:
                make()
            except errors.OutOfSharedMemory as why:
                assert "are free in /dev/shm" in str(why)
            else:
                raise AssertionError("it cannot have fitted")
        assert os.listdir("/dev/shm") == ["ballast"]
        os.unlink("/dev/shm/ballast")
        with shm.Counter() as counter:
            assert counter.add(2) == 2
    """)


def test_many_queues_share_the_memory_without_harm() -> None:
    in_small_shm("""
        queues = [shm.Queue() for _ in range(8)]
        kept = [[] for _ in queues]
        i = refused = 0
        while refused < 200:
            which = i * 7 % 8
            item = bytes([i % 256]) * (i * 37 % 30_000)
            try:
                queues[which].put(item)
                kept[which].append(item)
            except errors.OutOfSharedMemory:
                refused += 1
                for queue, items in zip(queues, kept):
                    if items:
                        assert queue.get(timeout=5) == items.pop(0)
            i += 1
        for queue, items in zip(queues, kept):
            assert [queue.get(timeout=5) for _ in items] == items
    """)


def test_an_array_of_64_mib_is_refused_with_what_was_asked_and_what_is_free() -> None:
    in_small_shm("""
        try:
            shm.Array((8, 1 << 20), "f8")
        except errors.OutOfSharedMemory as why:
            asked, told = numbers(why)
            assert asked >= 64 << 20 and told <= 16 << 20
        else:
            raise AssertionError("it cannot have fitted")
        assert os.listdir("/dev/shm") == []
        grid = shm.Array((1 << 20,), "f8")   # 8 MiB: each of its pages is there
        grid.ndarray[:] = 1.5
        assert grid.ndarray.sum() == 1.5 * (1 << 20)
        try:
            shm.Array((1 << 20,), "f8")
        except errors.OutOfSharedMemory:
            grid.ndarray[:] = 2
        else:
            raise AssertionError("it cannot have fitted")
    """)
