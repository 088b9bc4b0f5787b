"""A progress bar over many processes: an exact total, and an end although workers die."""

from __future__ import annotations

from examples.applications import application, program, start_methods

SHOWN = """
    import os, signal, sys
    from progress import divisors, run
    sys.stderr = sys.stdout         # which tqdm draws on

    def die(item):
        if item in DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_shows_every_item(folder: str) -> None:
    assert application("progress", folder=folder, drawn="3000/3000").endswith("3000 of 3000 items done")


@start_methods
def test_the_bar_ends_at_its_total(method: str, folder: str) -> None:
    said = program(SHOWN + """
    print(run(divisors, range(500), workers=2, method=sys.argv[1]))
    """, method, folder=folder)  # fmt: skip
    *_, bar, done = said.splitlines()
    assert done == "500"
    assert "100%" in bar and "500/500" in bar.rpartition("\r")[2]


def test_the_bar_ends_where_a_worker_died_with_one_item(folder: str) -> None:
    said = program(SHOWN + """
    DEADLY = {7}
    print(run(die, range(100), workers=2, method="fork"))
    """, folder=folder)  # fmt: skip
    *_, bar, death, done = said.splitlines()
    assert done == "99"
    assert "99/100" in bar.rpartition("\r")[2]
    assert death.endswith("ended with exit code -9")


def test_the_bar_ends_where_all_workers_died(folder: str) -> None:
    said = program(SHOWN + """
    DEADLY = {3, 4}
    print(run(die, range(100), workers=2, method="fork"))
    """, folder=folder)  # fmt: skip
    *_, first, second, done = said.splitlines()
    assert 3 <= int(done) <= 98
    assert first.endswith("ended with exit code -9") and second.endswith("ended with exit code -9")
