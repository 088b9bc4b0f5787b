"""`sharedkit top`: its numbers, its keys on a real terminal, and what it does where there is none."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent.parent / "conformance"))

from click.testing import CliRunner, Result
from rich.console import Console
from watchdog import Child, until

import sharedkit as sk
from sharedkit import segments
from sharedkit._core.segment import FOLDER
from sharedkit.commands.root import root
from sharedkit.commands.text import ago, clock
from sharedkit.commands.top import View
from sharedkit.commands.top_table import Row, table_of
from sharedkit.shm.inspection import inspect

WATCHDOG = 60.0
WHOLE_SCREEN, SCREEN_BACK = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test-top-{uuid.uuid4().hex}"
    yield made
    (Path(FOLDER) / segments.shared_memory_name(made)).unlink(missing_ok=True)


def once(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["top", "--once", "--interval", "0.1", *arguments])


def document_of(name: str) -> dict[str, Any]:
    told = json.loads(once("--json").output)
    assert told["seconds"] >= 0.1
    (found,) = (each for each in told["structures"] if each["name"] == name)
    return dict(found)


def test_json_has_the_rates_between_two_looks(name: str) -> None:
    over = threading.Event()
    with closing(sk.Queue(name=name)) as queue:

        def work() -> None:
            while not over.is_set():
                queue.put(1)
                queue.put(2)
                queue.get()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            found = document_of(name)
        finally:
            over.set()
            thread.join()
        rest = document_of(name)
    assert found["puts_per_second"] > found["gets_per_second"] > 0
    assert found["length"] > 0
    assert found["users"] == [os.getpid()]
    assert found["kind"] == found["statistics"]["kind"] == "Queue"
    assert (rest["puts_per_second"], rest["gets_per_second"]) == (0, 0)


def test_json_names_holders_and_waiters(name: str) -> None:
    with closing(sk.BoundedSemaphore(1, name=name)) as permit:
        permit.acquire()
        child = Child("fork", permit.acquire)
        try:
            until(lambda: inspect(name).statistics.waiting == 1)
            found = document_of(name)
        finally:
            child.end()
    (wait,) = found["waits"]
    assert [(each["pid"], each["threads"]) for each in wait["waiters"]] == [(child.pid, 1)]
    assert [each["pid"] for each in wait["holders"]] == [os.getpid()]
    assert found["statistics"]["holders"] == {str(os.getpid()): 1}


def test_counters_are_told_as_json(name: str) -> None:
    with closing(sk.Counters(["hits", "misses"], name=name)) as counters:
        counters.add("hits", 3)
        found = document_of(name)
    assert found["statistics"]["values"] == {"hits": 3, "misses": 0}
    assert found["length"] == 2


def test_into_a_pipe_goes_a_line_a_structure(name: str) -> None:
    odd = f"{name} with\ttab\nand \x1b[31m"
    with closing(sk.Lock(name=odd)) as lock:
        lock.acquire()
        done = once()
    (row,) = [line.split("\t") for line in done.output.splitlines() if line.startswith(name)]
    assert row[:2] == [f"{name} with\\x09tab\\x0aand \\x1b[31m", "Lock"]
    assert row[3] == str(os.getpid())
    assert row[4:8] == ["", "", "", "0"]
    assert row[8].startswith(f"pid {os.getpid()} for ")
    assert {len(line.split("\t")) for line in done.output.splitlines()} == {9}


def test_a_damaged_segment_is_a_line_of_its_own_and_the_others_are_there(name: str) -> None:
    (Path(FOLDER) / segments.shared_memory_name(name)).write_bytes(b"no segment" * 1000)
    with closing(sk.Event(name=f"{name}-sound")):
        lines = [line.split("\t") for line in once().output.splitlines()]
        told = json.loads(once("--json").output)
    held = str(segments.size_of(name))  # a whole number of pages
    assert [row for row in lines if row[0] == name] == [
        [name, "?", held, "", "", "", "", "", "not a sharedkit segment"]
    ]
    assert [row[1] for row in lines if row[0] == f"{name}-sound"] == ["Event"]
    assert told["unreadable"][name] == "not a sharedkit segment"


@pytest.mark.parametrize("arguments", [["top"], ["top", "--interval", "5"]])
def test_without_a_terminal_it_is_a_sentence_and_exit_code_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(root, arguments)
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    assert "needs a terminal" in line
    assert "--once" in line


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "x"])
def test_an_interval_that_makes_no_sense_is_refused(interval: str) -> None:
    assert CliRunner().invoke(root, ["top", "--once", "--interval", interval]).exit_code == 2


def test_json_without_once_goes_on_until_nobody_reads() -> None:
    command = [sys.executable, "-m", "sharedkit", "top", "--json", "--interval", "0.05"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(2)]
        child.stdout.close()
        assert child.stderr is not None
        said = child.stderr.read()
        assert child.wait(WATCHDOG) == 141
    finally:
        child.kill()
        child.wait()
        assert child.stderr is not None
        child.stderr.close()
    assert all("structures" in json.loads(line) for line in lines)
    assert said == b""


# --- on a terminal ------------------------------------------------------------------------------------------


class Terminal:
    """`sharedkit top` on a terminal of its own, which it controls."""

    def __init__(self, columns: int = 100, **environment: str) -> None:
        self.printed = b""
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, (24, columns))
        self.modes = termios.tcgetattr(self.theirs)
        inherited = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "sharedkit", "top", "--interval", "0.1"],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
            env={**inherited, "TERM": "xterm", **environment},
        )

    def until(self, text: str, after: int = 0) -> None:
        """Read until it has printed the text."""
        deadline = time.monotonic() + WATCHDOG
        while text.encode() not in self.printed[after:]:
            assert time.monotonic() < deadline, self.printed[-3000:]
            self.read(0.1)

    def read(self, seconds: float) -> None:
        ready, _, _ = select.select([self.ours], [], [], seconds)
        if ready:
            self.printed += os.read(self.ours, 65536)

    def press(self, keys: str) -> int:
        """Type the keys; return how much the program had printed before."""
        os.write(self.ours, keys.encode())
        return len(self.printed)

    def ended(self) -> int:
        """Return the exit code of the program, after checking that it has restored the terminal."""
        deadline = time.monotonic() + WATCHDOG
        while self.child.poll() is None:
            assert time.monotonic() < deadline
            self.read(0.1)
        self.read(0.1)
        assert termios.tcgetattr(self.theirs) == self.modes
        assert self.printed.count(WHOLE_SCREEN) == self.printed.count(SCREEN_BACK) == 1
        assert self.printed.rindex(b"\x1b[?25h") > self.printed.rindex(b"\x1b[?25l")  # the cursor is back
        return self.child.wait(WATCHDOG)

    def close(self) -> None:
        self.child.kill()
        self.child.wait(WATCHDOG)
        for descriptor in (self.ours, self.theirs):
            os.close(descriptor)


def test_the_keys_sort_and_filter_and_q_gives_the_terminal_back(name: str) -> None:
    with closing(sk.Lock(name=name)) as lock, closing(sk.Event(name=f"{name}-event")), closing(Terminal()) as top:
        lock.acquire()
        top.until("structures, every")
        assert termios.tcgetattr(top.theirs) != top.modes
        after = top.press("w")
        top.until("\x1b[2;4mwaiting", after)  # the column that gives the order is underlined
        after = top.press("/")
        top.until("Enter keeps it", after)
        after = top.press(name + "-eventx\x7f")
        top.until("1 of ", after)
        after = top.press("\n")
        top.until("(Escape drops it)", after)
        after = top.press("\x1b")
        top.until("q quit", after)
        top.press("q")
        assert top.ended() == 0
    assert b"Traceback" not in top.printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    with closing(Terminal(columns=30)) as top:
        top.until("structures")
        top.child.send_signal(number)
        assert top.ended() == 128 + number
    assert b"Traceback" not in top.printed


def test_an_error_gives_the_terminal_back_and_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    with closing(Terminal(SHAREDKIT_DIR=str(folder))) as top:
        top.until("structures, every")
        folder.rmdir()
        assert top.ended() == 2
    after = top.printed.rindex(SCREEN_BACK)
    assert b"SHAREDKIT_DIR names another folder" in top.printed[after:].replace(b"\r\n", b" ")
    assert b"Traceback" not in top.printed


def test_the_help_fits_a_narrow_terminal(name: str) -> None:
    with closing(Terminal(columns=40)) as top:
        top.until("q quit · n s r w sort · / filter")
        after = top.press("/")
        top.until("Enter, Escape", after)
        after = top.press(f"{name[:20]}\r")
        top.until(f"filter: {name[:20]}", after)
        after = top.press("\x1b")
        top.until("q quit · n s r w sort", after)
        top.press("q")
        assert top.ended() == 0


def test_the_footer_fits_every_width() -> None:
    views = View(), View(wanted="abc"), View(wanted="abc", typing=True)
    for width in range(13, 120):
        assert all(len(view.footer(width)) <= width for view in views)
        assert all("abc" in view.footer(width) for view in views[1:])
        assert "q quit" in views[0].footer(width)
    assert views[0].footer(61) == "q quit · sort by n name, s size, r rate, w waiting · / filter"


def test_a_terminal_that_cannot_be_drawn_on_is_refused() -> None:
    with closing(Terminal(TERM="dumb")) as top:
        top.until("needs a terminal")
        assert top.child.wait(WATCHDOG) == 2


# --- the table ----------------------------------------------------------------------------------------------

ROWS = [
    Row("images", "Queue", 6_000_000, (12, 13, 14), 3, (1234.5, 1233.0), 0, True, ""),
    Row("a lock \u202e of a long name" + 30 * "e", "Lock", 8192, (12,), None, None, 2, False, "pid 12 for 3.2 s"),
    Row.of_trouble("broken", None, "the segment contradicts itself: remove it"),
]


def lines_of(rows: list[Row], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(table_of(rows, width, "name"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("rows", [ROWS, []], ids=["rows", "none"])
def test_the_table_fits_every_width(rows: list[Row]) -> None:
    for width in range(1, 160):
        assert max(map(len, lines_of(rows, width))) <= width


def test_a_wide_terminal_shows_all_and_a_narrow_one_what_matters_most() -> None:
    wide, narrow = lines_of(ROWS, 150), lines_of(ROWS, 40)
    assert wide[0].split() == ["name", "kind", "size", "users", "length", "puts/s", "gets/s", "waiting", "held", "by"]
    assert narrow[0].split()[:2] == ["name", "kind"]
    (queue,) = (line for line in wide if line.startswith("images"))
    assert queue.split() == ["images", "Queue", "6.00", "MB", "3", "3", "1.23", "k", "1.23", "k", "?"]
    assert "\u202e" not in "".join(wide)


def heads(rows: list[Row], width: int) -> list[str]:
    return lines_of(rows, width)[0].replace("held by", "held_by").split()


def test_80_columns_show_what_moves_and_who_waits() -> None:
    """Sizes and users, which change seldom, are left out first."""
    shown = [head for head in heads(ROWS, 80) if head not in ("size", "users")]
    assert shown == ["name", "kind", "length", "puts/s", "gets/s", "waiting", "held_by"]
    assert "size" not in heads(ROWS, 80)
    lines = lines_of(ROWS, 80)
    (queue,) = (line for line in lines if line.startswith("images"))
    assert queue.split()[-6:] == ["3", "1.23", "k", "1.23", "k", "?"]
    assert any("pid 12 for 3.2" in line for line in lines)


def test_a_column_that_is_empty_in_every_row_gives_its_place_to_others() -> None:
    rows = [Row(f"counter {i}", "Counter", 4096, (12,), None, None, 0, False, "") for i in range(3)]
    assert heads(rows, 50) == ["name", "kind", "size", "users", "waiting"]


def test_a_narrow_terminal_shows_12_characters_of_a_name() -> None:
    rows = [Row("n" * 40, "BoundedSemaphore", 4096, (12,), 10**9, (1e9, 1e9), 3, False, "pid 12 for 3.2 s")]
    for width in range(12, 100):
        (row,) = lines_of(rows, width)[2:]
        assert row.startswith("n" * 11)


def test_nothing_is_claimed_of_a_segment_that_cannot_be_looked_at() -> None:
    (row,) = (line for line in lines_of(ROWS, 150) if line.startswith("broken"))
    assert row.split(maxsplit=2)[2].startswith("the segment contradicts itself")
    (row,) = (line for line in lines_of([Row.of_trouble("broken", 8192, "why")], 150) if line.startswith("broken"))
    assert row.split() == ["broken", "?", "8.19", "kB", "why"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-0.01, "0.0 s"),
        (3.21, "3.2 s"),
        (59.96, "1 min 0 s"),
        (250, "4 min 10 s"),
        (7500, "2 h 5 min"),
        (3e5, "3 d 11 h"),
    ],
)
def test_a_span_of_time_has_one_or_two_units(seconds: float, said: str) -> None:
    assert ago(seconds) == said


def test_a_moment_of_another_day_has_its_date() -> None:
    assert clock(1e9, 1e9 + 1).count(":") == 2
    assert clock(1e9, 1e9 + 86400 * 3).startswith("2001-09-")


def test_the_orders_put_first_what_one_looks_for() -> None:
    view = View()
    orders = {}
    for key in "nsrw":
        view.press(key)
        orders[key] = [row.name.split()[0] for row in view.chosen(ROWS)]
    assert orders["n"] == ["a", "broken", "images"]
    assert orders["s"][0] == "images"
    assert orders["r"][0] == "images"
    assert orders["w"] == ["a", "images", "broken"]


def test_a_filter_is_typed_kept_and_dropped() -> None:
    view = View()
    view.press("/que")
    view.press("q")  # a letter of the filter, not the end
    view.press("\x7f")
    assert (view.wanted, view.over) == ("que", False)
    assert [row.name for row in view.chosen(ROWS)] == ["images"]
    view.press("\r")
    assert [row.name for row in view.chosen(ROWS)] == ["images"]
    view.press("\x1b[A")  # an arrow
    assert len(view.chosen(ROWS)) == 3
    view.press("q")
    assert view.over


def test_looking_leaves_nothing_behind(name: str) -> None:
    with closing(sk.Counter(name=name)):
        with contextlib.suppress(FileNotFoundError):
            before = os.stat(Path(FOLDER) / segments.shared_memory_name(name))
        once()
        after = os.stat(Path(FOLDER) / segments.shared_memory_name(name))
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    assert name not in Path("/proc/self/maps").read_text()
