"""A camera and several workers: frames stay in a shared ring, and only their places travel through queues. Run:

    pip install sharedkit
    python examples/applications/camera.py                # every frame: the camera waits when all places are taken
    python examples/applications/camera.py --newest       # a live view: a frame that nobody took in time is dropped

A place is in the queue `free`, in the queue `ready`, or in the hands of one process, so no process reads a frame that
another one writes. The checksum that travels with each frame proves it. If a process dies, the main program ends the
others, because the place that it had is lost; if the main program dies, they end by themselves.
"""

import argparse
import contextlib
import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from queue import Empty
from typing import NamedTuple

import numpy as np

import sharedkit as sk
from sharedkit.hashing import hash_many

HEIGHT, WIDTH = 240, 320
WORKERS = 2


class Frame(NamedTuple):
    number: int
    place: int
    checksum: int


class Seen(NamedTuple):
    number: int
    torn: bool
    at: tuple[int, int]


class Pipeline:
    """What the processes share; it travels to them as an argument, by every start method."""

    def __init__(self) -> None:
        places = WORKERS + 2  # one for each worker, one for the camera, and one for the newest frame
        self.ring = sk.Array((places, HEIGHT, WIDTH), "u1")
        self.free, self.ready, self.seen = sk.Queue(), sk.Queue(), sk.Queue()
        self.free.put_many(range(places))


def checksum(image: np.ndarray) -> int:
    return int(hash_many([image], "xxh3_64")[0])


def position(number: int) -> tuple[int, int]:
    """Where the bright spot of a frame is."""
    return number * 7 % HEIGHT, number * 11 % WIDTH


def end_with_parent() -> None:
    """Have this process end if the main program is killed: it would wait for ever for the other processes."""

    def end() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=end, daemon=True).start()


def film(pipeline: Pipeline, frames: int, newest: bool) -> None:
    """The camera: noise, with one bright spot that moves."""
    end_with_parent()
    noise = np.random.default_rng(0)
    for number in range(frames):
        place = pipeline.free.get()
        image = pipeline.ring.ndarray[place]
        image[:] = noise.integers(0, 200, image.shape, "u1")
        image[position(number)] = 255
        if newest:
            with contextlib.suppress(Empty):
                pipeline.free.put(pipeline.ready.get_nowait().place)  # of the frame before, if no worker has taken it
        pipeline.ready.put(Frame(number, place, checksum(image)))
    pipeline.ready.shutdown()  # the workers still get what is in it


def look(pipeline: Pipeline) -> None:
    """A worker: find the bright spot."""
    end_with_parent()
    for number, place, sent in pipeline.ready:
        image = pipeline.ring.ndarray[place]
        row, column = np.unravel_index(int(image.argmax()), image.shape)
        torn = checksum(image) != sent  # last: what was computed from the image counts only if this holds
        pipeline.free.put(place)
        pipeline.seen.put(Seen(number, torn, (int(row), int(column))))


def run(frames: int, newest: bool, method: str | None = None) -> list[Seen]:
    """What the workers saw, in the order of the frames. Raises RuntimeError if a process died."""
    context = multiprocessing.get_context(method)
    pipeline = Pipeline()
    team = [context.Process(target=film, args=(pipeline, frames, newest))]
    team += [context.Process(target=look, args=(pipeline,)) for _ in range(WORKERS)]
    for process in team:
        process.start()
    while running := [process for process in team if process.is_alive()]:
        if any(process.exitcode for process in team):
            for process in running:
                process.terminate()
        wait([process.sentinel for process in running])
    if any(process.exitcode for process in team):
        raise RuntimeError(f"the processes ended with {[process.exitcode for process in team]}")
    pipeline.seen.shutdown()
    return sorted(pipeline.seen)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--frames", type=int, default=500)
    arguments.add_argument("--newest", action="store_true")
    arguments.add_argument("--start-method", choices=multiprocessing.get_all_start_methods())
    chosen = arguments.parse_args()
    seen = run(chosen.frames, chosen.newest, chosen.start_method)
    torn = sum(each.torn for each in seen)
    right = sum(each.at == position(each.number) for each in seen)
    print(f"{chosen.frames} frames, {len(seen)} seen, {torn} torn, the spot found in {right}")
