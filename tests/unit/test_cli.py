"""`sharedkit ls` and `sharedkit rm`, and the command line when its packages are missing."""

import contextlib
import io
import json
import multiprocessing
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import uuid
from datetime import datetime
from pathlib import Path

import click
import pytest

sys.path.append(str(Path(__file__).parent.parent / "conformance"))

from click.testing import CliRunner
from redis_server import ABSENT
from rich.console import Console
from watchdog import until

import sharedkit as sk
from sharedkit import segments
from sharedkit.commands.ls_table import table_of
from sharedkit.commands.root import root

WATCHDOG = 60.0
HOLDER = """
import sys, sharedkit as sk
queue = sk.Queue(name=sys.argv[1], persist=sys.argv[2] == "persist")
queue.put_many([1, 2, 3])
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def name():
    made = f"test-cli-{uuid.uuid4().hex}"
    yield made
    with contextlib.suppress(FileNotFoundError):
        segments.remove(made, force=True)


@pytest.fixture
def holder(name):
    """A process that holds the queue `name` with three items in it, and is killed at the end."""
    holders = []

    def start(how="plain"):
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, name, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        holders.append(child)
        assert child.stdout.readline() == "ready\n"
        return child

    yield start
    for child in holders:
        child.kill()
        child.communicate(timeout=WATCHDOG)


def waits(pid):
    """Whether the process sleeps in the system."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def invoke(*arguments):
    return CliRunner().invoke(root, arguments)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("kind", ["manager", "redis"])
def test_serve_gives_both_signals_their_handlers_back(tmp_path, kind, number):
    """A program may run a command and go on."""
    if kind == "redis" and ABSENT is not None:
        pytest.skip(ABSENT)
    where = tmp_path / "socket"
    options = ["--redis"] if kind == "redis" else ["--authkey-file", str(tmp_path / "key")]

    def listens():
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as guest:
            guest.connect(str(where))
            return True
        return False

    def end_it():
        until(listens)
        os.kill(os.getpid(), number)

    def handler(number, frame):
        pass

    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: handler}
    for each, mine in handlers.items():
        signal.signal(each, mine)
    ender = threading.Thread(target=end_it)
    ender.start()
    assert invoke("serve", "--address", str(where), *options).exit_code == 0
    ender.join()
    assert {each: signal.getsignal(each) for each in handlers} == handlers


def test_compare_gives_both_signals_their_handlers_back():
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    briefly = ("--seconds", "0.01", "--repeats", "1", "--only", "threads", "--redis", "none", "--no-gil", "none")
    done = invoke("compare", "counter", *briefly)
    assert done.exit_code == 0, done.output
    assert {each: signal.getsignal(each) for each in handlers} == handlers


def listed(name):
    """The entry of the segment in `ls --json`, or None."""
    found = {segment["name"]: segment for segment in json.loads(invoke("ls", "--json").output)}
    return found.get(name)


def test_ls_tells_the_truth_about_a_queue_in_use(name):
    with sk.Queue(name=name) as queue:
        queue.put_many(range(5))
        before = listed(name)
        queue.get_many(3)
        after = listed(name)
    assert before["kind"] == "Queue"
    assert before["attached"] == [os.getpid()]
    assert before["size"] > 0
    assert not before["persist"]
    assert "5 items" in before["state"]
    assert "2 items" in after["state"]
    assert listed(name) is None


def test_ls_names_every_process_that_is_attached(name, holder):
    child = holder()
    with sk.attach(name):
        assert sorted(listed(name)["attached"]) == sorted([child.pid, os.getpid()])
    assert listed(name)["attached"] == [child.pid]


@pytest.mark.parametrize(
    "arguments", [["ls"], ["ls", "--json"], ["rm", "--orphans"], ["rm", "nothing"], ["why", "nothing"]], ids=" ".join
)
def test_a_folder_that_does_not_exist_is_a_sentence(arguments, tmp_path):
    nowhere = str(tmp_path / "nowhere")
    done = subprocess.run(
        [sys.executable, "-m", "sharedkit", *arguments],
        capture_output=True, text=True, timeout=WATCHDOG, env=os.environ | {"SHAREDKIT_DIR": nowhere},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    sentence = f"{nowhere}: No such file or directory; SHAREDKIT_DIR names another folder\n"
    assert done.stderr.removeprefix("Error: ") == sentence


def test_ls_prints_a_table(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with sk.Counter(7, name=name):
        output = invoke("ls").output
    (line,) = [line for line in output.splitlines() if name in line]
    assert "Counter" in line
    assert str(os.getpid()) in line


def on_a_terminal(*command, columns=80, term="xterm", raw=False):
    """What the command prints on a terminal of that width; with `raw`, together with its escape sequences."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    environment["TERM"] = term
    child = subprocess.Popen(
        [sys.executable, "-m", "sharedkit", *command], stdout=theirs, stdin=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    printed = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            printed += part
    os.close(ours)
    assert child.wait(WATCHDOG) == 0, printed
    return printed.decode() if raw else re.sub(r"\x1b\[[0-9;]*m", "", printed.decode())


def test_ls_shows_all_that_an_executor_reports(name):
    with sk.Counter(7, name=name), sk.Executor(4) as executor:
        executor.submit(abs, -1).result()
        printed = on_a_terminal("ls", columns=80)
    header, _, *lines = re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines()
    state = "".join(line[header.index("state") :].strip() for line in lines)
    assert state.replace(" ", "").endswith("value7"), printed


@pytest.mark.parametrize("columns", [80, 60, 200])
def test_ls_fits_the_terminal_and_loses_nothing_of_a_name(name, columns):
    long = name + "-" + "x" * 120
    with sk.BoundedSemaphore(1234567, name=name), sk.Array((1080, 1920, 3), "f8", name=long), sk.Dict(a=1):
        printed = on_a_terminal("ls", columns=columns)
    lines = printed.splitlines()
    assert max(map(len, lines)) <= columns, printed
    kind = next(line for line in lines if " kind " in line).index("kind")  # the header may be folded
    names = "".join(line[:kind].strip() for line in lines)
    assert names.count(name) >= 2
    assert long in names
    assert "BoundedSemaphore" in printed


def test_ls_at_40_columns_puts_the_kind_before_the_state(name):
    with sk.BoundedSemaphore(1234567, name=name), sk.Dict(a=1):
        printed = on_a_terminal("ls", columns=40)
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 40, printed
    assert lines[0].split() == ["name", "state"]
    state = lines[0].index("state")
    assert "".join(line[:state].strip() for line in lines).count(name) == 1
    assert all(len(line[:state].strip()) <= 12 for line in lines[2:])
    text = " ".join(line[state:].strip() for line in lines)
    assert f"BoundedSemaphore: 1234566 of 1234567 free, 1 held by pid {os.getpid()}, 0 waiting" in text


@pytest.mark.parametrize("width", range(1, 160, 3))
def test_the_table_of_ls_fits_every_width_and_names_stay_readable(width):
    found = [
        segments.SegmentInfo("n" * 50, "BoundedSemaphore", 8192, False, (123456,) * 9, "locked by pid 123456", 1e9),
        segments.SegmentInfo("short", "?", 0, True, (), "not a sharedkit segment", 0.0),
    ]
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(table_of(found, width))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    if width >= 36:
        assert any(line.startswith("n" * 12) for line in lines)
        assert "\N{HORIZONTAL ELLIPSIS}" not in console.file.getvalue()
    if width >= 150:
        assert lines[0].split() == ["name", "kind", "size", "attached", "state", "since"]


@pytest.mark.parametrize("command", [["ls"], ["top", "--once", "--interval", "0.05"]], ids=" ".join)
def test_a_dumb_terminal_gets_the_lines_of_a_pipe(command, name):
    with sk.Counter(name=name) as it:
        printed = on_a_terminal(*command, term="dumb", raw=True)
        assert it.name
    assert "\x1b" not in printed
    (line,) = (line for line in printed.splitlines() if name in line)
    assert line.split("\t")[:2] == [name, "Counter"]


def piped(*command):
    done = subprocess.run(
        [sys.executable, "-m", "sharedkit", *command], capture_output=True, timeout=WATCHDOG, check=True
    )
    return done.stdout


def test_ls_escapes_control_characters_in_names(name):
    odd = "\n\r\x1b[31m\x7f\x85\x9b31m\u2028\u202e\u2066\udcff"
    with sk.Counter(name=f"{name}{odd}"):
        printed = on_a_terminal("ls", columns=200)
        (row,) = [line for line in piped("ls").decode("utf-8", "surrogateescape").splitlines() if name in line]
    kind = printed.splitlines()[0].index("kind")
    names = "".join(line[:kind].strip() for line in printed.splitlines())
    said = r"\x0a\x0d\x1b[31m\x7f\x85\x9b31m\u2028\u202e\u2066"
    assert f"{name}{said}\\xff" in names
    assert row.split("\t")[0] == f"{name}{said}\udcff"


def test_ls_into_a_pipe_is_one_line_a_segment(name):
    long = name + "-" + "x" * 120
    with (
        sk.Queue(5, name=long, persist=True) as persistent,
        sk.Counter(7, name=f"{name} with\ttab\nand line\udcff") as odd,
        sk.Counter(name=name),
    ):
        rows = [line.split(b"\t") for line in piped("ls").splitlines()]
        persistent.unlink()
        assert odd.name
    assert {len(row) for row in rows} == {7}
    (row,) = [row for row in rows if row[0] == long.encode()]
    assert row[1] == b"Queue"
    assert int(row[2]) > 0
    assert row[3] == str(os.getpid()).encode()
    assert datetime.fromisoformat(row[4].decode()).tzinfo is not None
    assert row[5:] == [b"persists", b"0 items, open"]
    (row,) = [row for row in rows if row[0].startswith(name.encode() + b" with")]
    assert row[0] == name.encode() + b" with\\x09tab\\x0aand line\xff"
    assert [row[5] for row in rows if row[0] == name.encode()] == [b""]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_ls_shows_an_executor_as_one_entry_and_its_segments_in_a_pipe(method):
    with sk.Executor(1, mp_context=multiprocessing.get_context(method)) as executor:
        worker = executor.submit(os.getpid).result(WATCHDOG)
        called = f"executor-{os.getpid()}-"
        rows = [line.split(b"\t") for line in piped("ls").splitlines() if line.startswith(called.encode())]
        printed = on_a_terminal("ls", columns=160)
    assert sorted(row[0].rpartition(b".")[2] for row in rows) == [b"claims", b"results", b"tasks"]
    for row in rows:
        assert {os.getpid(), worker} <= set(map(int, row[3].split(b",")))
    (line,) = [line for line in printed.splitlines() if called in line]
    assert "Executor" in line
    assert str(worker) in printed
    assert not [line for line in piped("ls").splitlines() if line.startswith(called.encode())]


def test_rm_refuses_a_segment_in_use_and_removes_it_when_forced(name, holder):
    child = holder()
    refused = invoke("rm", name)
    assert refused.exit_code == 2
    assert refused.output == (
        f"segment '{name}' is attached by pid {child.pid}: `sharedkit rm --force {name}` removes it all the same, and "
        "its processes can go on using it\n"
    )
    assert listed(name) is not None
    assert invoke("rm", "--force", name).exit_code == 0
    assert listed(name) is None


def test_rm_removes_a_segment_that_outlived_its_processes(name, holder):
    child = holder("persist")
    child.communicate("", timeout=WATCHDOG)
    assert listed(name)["persist"]
    done = invoke("rm", name)
    assert (done.exit_code, done.output) == (0, f"removed {name}\n")
    assert listed(name) is None


def test_rm_orphans_removes_what_killed_processes_left(name, holder):
    child = holder()
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=WATCHDOG)
    done = invoke("rm", "--orphans")
    assert done.exit_code == 0
    assert f"removed {name}" in done.output
    assert listed(name) is None


def test_ls_removes_what_killed_processes_left(name, holder):
    child = holder()
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=WATCHDOG)
    assert listed(name) is None


def test_rm_of_an_unknown_name_fails_and_still_removes_the_others(name, holder):
    holder("persist").communicate("", timeout=WATCHDOG)
    done = invoke("rm", f"{name}-unknown", name)
    assert done.exit_code == 2
    assert f"no segment is named '{name}-unknown': `sharedkit ls` lists those that there are\n" in done.output
    assert f"removed {name}\n" in done.output


@pytest.mark.parametrize("arguments", [[], ["rm"], ["nonsense"], ["ls", "--nonsense"]])
def test_commands_that_make_no_sense_exit_with_2(arguments):
    assert invoke(*arguments).exit_code == 2


def test_an_impossible_name_is_refused():
    done = invoke("rm", "../etc/passwd")
    assert done.exit_code == 2
    assert "without '/'" in done.output


@pytest.mark.parametrize("command", ["rm", "why"])
@pytest.mark.parametrize("bad", ["a/b", "test-cli-unknown"])
def test_an_error_says_the_name_once(command, bad):
    assert invoke(command, bad).output.count(bad) == 1


@pytest.mark.parametrize("command", [["rm"], ["why"], ["ls"], ["top", "--once", "--interval", "0.05"]], ids=" ".join)
def test_the_command_that_removes_a_damaged_segment_is_said_with_its_name(command, name):
    odd = f"{name} odd"
    path = segments._path_of(odd)
    with sk.Counter(name=name) as it, open(segments._path_of(it.name), "rb") as file:
        damaged = bytearray(file.read())
    damaged[20] = 99
    with open(path, "wb") as file:
        file.write(damaged)
    try:
        named = [odd] if command[0] in ("rm", "why") else []
        done = invoke(*command, *named)
        with pytest.raises(sk.CorruptSegmentError, match=f"`sharedkit rm --force '{odd}'`"):
            sk.attach(odd)
        assert invoke("rm", "--force", odd).exit_code == 0
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    (line,) = (line for line in done.output.splitlines() if name in line)
    assert f"remove it with `sharedkit rm --force '{odd}'`" in line


@pytest.mark.parametrize("what", ["foreign", "layout", "everybody's", "link", "folder"])
def test_rm_says_that_force_removes_what_it_cannot_open(what, name):
    with sk.Counter(name=name) as it, open(segments._path_of(name), "rb") as file:
        sound = bytearray(file.read())
        assert it.name == name
    odd = f"{name} odd"
    path = segments._path_of(odd)
    if what == "link":
        os.symlink("/nowhere", path)
    elif what == "folder":
        os.mkdir(path)
    else:
        with open(path, "wb") as file:
            file.write(
                bytes(8192) if what == "foreign" else sound[:8] + b"c" + sound[9:] if what == "layout" else sound
            )
        os.chmod(path, 0o666 if what == "everybody's" else 0o600)
    try:
        refused = invoke("rm", odd)
        assert refused.exit_code == 2
        assert refused.output.endswith(f"; `sharedkit rm --force '{odd}'` removes it all the same\n")
        forced = invoke("rm", "--force", odd)
        if what == "folder":  # it is no file: the error is the system's, and no advice is repeated
            assert (forced.exit_code, forced.output) == (2, f"{odd!r}: Is a directory\n")
        else:
            assert (forced.exit_code, forced.output) == (0, f"removed {odd}\n")
            assert not os.path.lexists(path)
    finally:
        if os.path.lexists(path):
            os.rmdir(path) if what == "folder" else os.unlink(path)


# --- options, exit codes ------------------------------------------------------------------------------------

NUMBERS = [
    (command.name, option)
    for command in root.commands.values()
    for option in command.params
    if isinstance(
        option.type, click.IntRange | click.FloatRange | click.types.IntParamType | click.types.FloatParamType
    )
]


@pytest.mark.parametrize(("command", "option"), NUMBERS, ids=lambda each: getattr(each, "name", each))
def test_what_is_no_number_is_said_in_words(command, option):
    whole = isinstance(option.type, click.IntRange)
    for bad in ("x", "1.5") if whole else ("x", "nan"):
        done = invoke(command, option.opts[0], bad)
        what = f"{bad!r} is not a {'valid integer' if whole else 'number of seconds'}."
        assert (done.exit_code, done.output.splitlines()[-1].rpartition(": ")[2]) == (2, what)


def test_every_command_with_a_number_is_tried():
    assert {command for command, _ in NUMBERS} == {"compare", "hash", "top", "why"}


@pytest.mark.parametrize(
    "command", [["why", "--for", "60"], ["top", "--once", "--interval", "60"], ["hash"]], ids=lambda each: each[0]
)
def test_ctrl_c_ends_with_130_and_without_a_word(command):
    child = subprocess.Popen(
        [sys.executable, "-c", "from sharedkit.commands.root import root; print(1, flush=True); root()", *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout.readline() == "1\n"
        until(lambda: waits(child.pid), what="the command did not come to its wait")
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=WATCHDOG) == ("", "\n")
        assert child.returncode == 130
    finally:
        child.kill()


@pytest.mark.parametrize("command", [["doctor"], ["--help"], ["hash", __file__]], ids=" ".join)
def test_output_that_nobody_reads_ends_with_141_and_without_a_word(command):
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-m", "sharedkit", *command],
        stdout=writes, stderr=subprocess.PIPE, text=True, timeout=WATCHDOG,
    )  # fmt: skip
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--address", "{0}/none/socket"], "cannot listen at {0}/none/socket: No such file or directory"),
        (["--address", "{0}/socket", "--authkey-file", "{0}"], "--authkey-file {0}: Is a directory"),
        (
            ["--address", "{0}/s", "--authkey-file", "{0}/none/key"],
            "--authkey-file {0}/none/key: No such file or directory",
        ),
    ],
)
def test_a_server_that_cannot_be_is_a_sentence_and_exit_code_2(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.setenv("SHAREDKIT_AUTHKEY", "key")
    done = invoke("serve", *(each.format(tmp_path) for each in arguments))
    assert (done.exit_code, done.output) == (2, f"Error: {sentence.format(tmp_path)}\n")


# --- output that cannot be written --------------------------------------------------------------------------

COMMANDS = [
    ["ls"], ["ls", "--json"], ["top", "--once", "--interval", "0.05"], ["top", "--json", "--interval", "0.05"],
    ["why", "--for", "0.05"], ["doctor"], ["doctor", "--json"], ["hash", __file__], ["--help"], ["rm", "--help"],
]  # fmt: skip


@pytest.mark.parametrize(("command", "unbuffered"), [*((each, "") for each in COMMANDS), (["ls"], "1")])
def test_a_full_disk_is_a_sentence_and_exit_code_2(command, unbuffered, name):
    with sk.Counter(name=name) as it, open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sharedkit", *command],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=WATCHDOG,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
        assert it.name
    assert (done.returncode, done.stderr) == (2, "Error: the output cannot be written: No space left on device\n")


def test_a_server_whose_output_cannot_be_written_ends_and_leaves_no_socket(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sharedkit", "serve", "--address", str(tmp_path / "socket")],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=WATCHDOG,
            env=os.environ | {"SHAREDKIT_AUTHKEY": "key"},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "Error: the output cannot be written: No space left on device\n")
    assert not list(tmp_path.iterdir())


def test_where_even_the_sentence_cannot_be_written_the_exit_code_is_2():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "sharedkit", "--help"], stdout=full, stderr=full, timeout=WATCHDOG)
    assert done.returncode == 2


def test_a_closed_standard_output_is_written_nowhere(name):
    program = f"exec {sys.executable} -m sharedkit ls >&-"
    with sk.Counter(name=name) as it:
        done = subprocess.run(["sh", "-c", program], capture_output=True, text=True, timeout=WATCHDOG)
        assert it.name
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- help ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_help_cuts_no_summary_of_a_command(width):
    done = CliRunner().invoke(root, ["--help"], terminal_width=width)
    assert "..." not in done.output.partition("Commands:")[2]


def test_the_summaries_fit_a_line_of_80_columns():
    lines = CliRunner().invoke(root, ["--help"], terminal_width=80).output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == sorted(root.commands)


@pytest.mark.parametrize("missing", ["click", "rich", "matplotlib"])
def test_without_the_extra_the_command_says_how_to_install_it(missing):
    program = f"""
import sys
sys.modules[{missing!r}] = None
sys.argv[1:] = ["ls"]
from sharedkit.commands.entry import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WATCHDOG)
    assert done.returncode == 2
    assert 'pip install "sharedkit[compare]"' in done.stderr
    assert missing in done.stderr
    assert "Traceback" not in done.stderr


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "sharedkit", "--version"], capture_output=True, text=True, timeout=WATCHDOG
    )
    assert done.stdout == f"sharedkit, version {sk.__version__}\n"
