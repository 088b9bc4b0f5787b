"""The camera pipeline: no torn frame, every frame or the newest, and an end whatever happens."""

from __future__ import annotations

import re

import pytest
from examples.applications import application, program

FRAMES = 100


@pytest.mark.parametrize(
    ("method", "mode"), [("fork", "every"), ("fork", "newest"), ("spawn", "every"), ("forkserver", "newest")]
)
def test_no_frame_is_torn_and_none_is_seen_twice(method: str, mode: str, folder: str) -> None:
    options = ["--newest"] if mode == "newest" else []
    said = application("camera", "--frames", FRAMES, "--start-method", method, *options, folder=folder)
    match = re.fullmatch(r"(\d+) frames, (\d+) seen, (\d+) torn, the spot found in (\d+)", said)
    assert match, said
    frames, seen, torn, right = map(int, match.groups())
    assert (frames, torn, right) == (FRAMES, 0, seen)
    assert seen == FRAMES if mode == "every" else 1 <= seen <= FRAMES


def test_a_torn_frame_is_noticed(folder: str) -> None:
    assert program("""
        import camera
        pipeline = camera.Pipeline()
        camera.film(pipeline, 3, newest=False)
        pipeline.ring.ndarray[1, 0, 0] ^= 1
        camera.look(pipeline)
        pipeline.seen.shutdown()
        print([each.torn for each in pipeline.seen])
    """, folder=folder) == "[False, True, False]"  # fmt: skip


def test_the_newest_frame_is_always_seen(folder: str) -> None:
    assert program("""
        import camera
        print([camera.run(frames, newest=True)[-1].number for frames in (1, 2, 50)])
    """, folder=folder) == "[0, 1, 49]"  # fmt: skip


@pytest.mark.parametrize("victim", ["film", "look"])
def test_a_killed_process_ends_the_run_with_an_error(victim: str, folder: str) -> None:
    said = program("""
        import os, signal, sys, camera
        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)
        setattr(camera, sys.argv[1], die)
        try:
            camera.run(frames=10_000_000, newest=False, method="fork")
        except RuntimeError as error:
            print(error)
    """, victim, folder=folder)  # fmt: skip
    assert re.fullmatch(r"the processes ended with \[.*-9.*\]", said)


def test_the_processes_end_with_a_main_program_that_is_killed(folder: str) -> None:
    program("""
        import os, camera, multiprocessing
        from conformance.watchdog import until
        from sharedkit import segments
        main = multiprocessing.get_context("fork").Process(target=camera.run, args=(10_000_000, False, "fork"))
        main.start()
        children = f"/proc/{main.pid}/task/{main.pid}/children"
        until(lambda: len(open(children).read().split()) == 1 + camera.WORKERS)
        main.kill()
        until(lambda: not segments.live(), what="the last one's end")
    """, folder=folder)  # fmt: skip
