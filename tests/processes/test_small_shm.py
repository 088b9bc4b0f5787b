"""A /dev/shm of 16 MiB, in a mount namespace of its own: full is an exception that says so, never a bus error."""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

WATCHDOG = 300
MIB = 1 << 20


def may_unshare() -> str | None:
    """Why there can be no private mount namespace here, or None."""
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
    """What the program prints. It must end by itself, cleanly and in silence."""
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


def test_batches_at_the_edge_say_how_many_went_in() -> None:
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


def test_many_queues_share_what_there_is_without_harm() -> None:
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
