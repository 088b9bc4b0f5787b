"""One histogram filled by several processes: atomic scatter-add into a shared array."""

import multiprocessing as mp

import numpy as np

import sharedkit as sk

BINS, SAMPLES = 64, 100_000


def fill(histogram, seed):
    values = np.random.default_rng(seed).normal(BINS / 2, BINS / 10, SAMPLES)
    bins = np.clip(values, 0, BINS - 1).astype("i8")
    histogram.add_at(bins, np.ones(SAMPLES, "i8"))


if __name__ == "__main__":
    histogram = sk.Array(BINS, "i8")
    team = [mp.Process(target=fill, args=(histogram, seed)) for seed in range(2)]
    for process in team:
        process.start()
    for process in team:
        process.join()
    print(histogram.ndarray[BINS // 2 - 3 : BINS // 2 + 3])
    assert histogram.ndarray.sum() == 2 * SAMPLES
