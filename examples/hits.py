"""Count from many processes: an atomic counter, and a group of named ones."""

import multiprocessing as mp

import sharedkit as sk


def serve(hits, outcomes, requests):
    for request in range(requests):
        hits.add()
        outcomes.add("failed" if request % 10 == 0 else "ok")


if __name__ == "__main__":
    hits, outcomes = sk.Counter(), sk.Counters(["ok", "failed"])
    team = [mp.Process(target=serve, args=(hits, outcomes, 1000)) for _ in range(4)]
    for process in team:
        process.start()
    for process in team:
        process.join()
    print(hits.value, outcomes.as_dict())
    assert hits.value == 4000
    assert outcomes.as_dict() == {"ok": 3600, "failed": 400}
