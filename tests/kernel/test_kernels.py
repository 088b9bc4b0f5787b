"""The C core without Python: compiles and runs the kernel programs. Each program says at its top what it proves."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
KINDS = ("plain", "address", "thread")
PROGRAMS = (
    "counter",
    "lock",
    "queue",
    "segment",
    "ring",
    "event",
    "dict",
    "barrier",
    "condition",
    "rwlock",
    "mutex",
    "bounded",
    "watch",
    "stream",
)
WATCHDOG = 600
ARM_CC, ARM_RUN = "aarch64-linux-gnu-gcc", "qemu-aarch64"

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or shutil.which("gcc") is None, reason="the kernel programs need make and gcc"
)


def run(built: Path, kind: str, program: str, millis: int, polling: bool, seed: int) -> None:
    shared = kind == "thread"  # ThreadSanitizer sees races only within one mapping
    done = subprocess.run(
        [built / kind / program, str(millis), str(int(polling)), str(int(shared)), str(seed)],
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_every_header_compiles_by_itself_with_every_warning_an_error(built: Path) -> None:
    headers = {each.stem for each in (HERE / "../../ext/include").glob("*/*.h")}
    assert {each.stem for each in (built / "alone").glob("*/*.o")} == headers
    assert "sk_queue" in headers


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("kind", "polling"), [*((kind, False) for kind in KINDS), ("plain", True)])
def test_participants_keep_every_promise(built: Path, kind: str, program: str, polling: bool) -> None:
    run(built, kind, program, 200, polling, seed=1)


def change_while_hashing(built: Path, rounds: int, seed: int) -> None:
    done = subprocess.run(
        [built / "address" / "hash_foreign", str(rounds), str(seed)], capture_output=True, text=True, timeout=WATCHDOG
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "nothing outside of the data was touched" in done.stdout


def test_offsets_codes_and_text_that_change_lead_nowhere(built: Path) -> None:
    change_while_hashing(built, 10, seed=1)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(2, 6))
def test_offsets_codes_and_text_that_change_for_long_lead_nowhere(built: Path, seed: int) -> None:
    change_while_hashing(built, 400, seed)


@pytest.mark.skipif(not (shutil.which(ARM_CC) and shutil.which(ARM_RUN)), reason=f"needs {ARM_CC} and {ARM_RUN}")
@pytest.mark.stress
@pytest.mark.parametrize("program", PROGRAMS)
def test_participants_keep_every_promise_on_another_machine(built: Path, program: str) -> None:
    done = subprocess.run(
        [ARM_RUN, built / "arm64" / program, "400", "0", "0", "1"], capture_output=True, text=True, timeout=WATCHDOG
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


# The loads after an eventcount was prepared, and the load of the token before a waiter is woken.
FENCED = """
#include "structures/sk_bounded.h"
#include "structures/sk_queue_get.h"
#include "structures/sk_rwlock.h"
#include "structures/sk_semaphore.h"
#define LOOK(load) (load ? 0 : (int)raised)
int value(sk_semaphore *p) {
    uint32_t raised = sk_eventcount_prepare(&p->event); return LOOK(sk_load32_relaxed(&p->value)); }
int permits(sk_bounded *p) {
    uint32_t raised = sk_eventcount_prepare(&p->event); return LOOK(sk_load32_relaxed(&p->free)); }
int readers(sk_rwlock *l) {
    uint32_t raised = sk_eventcount_prepare(&l->open); return LOOK(sk_load64_relaxed(&l->wanted)); }
int items(sk_queue *q) {
    uint32_t raised = sk_eventcount_prepare(&q->items); return LOOK(sk_load64_relaxed(&q->tail)); }
int turn(uint32_t *free, const uint64_t *token) { sk_add32_seq_cst(free, 1); return sk_wait_state_wake_count(token); }
"""


@pytest.mark.skipif(not shutil.which(ARM_CC), reason=f"needs {ARM_CC}")
def test_a_load_behind_a_raised_event_stands_behind_a_fence_on_arm64(tmp_path: Path) -> None:
    (tmp_path / "fenced.c").write_text(FENCED)
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-mno-outline-atomics", f"-I{HERE / '../../ext/include'}"]
    done = subprocess.run(
        [ARM_CC, *flags, "-S", "-o", "-", tmp_path / "fenced.c"], capture_output=True, text=True, timeout=WATCHDOG
    )
    assert done.returncode == 0, done.stderr
    for name in ("value", "permits", "readers", "items", "turn"):
        body = done.stdout.split(f"\n{name}:\n")[1].split("\n\t.size\t")[0]
        stored, loaded = re.search(r"\tstlxr\t", body), None
        assert stored is not None, body
        for instruction in re.finditer(r"\t(dmb\tish|ldar|ldr)\b", body[stored.end() :]):
            loaded = instruction.group(1)
            break
        assert loaded in ("dmb\tish", "ldar"), body


def enumerate_schedules(built: Path, preemptions: int) -> None:
    done = subprocess.run([built / "model", str(preemptions)], capture_output=True, text=True, timeout=10 * WATCHDOG)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_no_schedule_of_a_few_participants_leaves_anybody_stuck(built: Path) -> None:
    enumerate_schedules(built, 2)


@pytest.mark.stress
def test_no_schedule_with_one_more_preemption_leaves_anybody_stuck(built: Path) -> None:
    enumerate_schedules(built, 3)


@pytest.mark.stress
@pytest.mark.parametrize("polling", [False, True], ids=["futexes", "polling"])
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", KINDS)
def test_participants_keep_every_promise_for_long(built: Path, kind: str, program: str, polling: bool) -> None:
    for seed in range(2, 6):
        run(built, kind, program, 10_000, polling, seed)
