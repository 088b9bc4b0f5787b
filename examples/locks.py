"""A lock that says who has it, an event that starts all at once, and a worker that dies while it holds the lock."""

import multiprocessing as mp
import os
import signal
import warnings

import sharedkit as sk


def work(start, lock, total):
    start.wait()
    for _ in range(1000):
        with lock:
            total[0] += 1  # three steps: without the lock, some additions would be lost


def die_holding(lock):
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with sk.Event() as start, sk.Array(1, "i8") as total:
        lock = sk.Lock()
        team = [mp.Process(target=work, args=(start, lock, total)) for _ in range(3)]
        for process in team:
            process.start()
        with lock:
            start.set()
            print("held by this process:", lock.statistics().owner == os.getpid())
        for process in team:
            process.join()
        print(total[0])
        assert total[0] == 3000

        victim = mp.Process(target=die_holding, args=(lock,))
        victim.start()
        victim.join()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with lock:
                print("taken over from the dead:", lock.owner_died)
        assert [warning.category for warning in said] == [sk.OwnerDiedWarning]
        lock.close()
