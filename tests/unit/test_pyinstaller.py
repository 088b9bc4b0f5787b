"""A frozen program contains all modules that it needs, also those that only compiled modules or strings name."""

import ast
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOK = ROOT / "src" / "sharedkit" / "_pyinstaller" / "hook-sharedkit.py"
WATCHDOG = 900

PROGRAM = """
import multiprocessing, sys
import sharedkit as sk

def work(jobs, hits, results):
    while (job := jobs.get(timeout=120)) is not None:
        hits.add(1)
        results.put(job * 2)

def main(method):
    context = multiprocessing.get_context(method)
    jobs, hits, results = sk.Queue(), sk.Counter(), sk.Queue()
    children = [context.Process(target=work, args=(jobs, hits, results)) for _ in range(2)]
    for each in children:
        each.start()
    jobs.put_many([*range(10), None, None])
    got = sorted(results.get(timeout=120) for _ in range(10))
    for each in children:
        each.join(120)
    with sk.Executor(2, mp_context=context) as executor:
        powers = list(executor.map(pow, [2] * 5, range(5)))
    table = sk.Dict(answer=42)
    with sk.Lock(), sk.RLock(), sk.Condition(), sk.BoundedSemaphore():
        pass
    grid = sk.Array((2, 3), "i4")
    grid.ndarray[:] = 1
    with sk.get_context("thread").Executor(1) as executor:
        total = executor.submit(sum, [1, 2]).result()
    print(got, hits.value, powers, table["answer"], int(grid.ndarray.sum()), total, getattr(sys, "frozen", False))

if __name__ == "__main__":
    multiprocessing.freeze_support()
    main(sys.argv[1])
"""


def imports_of_compiled_modules() -> set[str]:
    found: set[tuple[str, str]] = set()
    for path in (ROOT / "ext").rglob("*.pyx"):
        found |= set(re.findall(r"^ *import +([\w.]+)|^ *from +([\w.]+) +import\b", path.read_text(), re.MULTILINE))
    names = {one or other for one, other in found}
    return {each for each in names if not each.startswith("sharedkit")}


def test_the_hook_names_every_module_that_compiled_ones_import() -> None:
    tree = ast.parse(HOOK.read_text())
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    wanted = imports_of_compiled_modules()
    assert {"numpy", "queue", "pickle"} <= wanted
    assert wanted <= named, wanted - named


def test_the_package_tells_pyinstaller_of_its_hook() -> None:
    (point,) = [each for each in entry_points(group="pyinstaller40") if each.value.startswith("sharedkit.")]
    assert point.name == "hook-dirs"
    (folder,) = point.load()()
    assert (Path(folder) / HOOK.name).is_file()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that PyInstaller has made, as a folder."""
    pytest.importorskip("PyInstaller")
    folder = tmp_path_factory.mktemp("frozen")
    script = folder / "program.py"
    script.write_text(PROGRAM)
    made = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level", "ERROR",
         "--distpath", str(folder / "dist"), "--workpath", str(folder / "build"), "--specpath", str(folder),
         str(script)],
        capture_output=True, text=True, timeout=WATCHDOG,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return folder / "dist" / "program" / "program"


@pytest.mark.stress
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_frozen_program_shares_with_its_processes(frozen: Path, method: str) -> None:
    done = subprocess.run([str(frozen), method], capture_output=True, text=True, timeout=WATCHDOG)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{[2 * i for i in range(10)]} 10 [1, 2, 4, 8, 16] 42 6 3 True\n"
