"""Python interface to stepper.c: fork a victim, record its instructions, stop it before any one of them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sysconfig
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sharedkit import segments

OWN, CALLED = 1, 2
CHANGED, LOCKED, SYSCALL, IN_OWN = 1, 2, 4, 8
ENDED = -2
ROOM = 1 << 20


class _Span(ctypes.Structure):
    _fields_ = (("start", ctypes.c_uint64), ("end", ctypes.c_uint64), ("kind", ctypes.c_uint64))


class _Step(ctypes.Structure):
    _fields_ = (("at", ctypes.c_uint64), ("flags", ctypes.c_uint64))


@dataclass(frozen=True)
class Step:
    """One instruction: its address, and the flags that stepper.c gave it."""

    at: int
    flags: int


@dataclass(frozen=True)
class Code:
    """A mapped piece of program text."""

    start: int
    end: int
    offset: int
    path: str

    def describe(self, at: int) -> str:
        return f"{Path(self.path).name}+{at - self.start + self.offset:#x}"


def _text() -> list[Code]:
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if "x" in fields[1] and len(fields) == 6:
            start, end = (int(each, 16) for each in fields[0].split("-"))
            found.append(Code(start, end, int(fields[2], 16), fields[5]))
    return found


def _build() -> ctypes.CDLL:
    source = Path(__file__).with_name("stepper.c")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "stepper.so")
        flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([compiler, *flags, str(source), "-o", str(library)], check=True)
        return ctypes.CDLL(str(library), use_errno=True)


def _sit_everywhere() -> None:
    # A function, because a variable that outlived the loop would keep the last segment mapped.
    for segment in list(segments._named.values()):
        segment.sit()


class Stepper:
    """Steps victims forked from this process. Import all modules to be stepped before making it."""

    def __init__(self) -> None:
        self._c = _build()
        self._c.step_trace.restype = ctypes.c_long
        self._c.step_trace.argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p,
            ctypes.c_void_p, ctypes.c_long,
        ]  # fmt: skip
        self._c.step_to.argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_long, ctypes.c_void_p,
        ]  # fmt: skip
        text = _text()
        self._own = [code for code in text if "/sharedkit/" in code.path and ".so" in code.path]
        called = [code for code in text if "/libc.so" in code.path or "/libc-" in code.path or code.path == "[vdso]"]
        kinds = [(code, OWN) for code in self._own] + [(code, CALLED) for code in called]
        self._code = [code for code, _ in kinds]
        self._spans = (_Span * len(kinds))(*[_Span(code.start, code.end, kind) for code, kind in kinds])

    def describe(self, at: int) -> str:
        """The file and offset of an address, as objdump shows it."""
        return next((code.describe(at) for code in self._code if code.start <= at < code.end), f"{at:#x}")

    def fork(self, enter: Callable[[], None], act: Callable[[], None], seated: bool = True) -> int:
        """Fork a child that calls `enter`, stops, calls `act`, and stops again. It never returns.

        `seated`: the child takes its seats first.
        """
        pid = os.fork()
        if pid == 0:
            try:
                if seated:
                    _sit_everywhere()
                enter()
                if self._c.step_begin() == 0:
                    act()
                    self._c.step_end()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(3)
        if self._c.step_arrive(pid) != 0:
            raise RuntimeError("the victim did not come to its start (is ptrace allowed here?)")
        return pid

    def trace(self, victim: int, watch: tuple[int, int]) -> list[Step]:
        """Every counted instruction of the victim's operation. `watch`: address and length of shared memory."""
        out = (_Step * ROOM)()
        copy = ctypes.create_string_buffer(max(watch[1], 1))
        n = self._c.step_trace(victim, self._spans, len(self._spans), *watch, copy, out, ROOM)
        if n < 0:
            raise RuntimeError(f"the operation cannot be stepped: {n}")
        return [Step(step.at, step.flags) for step in out[:n]]

    def to(self, victim: int, start: int, counted: int) -> int | None:
        """Run the victim to address `start`, then for `counted` instructions. Return its address; None if it ended."""
        at = ctypes.c_uint64()
        rc = self._c.step_to(victim, self._spans, len(self._spans), start, counted, ctypes.byref(at))
        if rc == ENDED:
            return None
        if rc != 0:
            raise RuntimeError(f"lost the victim: {rc}")
        return at.value

    def release(self, victim: int) -> None:
        """Let a stopped victim run on untraced. step_end then stops it as any process, until SIGCONT."""
        if self._c.step_release(victim) != 0:
            raise RuntimeError("lost the victim")

    def kill(self, victim: int) -> None:
        """SIGKILL, and wait for its end."""
        self._c.step_kill(victim)


class Route:
    """The way to each instruction of a trace: run to the latest first occurrence of an instruction of ours.

    Running to a breakpoint there and stepping the rest makes a sweep linear; stepping from the start is quadratic.
    """

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self._start: list[int] = []
        seen: set[int] = set()
        latest = 0
        for i, step in enumerate(steps):
            if step.flags & IN_OWN and step.at not in seen:
                latest = i
            seen.add(step.at)
            self._start.append(latest)

    def __len__(self) -> int:
        return len(self.steps)

    def to(self, k: int) -> tuple[int, int]:
        """The address to run to, and the number of instructions to step from there, to have executed k instructions."""
        start = self._start[min(k, len(self.steps) - 1)]
        return self.steps[start].at, k - start

    def near_effects(self) -> set[int]:
        """The points around all effects that other processes can see: changed shared words, locked instructions, system
        calls."""
        effects = [i for i, step in enumerate(self.steps) if step.flags & (CHANGED | LOCKED | SYSCALL)]
        points = {i + beside for i in effects for beside in (-1, 0, 1, 2)}
        return {k for k in points if 0 <= k <= len(self.steps)}
