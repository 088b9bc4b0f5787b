"""Threads without a GIL beside threads with one: another interpreter, in its own process, runs the thread variants.

`python -m sharedkit.compare.apart` is that process: it reads a workload and settings as JSON, and answers with rows.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sharedkit.compare import redis_server
from sharedkit.compare.corpus import folder_of_standard_library
from sharedkit.compare.crew import interrupts_held
from sharedkit.compare.machine import gil_enabled
from sharedkit.compare.report import Row
from sharedkit.compare.workload import BadInput, Settings, WorkerFailed, Workload

__all__ = ["NAMES", "Interpreter", "ask", "find", "rows_of", "variants_of"]

NAMES = ("python3.15t", "python3.14t", "python3.13t")
"""The names of free-threaded builds on PATH, the preferred one first."""
WHERE = "free threads"
"""The value of `where` in their rows."""
ANSWER_SECONDS = 60
PROBE = """
import json, platform, sys, sysconfig
told = {"version": platform.python_version(), "kit": "", "why": ""}
told["free"] = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
try:
    import sharedkit, sharedkit.compare.apart
    told["kit"] = sharedkit.__version__
except ImportError as why:
    told["why"] = str(why)
told["gil"] = getattr(sys, "_is_gil_enabled", lambda: True)()
print(json.dumps(told))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A free-threaded Python in which sharedkit is installed."""

    path: str
    version: str

    @property
    def shown(self) -> str:
        """The name in the heading of a report."""
        return f"CPython {self.version} free-threaded"


def find() -> str | None:
    """The first free-threaded Python on PATH."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def ask(path: str, ours: str) -> Interpreter:
    """The interpreter at `path`. Raises BadInput if it cannot run the variants of release `ours`."""
    try:
        done = subprocess.run(
            [path, "-W", "ignore", "-c", PROBE], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True
        )
        told = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as why:
        raise BadInput(f"{path} does not answer as a Python does: {why}") from None
    if not told["free"]:
        raise BadInput(
            f"{path} is Python {told['version']} with a GIL; a free-threaded build, such as python3.14t, has none"
        )
    if not told["kit"]:
        raise BadInput(f"{path} has no sharedkit ({told['why']}): {path} -m pip install sharedkit")
    if told["kit"] != ours:
        raise BadInput(f"{path} has sharedkit {told['kit']}, this is {ours}: {path} -m pip install sharedkit=={ours}")
    if told["gil"]:
        raise BadInput(
            f"{path} has turned its GIL on: unset PYTHON_GIL, and see which module it was by PYTHONWARNINGS=default"
        )
    return Interpreter(path, told["version"])


def variants_of(workload: Workload) -> list[str]:
    """Labels of the requested variants that threads run."""
    return [
        variant.label
        for variant in workload.chosen()
        if variant.where == "threads" and workload.settings.only in variant.label and not variant.missing
    ]


def rows_of(interpreter: Interpreter, workload: Workload, tick: Callable[[str, int], None]) -> list[Row]:
    """The rows that the interpreter measured, one for each thread variant. `tick` as for `runner.measure`."""
    labels = variants_of(workload)
    if not labels:
        return []
    settings = replace(
        workload.settings, library=workload.settings.library or folder_of_standard_library(), redis=redis_server.NONE
    )
    told = json.dumps({"workload": workload.name, "table": workload.table, "settings": asdict(settings)}, default=str)
    rows: list[Row] = []
    with interrupts_held():
        process = subprocess.Popen(
            [interpreter.path, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    try:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(told)
        process.stdin.close()
        for line in process.stdout:
            said = json.loads(line)
            if "row" in said:
                rows.append(Row(**said["row"]))
            else:
                tick(said["label"], said["lap"])
        if process.wait() != 0:
            raise WorkerFailed(f"{interpreter.path} ended with {process.returncode}")
        return rows
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def main() -> None:
    """Measure the workload named on stdin; print a line of JSON for each lap and row."""
    from sharedkit.compare.catalogue import WORKLOADS
    from sharedkit.compare.runner import measure_row

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    told = json.load(sys.stdin)
    workload = WORKLOADS[told["workload"]].of(settings_from(told["settings"]))[told["table"]]
    workload.prepare()
    wanted = variants_of(workload)

    def say(what: dict[str, Any]) -> None:
        print(json.dumps(what), flush=True)

    for variant in workload.chosen():
        if variant.label in wanted:
            row = Row(WHERE, variant.name, variant.family)
            measure_row(
                workload, variant, row, lambda label, lap: say({"label": f"{label}, free-threaded", "lap": lap})
            )
            if gil_enabled():
                row.state, row.reason = "failed", "the GIL came on meanwhile"
            say({"row": asdict(row)})


def settings_from(told: dict[str, Any]) -> Settings:
    """Settings from their JSON form."""
    for name in ("corpus", "library"):
        told[name] = None if told[name] is None else Path(told[name])
    return Settings(**{**told, "sizes": tuple(told["sizes"])})


if __name__ == "__main__":
    main()
