"""The parts of `sharedkit compare`: what they refuse, what they notice, how they count."""

import gc
import io
import json
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from sharedkit.compare import chart, messages, plain
from sharedkit.compare.catalogue import WORKLOADS
from sharedkit.compare.corpus import JOB_BYTES, Corpus
from sharedkit.compare.crew import ProcessCrew, ThreadCrew
from sharedkit.compare.machine import this_machine, versions
from sharedkit.compare.numbers import TIMES, counted, duration, quantity, ratio
from sharedkit.compare.pieces import Pieces
from sharedkit.compare.report import Report, Result, Row
from sharedkit.compare.runner import laps_of, measure
from sharedkit.compare.table import print_heading, print_result
from sharedkit.compare.workload import BadInput, Lap, Mismatch, Settings, Variant, WorkerFailed, Workload

PATIENCE = 60.0


def count_up(shared, rank, amount, clock):
    with clock:
        total = sum(range(amount))
    return rank, total


def die(shared, rank, amount, clock):
    os.kill(os.getpid(), signal.SIGKILL)


def fall(shared, rank, amount, clock):
    raise LookupError("nothing there")


def stall(shared, rank, amount, clock):
    with clock:
        shared.wait()


def crew_of(where, roles, patience=PATIENCE, shared=None):
    if where == "threads":
        return ThreadCrew(roles, shared, patience)
    return ProcessCrew(roles, shared, multiprocessing.get_context(where), patience)


WHERE = ["threads", "fork", "spawn", "forkserver"]


@pytest.mark.parametrize("where", WHERE)
def test_a_crew_returns_results_by_rank_for_each_lap(where):
    with crew_of(where, [count_up, count_up]) as crew:
        for amount in (10, 1000):
            lap = crew.lap(amount)
            assert lap.results == [(0, sum(range(amount))), (1, sum(range(amount)))]
            assert lap.seconds > 0


@pytest.mark.parametrize("where", WHERE)
def test_an_exception_of_a_worker_is_reported_and_the_others_do_not_wait_for_it(where):
    with crew_of(where, [count_up, fall]) as crew, pytest.raises(WorkerFailed, match="LookupError: nothing there"):
        crew.lap(10)


def test_a_worker_that_dies_fails_the_lap_and_leaves_no_process():
    with crew_of("forkserver", [count_up, die]) as crew:
        with pytest.raises(WorkerFailed, match="worker 1 died, exit code -9"):
            crew.lap(10)
        pids = [process.pid for process in crew._processes]
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_a_worker_that_does_not_finish_fails_the_lap_and_is_ended():
    never = multiprocessing.get_context("forkserver").Event()
    with crew_of("forkserver", [stall], 0.5, never) as crew:
        with pytest.raises(WorkerFailed, match=r"within 0\.5 s"):
            crew.lap(1)
        pids = [process.pid for process in crew._processes]
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def arrived(plan, amount):
    return [messages.arrivals(messages.make(rank, amount, plan.size), plan.size) for rank in range(plan.producers)]


def test_the_check_accepts_messages_that_all_arrived():
    plan = messages.Plan(producers=2, consumers=2, size=40)
    messages.check(arrived(plan, 50), plan, 50)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda came: came[:-1], "49 of 50"),
        (lambda came: np.concatenate([came, came[-1:]]), "out of order or twice"),
        (lambda came: came[::-1], "out of order or twice"),
        (lambda came: np.concatenate([came[:10], came[11:], came[-1:]]), "out of order or twice"),
        (lambda came: np.where(came["number"] == 3, np.array((9, 3), came.dtype), came), "49 of 50"),
    ],
    ids=["lost", "twice", "reversed", "one for another", "a stranger's"],
)
def test_the_check_notices_every_spoiled_message(spoil, said):
    plan = messages.Plan(producers=1, consumers=1, size=40)
    with pytest.raises(Mismatch, match=said):
        messages.check([spoil(arrived(plan, 50)[0])], plan, 50)


def test_torn_messages_are_noticed():
    items = messages.make(0, 3, 40)
    with pytest.raises(Mismatch, match="came as 119 bytes"):
        messages.arrivals([*items[:2], items[2][:-1]], 40)
    with pytest.raises(Mismatch, match="other bytes"):
        messages.arrivals([*items[:2], items[2][:-1] + b"x"], 40)


def test_jobs_cover_the_corpus_without_gap_or_overlap(tmp_path):
    for number in range(7):
        (tmp_path / f"{number}.txt").write_bytes(b"line\n" * (JOB_BYTES // 12))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "empty.txt").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)
    corpus = Corpus.read(tmp_path, "*")
    assert corpus.files == 8
    assert corpus.lines == 7 * (JOB_BYTES // 12)
    assert len(corpus.jobs) > 1
    at = 0
    for job in corpus.jobs:
        assert job.first == at
        at += job.rows
    assert at == corpus.rows
    assert sum(len(job.paths) for job in corpus.jobs) == 8


def test_items_of_one_size_are_cut_across_files_and_removed_with_their_owner(tmp_path):
    contents = [bytes([number]) * (number * 100_003) for number in range(9)]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.bin").write_bytes(content)
    whole = b"".join(contents)
    for size in (16, 1000, 1 << 20):
        pieces = Pieces(Corpus.read(tmp_path, "*"), size)
        items = [item for job in pieces.jobs for path in job.paths for item in plain.messages(path, job.item_bytes)]
        assert items == [whole[at * size : (at + 1) * size] for at in range(min(len(whole) // size, 100_000))]
        assert len(items) == pieces.rows == sum(job.rows for job in pieces.jobs)
        at = 0
        for job in pieces.jobs:
            assert job.first == at
            at += job.rows
        folder = Path(pieces.jobs[0].paths[0]).parent
        assert folder.is_dir()
        del pieces
        gc.collect()
        assert not folder.exists()


def test_a_missing_or_empty_corpus_is_refused(tmp_path):
    with pytest.raises(BadInput, match="not a directory"):
        Corpus.read(tmp_path / "missing", "*")
    with pytest.raises(BadInput, match="no file under"):
        Corpus.read(tmp_path, "*")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(BadInput, match=r"matches '\*\.py'"):
        Corpus.read(tmp_path, "*.py")


class Fake(Workload):
    """Variants whose laps take 10 ms for each unit of the amount."""

    name, unit, largest = "fake", "turns", 1000
    answers = ("same", "same")
    missing = ""

    @property
    def title(self):
        return "nothing at all"

    def variants(self):
        class Start:
            def __init__(self, answer):
                self.answer = answer

            def __enter__(self):
                return lambda amount: Lap(amount * 0.01, [self.answer])

            def __exit__(self, *_):
                return None

        rows = [Variant("here", f"number {n}", "stdlib", lambda a=a: Start(a)) for n, a in enumerate(self.answers)]
        return [*rows, Variant("there", "absent", "stdlib", lambda: Start(""), "not to be had")]

    def operations(self, amount):
        return amount

    def verify(self, amount, lap):
        if lap.results == ["lost"]:
            raise Mismatch("something is lost")
        if lap.results == ["broken"]:
            raise OSError("it broke")
        return lap.results[0]


def test_the_amount_grows_until_a_lap_is_as_long_as_asked_for():
    ticks = []
    fake = Fake(Settings(workers=1, repeats=4, seconds=0.5))
    result = measure(fake, lambda label, lap: ticks.append((label, lap)))
    row = result.rows[0]
    assert row.amount == 50
    assert row.seconds == [0.5] * 4
    assert row.per_second == pytest.approx(100)
    assert result.speedup(result.rows[1]) == pytest.approx(1)
    assert len(ticks) == laps_of(fake) == 15


def test_a_missing_variant_says_why_and_fails_nothing():
    result = measure(Fake(Settings(workers=1, repeats=1)), lambda *_: None)
    assert (result.rows[2].state, result.rows[2].reason) == ("missing", "not to be had")
    assert not result.bad
    assert result.agreement == "same"


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        ("other", "wrong", "came to other"),
        ("lost", "wrong", "something is lost"),
        ("broken", "failed", "OSError: it broke"),
    ],
)
def test_a_variant_with_another_result_is_named(answer, state, said):
    class Liar(Fake):
        answers = ("same", answer, "same")

    result = measure(Liar(Settings(workers=1, repeats=1)), lambda *_: None)
    assert [row.name for row in result.bad] == ["number 1"]
    assert result.bad[0].state == state
    assert said in result.bad[0].reason
    assert result.agreement == ""
    assert result.speedup(result.bad[0]) is None


def sample_report():
    rows = [
        Row(
            "processes", "multiprocessing.Queue, lists", "stdlib", "ok", "", 1, 1000, 100_000, [0.5, 0.4, 0.6], "exact"
        ),
        Row(
            "interpreters", "sharedkit Array, lock, np.add.at", "sharedkit", "ok", "", 1, 1000, 100_000, [0.1], "exact"
        ),
        Row("threads", "hashlib, no GIL", "stdlib", "missing", "this interpreter has a GIL " * 4),
        Row("threads", "that went wrong", "stdlib", "wrong", "counted 3 of 4"),
    ]
    result = Result("queue", "some messages", "messages", rows)
    return Report("2026-01-01 00:00 UTC", this_machine(), versions(), Settings(workers=2), [result])


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal_and_name_untrustworthy_results(width):
    report = sample_report()
    console = Console(width=width, record=True, file=io.StringIO())
    print_heading(console, report)
    print_result(console, report.results[0])
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    (fast,) = [line for line in lines if "sharedkit Array, lock, np.add.at" in line]
    assert f"5.00{TIMES}" in fast
    assert any("not to be trusted: threads · that went wrong" in line for line in lines)
    assert any(line.strip().startswith("threads · hashlib, no GIL: not measured") for line in lines)


def test_the_json_file_contains_what_the_tables_show(tmp_path):
    report = sample_report()
    report.write(tmp_path / "out.json")
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["machine"]["cores"] >= 1
    assert data["versions"]["python"].startswith("CPython")
    assert data["settings"]["workers"] == 2
    slow, fast, missing, wrong = data["workloads"][0]["rows"]
    assert (slow["median_seconds"], slow["per_second"], slow["speedup"]) == (0.5, 2000, 1)
    assert slow["spread"] == pytest.approx(0.4)
    assert fast["speedup"] == 5
    assert "per_second" not in missing
    assert wrong["reason"] == "counted 3 of 4"


@pytest.mark.parametrize("suffix", [".svg", ".png", ".html"])
def test_a_chart_is_drawn_in_every_format(tmp_path, suffix):
    path = Path(tmp_path, f"chart{suffix}")
    chart.draw(sample_report(), path)
    data = path.read_bytes()
    if suffix == ".png":
        assert data.startswith(b"\x89PNG")
    else:
        assert b"multiprocessing.Queue, lists" in data
        assert b"that went wrong" in data
    if suffix == ".html":
        assert b"counted 3 of 4" in data
        assert data.count(b"<svg") == 1


def test_numbers_keep_three_digits():
    assert [quantity(n) for n in (0.5, 999.7, 12_345, 1_234_567, 2e9)] == [
        "0.50",
        "1.00 k",
        "12.3 k",
        "1.23 M",
        "2.00 G",
    ]
    assert [duration(n) for n in (3.14159, 1500, 2.5e6, 3e9)] == ["3.14 ns", "1.50 µs", "2.50 ms", "3.00 s"]
    assert [ratio(n)[:-1] for n in (0.01234, 0.5, 12.34, 1234)] == ["0.012", "0.50", "12.3", "1,234"]


def test_things_are_counted_with_the_verb_that_the_number_wants():
    assert [counted(n, "worker", "add") for n in (0, 1, 2)] == ["0 workers add", "1 worker adds", "2 workers add"]
    assert [counted(n, "core") for n in (1, 64)] == ["1 core", "64 cores"]


@pytest.mark.parametrize("name", sorted(set(WORKLOADS) - {"hash"}))
def test_a_title_of_one_worker_speaks_of_one(name):
    one, more = (WORKLOADS[name](Settings(workers=n)).title for n in (1, 6))
    assert " workers" not in one
    assert name == "queue" or ("1 worker" in one and "6 workers" in more)
