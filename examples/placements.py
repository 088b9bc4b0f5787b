"""The same program with its state in this process, and in shared memory."""

import threading

import sharedkit as sk


def race(context, workers=4, turns=1000):
    counter = context.Counter()
    team = [threading.Thread(target=lambda: [counter.add() for _ in range(turns)]) for _ in range(workers)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return counter.value


if __name__ == "__main__":
    for method in ("thread", "shm"):
        counted = race(sk.get_context(method))
        print(method, counted)
        assert counted == 4000
