"""Use an installed sharedkit as its users do: `python tools/try_wheel.py [--no-compiler] [--command]`.

`make dist` and cibuildwheel run it in the environment in which a wheel was installed. It exits with 1 and a reason if
the wheel contains files that it should not, lacks some that it should contain, or does not work.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import multiprocessing
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path, PurePath
from typing import Any

SOURCES = {".pyx", ".pxd", ".c", ".h", ".cpp", ".toml"}
PATIENCE = 60.0  # seconds; nothing here takes one second, so a longer wait is stuck
COMPILERS = ("cc", "gcc", "clang", "c++", "g++")


def check(holds: bool, what: str) -> None:
    """End the program unless the condition holds; `what` describes it."""
    if not holds:
        sys.exit(f"the wheel does not pass: {what}")


def try_contents() -> None:
    """Compiled modules, stubs and `py.typed` are there; sources, tests and benchmarks are not."""
    files = [PurePath(str(each)) for each in importlib.metadata.files("sharedkit") or []]
    check(bool(files), "it records its files")
    tops = {each.parts[0] for each in files if each.parts[0] not in ("..", "sharedkit")}
    check(all(top.endswith(".dist-info") for top in tops), f"nothing beside the package: {sorted(tops)}")
    strangers = [str(each) for each in files if each.suffix in SOURCES or {"tests", "benchmarks"} & set(each.parts)]
    check(not strangers, f"no sources, tests or benchmarks: {strangers}")
    check(PurePath("sharedkit/py.typed") in files, "sharedkit/py.typed")
    check(any("licenses" in each.parts for each in files), "the licence")
    suffix = sysconfig.get_config_var("EXT_SUFFIX").split("-")[0]  # .cpython-313, of .cpython-313-x86_64-linux-gnu.so
    compiled = [each for each in files if each.suffix == ".so"]
    check(len(compiled) >= 4, f"compiled modules: {len(compiled)}")
    check(all(suffix in each.name for each in compiled), f"modules of this interpreter, {suffix}: {compiled}")
    unstubbed = [str(each) for each in compiled if each.with_name(each.name.split(".")[0] + ".pyi") not in files]
    check(not unstubbed, f"a stub for each compiled module: {unstubbed}")


def work(jobs: Any, done: Any, hits: Any, grid: Any) -> None:
    """In a spawned process: send squares back, count, and write to the array."""
    while (n := jobs.get(timeout=PATIENCE)) is not None:
        grid.ndarray[n] = n
        hits.add()
        done.put((n, n * n), timeout=PATIENCE)


def try_structures() -> None:
    """A counter, two queues and an array, shared with a process started by `spawn`."""
    import numpy as np

    import sharedkit as sk

    check("site-packages" in str(sk.__file__), f"imported from where it was installed: {sk.__file__}")
    with sk.Counter() as hits, sk.Queue(maxsize=8) as jobs, sk.Queue() as done, sk.Array(100, "i8") as grid:
        names = [structure.name for structure in (hits, jobs, done, grid)]
        worker = multiprocessing.get_context("spawn").Process(target=work, args=(jobs, done, hits, grid), daemon=True)
        worker.start()
        jobs.put_many([*range(100), None], timeout=PATIENCE)
        squares = [done.get(timeout=PATIENCE) for _ in range(100)]
        worker.join(PATIENCE)
        check(worker.exitcode == 0, f"the process ends well: {worker.exitcode}")
        check(squares == [(n, n * n) for n in range(100)], "every item arrives once, in order")
        check(hits.value == 100, f"every count arrives: {hits.value}")
        check(np.array_equal(grid.ndarray, np.arange(100)), "every element arrives")
    left = [name for name in names if (Path("/dev/shm") / f"sk_{name}").exists()]
    check(not left, f"nothing is left in shared memory: {left}")


def try_hashing() -> None:
    """The digests of a batch are those of `hashlib`."""
    from sharedkit.hashing import hash_many

    items = [bytes(n) for n in range(300)]
    for algorithm in ("sha256", "sha384", "sha512"):
        theirs = [hashlib.new(algorithm, item).digest() for item in items]
        check(hash_many(items, algorithm, form="bytes") == theirs, f"{algorithm} of {len(items)} items")


def try_command() -> None:
    """The command that the extra installs prints its help."""
    command = Path(sysconfig.get_path("scripts")) / "sharedkit"
    told = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=PATIENCE)
    check(told.returncode == 0 and "compare" in told.stdout, f"{command} --help: {told.stdout}{told.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-compiler", action="store_true", help="insist that no C compiler is on PATH")
    parser.add_argument("--command", action="store_true", help="try the command line too; needs the extra `compare`")
    asked = parser.parse_args()
    if asked.no_compiler:
        found = [each for each in COMPILERS if shutil.which(each)]
        check(not found, f"no compiler within reach: {found}")
    try_contents()
    try_structures()
    try_hashing()
    if asked.command:
        try_command()


if __name__ == "__main__":
    main()
