"""The pictures of the benchmarks' page, and the figures that are kept beside them."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "pictures.py"
KEPT = ROOT / "docs" / "benchmarks" / "run.json"
WATCHDOG = 120

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="matplotlib is not installed")


def test_the_kept_run_names_machine_commit_and_date() -> None:
    heading = json.loads(KEPT.read_text(encoding="utf-8"))["heading"]
    assert re.search(r", \d+ cores, .*; commit [0-9a-f]{12}; \d{4}-\d\d-\d\dT\d\d:\d\d UTC; load average", heading)


def test_every_picture_of_the_page_is_drawn_from_the_kept_run(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), str(KEPT), str(tmp_path)], check=True, timeout=WATCHDOG)
    shown = set(re.findall(r"\(benchmarks/(\w+\.svg)\)", (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")))
    assert shown == {path.name for path in tmp_path.glob("*.svg")}
    assert (tmp_path / "run.json").read_text(encoding="utf-8") == KEPT.read_text(encoding="utf-8")
    figures = json.loads(KEPT.read_text(encoding="utf-8"))
    for path in tmp_path.glob("*.svg"):
        assert figures["heading"].split(";")[1].strip() in path.read_text(encoding="utf-8")
