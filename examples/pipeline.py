"""Work for a team of processes through one queue, answers through another, in batches."""

import multiprocessing as mp

import sharedkit as sk


def square(jobs, answers):
    while (batch := jobs.get()) is not None:
        answers.put_many([number * number for number in batch])


if __name__ == "__main__":
    jobs, answers = sk.Queue(maxsize=100), sk.Queue()
    team = [mp.Process(target=square, args=(jobs, answers)) for _ in range(2)]
    for process in team:
        process.start()
    for start in range(0, 10_000, 100):
        jobs.put(list(range(start, start + 100)))
    jobs.put_many([None] * len(team))
    for process in team:
        process.join()
    total = sum(answers.get_many())
    print(total)
    assert total == sum(number * number for number in range(10_000))
