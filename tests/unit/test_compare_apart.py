"""Rows of threads without a GIL, which another interpreter measures; here an interpreter that pretends to have none."""

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import sharedkit
from sharedkit.commands.root import root
from sharedkit.compare import apart

QUICK = ["--seconds", "0.02", "--repeats", "1", "--workers", "2"]
TOLD = {"version": "3.14.9", "free": True, "kit": sharedkit.__version__, "why": "", "gil": False}


def pretender(folder: Path, **told: object) -> str:
    """An executable that answers as a free-threaded Python does."""
    path = folder / "python3.14t"
    says = json.dumps({**TOLD, **told})
    path.write_text(f"""#!/bin/sh
if [ "$1" = -m ]; then
    exec '{sys.executable}' -c 'import sharedkit.compare.apart as it; it.gil_enabled = lambda: False; it.main()'
fi
cat <<'END'
{says}
END
""")
    path.chmod(0o755)
    return str(path)


def compare(*arguments: str, **environment: str) -> tuple[int, str]:
    done = CliRunner().invoke(root, ["compare", *arguments, *QUICK], env={"COLUMNS": "200", **environment})
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.skipif(not apart.gil_enabled(), reason="its own threads are without a GIL")
@pytest.mark.parametrize("found", ["named", "on PATH"])
def test_rows_without_a_gil_stand_beside_those_of_threads_with_a_gil(tmp_path: Path, found: str) -> None:
    path = pretender(tmp_path)
    asked = ["--no-gil", path] if found == "named" else []
    folders = os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"])
    status, said = compare("counter", "--json", str(tmp_path / "out.json"), *asked, PATH=folders)
    assert status == 0, said
    assert "free threads: CPython 3.14.9 free-threaded" in said
    rows = json.loads((tmp_path / "out.json").read_text())["workloads"][0]["rows"]
    free = [i for i, row in enumerate(rows) if row["where"] == "free threads"]
    assert len(free) == sum(row["where"] == "threads" for row in rows) >= 3
    for i in free:
        assert rows[i]["state"] == "ok" and rows[i]["operations"] > 0 and len(rows[i]["seconds"]) == 1
        assert (rows[i - 1]["where"], rows[i - 1]["name"]) == ("threads", rows[i]["name"])
        assert rows[i]["fingerprint"] == rows[0]["fingerprint"]


@pytest.mark.skipif(not apart.gil_enabled(), reason="its own threads are without a GIL")
def test_it_hashes_the_same_files_and_the_right_table(tmp_path: Path) -> None:
    path = pretender(tmp_path)
    asked = ["--size", "16", "--size", "500", "--only", "threads", "--no-gil", path]
    status, said = compare("hash", *asked, "--json", str(tmp_path / "out.json"))
    assert status == 0, said
    for table in json.loads((tmp_path / "out.json").read_text())["workloads"]:
        free = [row for row in table["rows"] if row["where"] == "free threads"]
        assert {row["name"] for row in free} >= {"hashlib", "sharedkit hash_many"}
        assert {row["fingerprint"] for row in table["rows"]} == {table["rows"][0]["fingerprint"]}


@pytest.mark.skipif(not apart.gil_enabled(), reason="its own threads are without a GIL")
@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"free": False, "gil": True}, "is Python 3.14.9 with a GIL"),
        ({"kit": "", "why": "No module named 'sharedkit'"}, "has no sharedkit (No module named 'sharedkit')"),
        ({"kit": "0.0.9"}, f"has sharedkit 0.0.9, this is {sharedkit.__version__}"),
        ({"gil": True}, "has turned its GIL on"),
    ],
)
def test_an_unfit_interpreter_is_refused_with_the_reason(tmp_path: Path, told: dict[str, object], words: str) -> None:
    path = pretender(tmp_path, **told)
    status, said = compare("counter", "--no-gil", path)
    assert status == 2
    assert words in said
    status, said = compare("counter", "--only", "asyncio", PATH=f"{tmp_path}{os.pathsep}/bin")  # without --no-gil
    assert status == 0
    assert "No rows of free threads" in said and words in said


@pytest.mark.skipif(not apart.gil_enabled(), reason="its own threads are without a GIL")
def test_an_executable_that_is_no_python_is_refused_and_no_gil_none_searches_for_none(tmp_path: Path) -> None:
    status, said = compare("counter", "--no-gil", "/bin/true")
    assert status == 2
    assert "/bin/true does not answer as a Python does" in said
    status, said = compare("counter", "--only", "asyncio", "--no-gil", "none", PATH="/nowhere")
    assert (status, "free threads" in said) == (0, False)
    status, said = compare("counter", "--only", "asyncio", PATH="/nowhere")
    assert status == 0
    assert "no free-threaded Python on PATH (python3.15t" in said
