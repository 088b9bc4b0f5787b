"""What is packed: a source distribution that can be built anywhere, and the texts that come with it."""

import email
import email.message
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

import pytest

import sharedkit

ROOT = Path(__file__).parents[2]
FOLDERS = ("ext", "src", "tests", "benchmarks", "examples", "docs", "tools")
SINGLE = (
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "MANIFEST.in",
    "Makefile",
    "pyproject.toml",
    "setup.py",
)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
WATCHDOG = 300  # seconds; most of them for Cython to translate every module

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="the tests are not beside the sources")


def is_generated(path: PurePosixPath) -> bool:
    """Whether a build or a run made this file."""
    if path.suffix in (".so", ".pyc", ".o", ".a") or {"__pycache__", "build"} & set(path.parts):
        return True
    return path.suffix == ".c" and (ROOT / path.with_suffix(".pyx")).exists()


def sources() -> set[str]:
    """The files of this checkout that were written by hand: those in git; without git, those that no build makes."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        known = subprocess.run(
            ["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        return {each for each in known.splitlines() if (ROOT / each).is_file()}
    found = {path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()}
    return {
        each.as_posix()
        for each in found
        if not is_generated(PurePosixPath(each)) and not any(part.endswith(".egg-info") for part in each.parts)
    }


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution of a copy of this checkout."""
    pytest.importorskip("setuptools", minversion="77")
    pytest.importorskip("Cython")
    copy = tmp_path_factory.mktemp("tree") / "tree"
    out = tmp_path_factory.mktemp("out")
    skipped = shutil.ignore_patterns(".git", ".venv*", "build", "dist", ".*_cache", "*.so", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=skipped, symlinks=True)
    backend = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    built = subprocess.run(
        [sys.executable, "-c", backend, str(out)], cwd=copy, capture_output=True, text=True, timeout=WATCHDOG
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (archive,) = out.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def packed(sdist: Path) -> set[str]:
    """The names in the source distribution, without its top folder."""
    with tarfile.open(sdist) as archive:
        return {each.name.partition("/")[2] for each in archive if each.isfile()}


@pytest.fixture(scope="module")
def metadata(sdist: Path) -> email.message.Message:
    with tarfile.open(sdist) as archive:
        member = archive.extractfile(sdist.name.removesuffix(".tar.gz") + "/PKG-INFO")
        assert member is not None
        return email.message_from_bytes(member.read())


def test_the_source_distribution_holds_every_source(packed: set[str]) -> None:
    missing = (sources() | set(SINGLE)) - packed
    assert not missing


def test_the_source_distribution_holds_nothing_that_a_build_makes(packed: set[str]) -> None:
    made = {each for each in packed if is_generated(PurePosixPath(each))}
    assert not made


def test_the_metadata_says_what_is_needed(metadata: email.message.Message) -> None:
    assert metadata["Name"] == "sharedkit"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    needed = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert [re.split(r"[<>=!~ ]", each)[0] for each in needed] == ["numpy"]
    assert {"compare", "test", "bench", "all"} <= set(metadata.get_all("Provides-Extra", []))


def test_there_is_one_version_number(metadata: email.message.Message) -> None:
    version = metadata["Version"]
    assert sharedkit.__version__ == version
    assert importlib.metadata.version("sharedkit") == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_compiled_module_is_in_the_table_and_has_a_stub() -> None:
    faces = sorted((ROOT / "ext").rglob("*.pyx"))
    assert faces
    table = (ROOT / "setup.py").read_text()
    for face in faces:
        inside = face.relative_to(ROOT / "ext").with_suffix("")
        assert f'"{".".join(inside.parts)}"' in table
        assert (ROOT / "src" / inside).with_suffix(".pyi").is_file(), f"no stub of {inside}"


def test_the_paths_in_contributing_exist() -> None:
    named = set(
        re.findall(r"`((?:ext|src|tests|benchmarks|docs|tools)/[\w./-]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    )
    assert len(named) > 20
    assert not {each for each in named if not (ROOT / each).exists()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_have_targets(page: Path) -> None:
    links = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", page.read_text())
    assert not {each for each in links if not (page.parent / each).exists()}
