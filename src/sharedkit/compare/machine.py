"""The machine and the versions that a measurement belongs to; a number without them means nothing."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import sharedkit

__all__ = ["Machine", "gil_enabled", "this_machine", "versions"]

PACKAGES = ("numpy", "xxhash", "blake3", "google-crc32c")


@dataclass(frozen=True, slots=True)
class Machine:
    """`cores` are those that this process may use; `load` is the one-minute average at the start of the run."""

    processor: str
    cores: int
    system: str
    memory: int
    load: float


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            return " ".join(value.split())
    return platform.processor() or platform.machine()


def this_machine() -> Machine:
    """The facts about this machine; nothing is measured."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        load=round(os.getloadavg()[0], 2),
    )


def gil_enabled() -> bool:
    """Whether this interpreter has a GIL, which lets only one thread run Python code at a time."""
    ask = getattr(sys, "_is_gil_enabled", None)
    return True if ask is None else bool(ask())


def versions() -> dict[str, str]:
    """The versions of the interpreter, of sharedkit, and of the packages that affect the measurements."""
    build = "" if gil_enabled() else " free-threaded"
    found = {
        "python": f"{platform.python_implementation()} {platform.python_version()}{build}",
        "sharedkit": sharedkit.__version__,
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
