"""The allowed dependencies. To allow another one, change it here first, and give the reason."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INCLUDE = ROOT / "ext" / "include"
SOURCE = ROOT / "src" / "sharedkit"
HEADERS = sorted(INCLUDE.glob("*/*.h"))
FOLDERS = ("platform", "core", "structures")  # lowest first: a header includes only its own folder or one before it
KERNELS = {each.name: each.read_text() for each in HEADERS}
PYTHON = sorted(SOURCE.rglob("*.py"))
CYTHON = sorted(path for path in (ROOT / "ext" / "sharedkit").rglob("*") if path.suffix in (".pyx", ".pxd"))

# The layers of headers, lowest first: a header includes only headers of earlier layers.
STRATA = [
    {"sk_status.h", "sk_platform_linux.h"},
    {"sk_platform.h", "sk_atomic.h"},
    {"sk_wait.h", "sk_process.h"},
    {"sk_seat.h"},
    {"sk_header.h"},
    {"sk_door.h"},
    {"sk_segment.h"},
    {"sk_lock.h"},
]
FOUNDATION = set[str]().union(*STRATA)

# Functions that only the platform headers may call, as named in C.
SYSTEM_CALLS = re.compile(
    r"(?<![\w.>])("
    "accept|close|dup|dup2|dup3|fallocate|fcntl|flock|fork|fstat|ftruncate|getpid|kill|linkat|lstat|"
    "mkdir|mmap|mremap|munmap|nanosleep|open|openat|poll|pread|pwrite|read|rename|sched_yield|sendfile|"
    "shm_open|stat|syscall|unlink|usleep|write|clock_gettime"
    r")\s*\("
)
# Headers that declare them.
SYSTEM_HEADERS = re.compile(r"#include <(sys/|linux/|fcntl|unistd|poll|sched|time|pthread|semaphore|dirent)")


def without_comments(text: str) -> str:
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.sub(r"//[^\n]*|\"(\\.|[^\"\\\n])*\"", " ", text)


def includes(name: str) -> set[str]:
    return set(re.findall(r'#include "(?:\w+/)?(sk_\w+\.h)"', KERNELS[name]))


def stratum(name: str) -> int:
    for level, names in enumerate(STRATA):
        if name in names:
            return level
    return len(STRATA)


@cache
def imported(path: Path) -> set[str]:
    """The absolute name of every module that a Python file imports."""
    found: set[str] = set()
    package = ("sharedkit", *path.relative_to(SOURCE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join((*package[: len(package) + 1 - node.level], node.module or "")) if node.level else node.module
            )
            assert base is not None
            found |= {base.rstrip(".")} | {f"{base.rstrip('.')}.{each.name}" for each in node.names}
    return found


@cache
def cython_imported(path: Path) -> set[str]:
    found = re.findall(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))\b", path.read_text(), re.MULTILINE)
    return {one or other for one, other in found}


def within(modules: set[str], package: str) -> set[str]:
    return {each for each in modules if each == package or each.startswith(package + ".")}


# --- the C core -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_only_one_header_has_atomic_built_ins(name: str) -> None:
    text = without_comments(KERNELS[name])
    used = re.findall(r"\b(?:__atomic_\w+|__sync_\w+|_Atomic|atomic_\w+|volatile)\b|<stdatomic\.h>", text)
    if name == "sk_atomic.h":
        assert used
    else:
        assert [each for each in used if each != "__volatile__"] == []


def test_only_one_header_loads_data_that_others_may_change_while_it_is_hashed() -> None:
    """This header loads each number once and uses the copy; other headers get spans from sk_source_read."""
    hashing = {each.name: without_comments(each.read_text()) for each in (ROOT / "ext" / "hash").glob("*.[ch]")}
    assert {name for name, text in hashing.items() if "volatile" in text} == {"sk_foreign.h"}
    users = {name for name, text in hashing.items() if "sk_load_foreign_" in text}
    assert users == {"sk_foreign.h", "sk_source.c", "sk_arrow.c", "sk_utf8.h"}


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_only_the_platform_calls_the_system(name: str) -> None:
    if name.startswith("sk_platform_"):
        return
    text = without_comments(KERNELS[name])
    assert SYSTEM_CALLS.findall(text) == []
    assert SYSTEM_HEADERS.findall(KERNELS[name]) == []


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_headers_include_downwards_only(name: str) -> None:
    for other in includes(name):
        if name in FOUNDATION:
            assert stratum(other) < stratum(name), f"{name} includes {other}"
        assert name not in includes(other)
    if name not in FOUNDATION:
        assert KERNELS[name].count("#include") > 0


def test_headers_of_a_folder_include_only_it_and_the_folders_below() -> None:
    assert {each.parent.name for each in HEADERS} == set(FOLDERS)
    place = {each.name: FOLDERS.index(each.parent.name) for each in HEADERS}
    for each in HEADERS:
        for folder, name in re.findall(r'#include "(?:(\w+)/)?(sk_\w+\.h)"', each.read_text()):
            assert folder == FOLDERS[place[name]], f"{each.name} includes {name} without its folder"
            assert place[name] <= place[each.name], f"{each.name} includes {name}"


def test_headers_never_include_each_other_in_a_circle() -> None:
    def below(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        for other in includes(name):
            below(other, (*above, name))

    for name in KERNELS:
        below(name, ())


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_kernels_know_no_python_and_allocate_nothing(name: str) -> None:
    text = without_comments(KERNELS[name])
    assert "Python.h" not in KERNELS[name]
    assert re.findall(r"\b(?:malloc|calloc|realloc|free|alloca|PyMem_\w+)\s*\(", text) == []
    assert re.findall(r"\b(?:printf|fprintf|abort|exit|_exit)\s*\(", text) == []


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_only_the_platform_asks_which_system_this_is(name: str) -> None:
    if (
        name.startswith("sk_platform") or name == "sk_atomic.h"
    ):  # which memory orders a processor guarantees anyway depends on the processor
        return
    conditions = re.findall(r"^\s*#\s*(?:if|ifdef|elif)\b(.*)$", KERNELS[name], flags=re.MULTILINE)
    assert [each for each in conditions if re.search(r"linux|APPLE|WIN32|BSD|x86|aarch64", each)] == []


# --- compiled modules -------------------------------------------------------------------------------


def test_one_function_turns_a_status_into_an_exception() -> None:
    """Outside of `refuse`, compiled modules raise only the queue's own exceptions and errors about arguments."""
    bodies = [each.read_text() for each in CYTHON if each.suffix == ".pyx"]
    assert sum(len(re.findall(r"^cdef int refuse\(", each, re.MULTILINE)) for each in bodies) == 1
    statuses = "NO_MEMORY|TOO_LARGE|CORRUPT|FOREIGN|NO_SEAT|GONE|EXISTS|OVERFLOW|SYSTEM"
    exceptions = "CorruptSegmentError|SeatsExhausted|FileExistsError"
    for path in CYTHON:
        if path.name == "segment.pyx" and path.parent.name == "_core":
            continue
        for test, answer in re.findall(r"if ([^\n]*):\n\s+([^\n]*)", path.read_text()):
            if re.search(rf"\bSK_(?:{statuses})\b", test):
                assert not answer.startswith("raise"), f"{path}: {test}: {answer}"
        assert re.findall(rf"raise \w*\.?(?:{exceptions})\b", path.read_text()) == [], path


@pytest.mark.parametrize("path", CYTHON, ids=lambda path: path.name)
def test_every_kernel_is_declared_noexcept_and_nogil(path: Path) -> None:
    block = re.compile(r"^cdef extern from [^\n]*?(nogil)?:\n((?:[ \t]+[^\n]*\n|\n)+)", re.MULTILINE)
    for always, body in block.findall(path.read_text()):
        for line in body.splitlines():
            if line.lstrip().startswith(("list ", "object ")):  # it makes objects, so it needs the GIL
                continue
            if re.search(r"\bsk_\w+\(", line) and line.rstrip().endswith(")") and "*)" not in line:
                assert line.rstrip().endswith("noexcept") and always, f"{path.name}: {line.strip()}"


@pytest.mark.parametrize("path", CYTHON, ids=lambda path: path.name)
def test_compiled_modules_use_no_tricks_of_the_preprocessor(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"^\s*(?:include \"|DEF |from [\w.]+ cimport \*)", text, re.MULTILINE) == []
    assert "__atomic_" not in text


# --- layers -----------------------------------------------------------------------------------------

ROOT_OF_THE_PACKAGE = {
    "__init__.py", "__main__.py", "context.py", "errors.py", "py.typed", "segments.py", "statistics.py",
    "waiting.py",
    "_core", "_pyinstaller", "aio", "commands", "compare", "executors", "hashing", "manager", "protocols", "redis",
    "shm", "thread",
}  # fmt: skip

# Lowest first: a module imports only from its own layer or a lower one; imports for annotations count too. The first
# pattern that matches gives the layer. A placement's own executor module is above the executors, which build on shm.
LAYERS = (
    r"_core\.(base_errors|executor_errors|coroutines)|statistics",
    r"errors",
    r"_core(\..*)?",
    r"segments|aio(\..*)?|hashing(\..*)?",
    r"shm\.(?!executor$).*",
    r"executors(\..*)?",
    r"shm(\.executor)?|thread(\..*)?|manager(\..*)?|redis(\..*)?|protocols(\..*)?",
    r"context|waiting",
    r"|_pyinstaller(\..*)?",  # the package itself
    r"compare(\..*)?",
    r"commands(\..*)?",
    r"__main__",
)


def module_of(path: Path, base: Path) -> str:
    """The module's name within the package; "" for the package itself."""
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[tuple[str, str]]:
    """Pairs of a module and the name imported from it; "" if the module itself is imported."""
    text = path.read_text()
    if path.suffix == ".py":
        found: set[tuple[str, str]] = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                found |= {(each.name, "") for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module is not None, path
                found |= {(node.module, each.name) for each in node.names}
        return found
    pairs = re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|[^\n]*)", text, re.MULTILINE)
    return {(base, name) for base, names in pairs for name in re.findall(r"\w+", names)} | {
        (base, "") for base in re.findall(r"^\s*c?import\s+([\w.]+)", text, re.MULTILINE)
    }


@cache
def everything_imported() -> dict[str, set[str]]:
    """For each module of the package, the modules that it imports or cimports."""
    files = [(module_of(path, SOURCE), path) for path in PYTHON]
    files += [(module_of(path, ROOT / "ext" / "sharedkit"), path) for path in CYTHON]
    graph: dict[str, set[str]] = {name: set() for name, _ in files}
    for name, path in files:
        for base, part in imports_of(path):
            if base.split(".")[0] == "sharedkit":
                inside = base.removeprefix("sharedkit").removeprefix(".")
                whole = f"{inside}.{part}".strip(".")
                graph[name].add(whole if whole in graph else inside)
    for name, others in graph.items():
        others.discard(name)
    assert len(graph) > 150 and "_core.segment" in graph["shm._queue"] and "shm" in graph[""]
    return graph


def layer(module: str) -> int:
    return next(level for level, pattern in enumerate(LAYERS) if re.fullmatch(pattern, module))


def test_the_root_of_the_package_is_short() -> None:
    there = {each.name for each in SOURCE.iterdir() if each.name != "__pycache__" and each.suffix != ".so"}
    assert there == ROOT_OF_THE_PACKAGE


def test_modules_import_downwards_only() -> None:
    wrong = [
        f"{name or 'sharedkit'} imports {other or 'sharedkit'}"
        for name, others in everything_imported().items()
        for other in others
        if layer(other) > layer(name)
    ]
    assert wrong == []


def test_modules_never_import_each_other_in_a_circle() -> None:
    graph = everything_imported()
    left = {name: set(others) for name, others in graph.items()}
    while free := {name for name, others in left.items() if not others}:
        left = {name: others - free for name, others in left.items() if name not in free}
    assert left == {}


# --- packages ---------------------------------------------------------------------------------------

PLACEMENTS = ("thread", "shm", "manager", "redis")


# The compiled classes of shm work in any memory, and `thread` binds them to memory of the process (sk_private.h).
# `thread` uses nothing else of shm.
BOUND_BY_THREAD = {
    "_array", "_barrier", "_condition", "_counter", "_event", "_lock", "_rwlock", "_semaphore", "_stalls",
    "_stream", "_stream_kernel", "_stream_reader", "_value", "_waiting", "counter",
}  # fmt: skip


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_placements_do_not_import_each_other(placement: str) -> None:
    others = [each for each in PLACEMENTS if each != placement and (placement, each) != ("thread", "shm")]
    files = [path for path in PYTHON if path.relative_to(SOURCE).parts[0] == placement]
    faces = [path for path in CYTHON if path.parent.name == placement]
    for path in files:
        assert [each for other in others for each in within(imported(path), f"sharedkit.{other}")] == [], path
    for path in faces:
        assert [each for other in others for each in within(cython_imported(path), f"sharedkit.{other}")] == [], path


def test_thread_uses_the_classes_of_shm_and_nothing_else_of_it() -> None:
    for path in [*SOURCE.glob("thread/*.py"), *(path for path in CYTHON if path.parent.name == "thread")]:
        names = imported(path) if path.suffix == ".py" else cython_imported(path)
        used = {each.split(".")[2] for each in within(names, "sharedkit.shm") if each != "sharedkit.shm"}
        assert used <= BOUND_BY_THREAD, path


def test_nothing_below_the_contexts_imports_them() -> None:
    for path in PYTHON:
        first = path.relative_to(SOURCE).parts[0]
        placed = first in ("thread", "shm", "manager", "redis", "protocols")
        if placed or path.name in ("segments.py", "errors.py", "statistics.py"):
            assert within(imported(path), "sharedkit.context") == set(), path
            assert "sharedkit" not in {each for each in imported(path) if each == "sharedkit.compare"}, path


def test_only_segments_touches_the_machinery_of_multiprocessing() -> None:
    machinery = ("multiprocessing.shared_memory", "multiprocessing.resource_tracker", "multiprocessing.reduction")
    for path in PYTHON:
        found = {each for module in machinery for each in within(imported(path), module)}
        if path != SOURCE / "segments.py" and SOURCE / "compare" not in path.parents:
            assert found == set(), path
    for path in CYTHON:
        assert not any(each.startswith("multiprocessing") for each in cython_imported(path)), path


def test_no_module_uses_the_resource_tracker() -> None:
    for path in [*PYTHON, *CYTHON]:
        if SOURCE / "compare" in path.parents:  # the comparison also measures the standard library's shared memory
            continue
        text = path.read_text()
        assert not re.search(r"resource_tracker\.(register|unregister|ensure_running|getfd)", text), path
        assert not re.search(r"\bresource_tracker\.\w+ = ", text), path


def test_the_library_imports_only_numpy_and_the_standard_library() -> None:
    """`compare`, the command line and the placement `redis` have extras of their own, and import them where they use
    them. Only PyInstaller runs its hook.
    """
    ours = {"sharedkit", "numpy", "__future__"} | sys.stdlib_module_names
    for path in PYTHON:
        if {SOURCE / "compare", SOURCE / "commands", SOURCE / "_pyinstaller"} & set(path.parents):
            continue
        extra = {"redis", "hiredis"} if SOURCE / "redis" in path.parents else set()
        extra |= {"cloudpickle", "distributed", "ray"} if SOURCE / "redis" / "engines" in path.parents else set()
        assert {each for each in imported(path) if each.split(".")[0] not in ours | extra} == set(), path
    cython = {"cython", "cpython", "libc", "libcpp", "posix"}
    for path in CYTHON:
        assert {each for each in cython_imported(path) if each.split(".")[0] not in ours | cython} == set(), path


def test_importing_changes_nothing_outside_of_the_package() -> None:
    for path in PYTHON:
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            assert not any(isinstance(each, ast.Attribute) for each in targets), (
                f"{path}:{node.lineno} patches something"
            )


# --- sizes and flags --------------------------------------------------------------------------------

WRITTEN = [
    path
    for folder in ("ext/include", "ext/hash", "ext/sharedkit", "src", "tests", "benchmarks", "examples", "tools")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".pyi", ".pyx", ".pxd", ".h", ".c")
    and not (path.suffix == ".c" and path.with_suffix(".pyx").exists())
    and "build" not in path.parts
]


def test_half_of_the_files_are_short() -> None:
    sizes = sorted(path.read_text().count("\n") for path in WRITTEN if path.suffix != ".pyi")
    assert sizes[len(sizes) // 2] <= 180


def test_nothing_is_compiled_for_one_machine_only() -> None:
    for name in ("setup.py", "pyproject.toml", "Makefile"):
        text = (ROOT / name).read_text()
        assert re.findall(r"-march=native|-mtune=native|-m(?:avx|sse|sha)\w*|-ffast-math|-Ofast", text) == [], name


def test_no_file_leaves_a_note_to_do() -> None:
    mark = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
    assert [str(path.relative_to(ROOT)) for path in WRITTEN if mark.search(path.read_text())] == []
