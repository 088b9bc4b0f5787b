"""sdist and wheels in dist/, for every CPython from 3.11 on that this machine has: `make dist`.

The sdist is built first, and the wheels from it alone, each in isolation and from a fresh copy. auditwheel gives each
wheel the widest possible manylinux tag. Each wheel is then installed into an empty environment, without a compiler on
PATH, and used there (tools/try_wheel.py). Finally cibuildwheel lists the builds of the release with these settings.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
MINORS = (11, 12, 13, 14, 15)
RELEASE = 7 * 2 * 2  # CPython 3.11 to 3.15, 3.14t and 3.15t; glibc and musl; x86-64 and ARM
PROBE = (
    "import ensurepip, json, os, sys, sysconfig, venv;"
    "assert os.path.exists(sysconfig.get_path('include') + '/Python.h');"
    "suffix = sysconfig.get_config_var('EXT_SUFFIX');"
    "print(json.dumps([sys.implementation.name, *sys.version_info[:2], suffix, sys._base_executable]))"
)
# The interpreter's own flags request debug symbols and, if the interpreter is a private build, a path to its folder in
# every module. Neither belongs into a wheel.
FLAGS = {"CFLAGS": "-g0", "LDSHARED": "gcc -shared"}


def say(*what: object) -> None:
    print(*what, flush=True)


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a command and return its output. If it fails, exit with the whole output."""
    done = subprocess.run(
        [str(each) for each in command], env=env, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(str(each) for each in command)}: exit {done.returncode}")
    return done.stdout


def environment(**more: str) -> dict[str, str]:
    """This process's environment without the variables that `make` set for the build in place."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("DIST_EXTRA_CONFIG", "MAKEFLAGS", "MFLAGS")
    }
    return kept | more


def interpreters() -> list[Path]:
    """One CPython for each version, those on PATH before those of pyenv; only those that run and have headers."""
    names = [f"python3.{minor}" for minor in MINORS]
    on_path = [Path(folder) / name for name in names for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: dict[str, Path] = {}
    for candidate in [*on_path, *(version / "bin" / "python3" for version in sorted(pyenv.glob("3.*"), reverse=True))]:
        if not candidate.exists():
            continue
        told = subprocess.run([candidate, "-c", PROBE], capture_output=True, text=True)
        if told.returncode:
            continue
        implementation, major, minor, suffix, executable = json.loads(told.stdout)
        if implementation == "cpython" and major == 3 and minor in MINORS:
            found.setdefault(suffix, Path(executable))
    return [found[suffix] for suffix in sorted(found)]


def build_sdist(scratch: Path) -> Path:
    run(sys.executable, "-m", "build", "--sdist", "--outdir", scratch, ROOT, env=environment())
    return next(scratch.glob("*.tar.gz"))


def build_wheel(python: Path, sdist: Path, scratch: Path) -> Path:
    """Build a wheel from the sdist alone, and repair it; return its path in dist/."""
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch, filter="data")
    (source,) = (each for each in scratch.iterdir() if each.is_dir())
    raw, repaired = scratch / "raw", scratch / "repaired"
    pip = [sys.executable, "-m", "pip", "--python", python]
    run(*pip, "wheel", "--no-deps", "--wheel-dir", raw, source, env=environment(**FLAGS), cwd=scratch)
    (wheel,) = raw.glob("*.whl")
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", repaired, wheel)
    (wheel,) = repaired.glob("*.whl")
    if "manylinux" not in wheel.name:
        sys.exit(f"auditwheel gave no manylinux tag: {wheel.name}")
    return Path(shutil.copy(wheel, DIST))


def try_wheel(python: Path, wheel: Path, scratch: Path) -> None:
    """Install the wheel without a compiler, first alone and then with the extra, and use it."""
    venv = scratch / "venv"
    run(python, "-m", "venv", venv)
    bare = environment(PATH=str(venv / "bin"))
    own = venv / "bin" / "python"
    tried = shutil.copy(ROOT / "tools" / "try_wheel.py", scratch)
    install = [own, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    run(*install, wheel, env=bare, cwd=scratch)
    run(own, tried, "--no-compiler", env=bare, cwd=scratch)
    run(*install, f"{wheel}[compare]", env=bare, cwd=scratch)
    run(own, tried, "--no-compiler", "--command", env=bare, cwd=scratch)


def builds_of_the_release() -> list[str]:
    """The identifiers of the builds that cibuildwheel makes with the settings in pyproject.toml."""
    asked = [sys.executable, "-m", "cibuildwheel", "--platform", "linux", "--print-build-identifiers"]
    return [
        each for arch in ("x86_64", "aarch64") for each in run(*asked, "--archs", arch, ROOT, env=environment()).split()
    ]


def main() -> None:
    start = time.monotonic()
    pythons = interpreters()
    if not pythons:
        sys.exit("no CPython from 3.11 on with headers, venv and ensurepip")
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    with tempfile.TemporaryDirectory(prefix="sharedkit-dist-") as scratch:
        sdist = Path(shutil.copy(build_sdist(Path(scratch)), DIST))
        say(f"{sdist.name}  {sdist.stat().st_size / 1024:.0f} KiB")
    for python in pythons:
        with tempfile.TemporaryDirectory(prefix="sharedkit-dist-") as scratch:
            wheel = build_wheel(python, sdist, Path(scratch))
        with tempfile.TemporaryDirectory(prefix="sharedkit-dist-") as scratch:
            try_wheel(python, wheel, Path(scratch))
        say(f"{wheel.name}  {wheel.stat().st_size / 1024:.0f} KiB, installed and used without a compiler")
    builds = builds_of_the_release()
    if len(builds) != RELEASE:
        sys.exit(f"cibuildwheel makes {len(builds)} builds, not {RELEASE}: {builds}")
    say(f"cibuildwheel makes {len(builds)} builds from the same settings: {' '.join(sorted(builds))}")
    say(f"{len(pythons)} wheels in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
