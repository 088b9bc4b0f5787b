"""Draw the pictures of docs/benchmarks.md from a file that `--benchmark-json` wrote.

    make bench ARGS="benchmarks --benchmark-json=run.json -k '…'"
    python benchmarks/pictures.py run.json docs/benchmarks

The folder gets the pictures, and `run.json` with their figures: machine, commit and date, and for each entrant the
median and the fastest lap in nanoseconds an operation. That file can be drawn again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

from benchmarks.report import groups, heading, shown

OURS, THEIRS = "#0f8b8d", "#9aa5b1"
# The groups of a picture, in its order, and the name of an operation in each group; None shows times.
PICTURES: dict[str, dict[str, str | None]] = {
    "queues": {
        "queue: 100-byte items, 1 to 1": "items",
        "queue: 64-byte items in batches of 100, 1 to 1": "items",
        "queue: 1 MB arrays, 1 to 1": "arrays",
        "queue: round trip of 64 bytes through two queues": None,
    },
    "counters": {"counter: one process": None, "counter: two processes contend": "adds"},
    "dicts": {"dict: get, str keys": None, "dict: update, str keys": None},
    "locks": {
        "lock: acquire and release, one process": None,
        "lock: two processes contend": "acquisitions",
        "event: round trip through two events": None,
    },
    "executors": {"executor: empty calls by submit": "calls"},
    "hashes": {f"hash: {algorithm}, 64 bytes": "digests" for algorithm in ("sha384", "sha256", "blake3", "xxh3_64")},
}


def kept(run: dict[str, Any]) -> dict[str, Any]:
    """The part of a run that is kept: its heading, and two figures for the laps of each entrant."""
    if "heading" in run:
        return run
    found = groups(run["benchmarks"])
    return {
        "heading": heading(run),
        "groups": {
            title: {
                name: {"kind": entry.kind, "median_ns": round(entry.median, 1), "best_ns": round(min(entry.laps), 1)}
                for name, entry in entries.items()
            }
            for title, entries in found.items()
        },
    }


def draw(run: dict[str, Any], name: str, path: Path) -> None:
    """One picture: a panel for each group that was measured, a bar for each entrant, the fastest first."""
    panels = [(title, unit) for title, unit in PICTURES[name].items() if title in run["groups"]]
    heights = [0.7 + 0.26 * len(run["groups"][title]) for title, _ in panels]
    figure = Figure(figsize=(9, sum(heights) + 0.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(run["heading"], fontsize=7, color="#5b6670")
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for panel, (title, unit) in zip(axes, panels, strict=True):
        entries = sorted(run["groups"][title].items(), key=lambda entry: entry[1]["median_ns"])
        names = [entry for entry, _ in entries]
        times = [entry["median_ns"] for _, entry in entries]
        bars = times if unit is None else [1e9 / each for each in times]
        colours = [OURS if each.startswith("sharedkit") else THEIRS for each in names]
        panel.barh(range(len(bars)), bars, color=colours, height=0.7)
        for place, (bar, nanoseconds) in enumerate(zip(bars, times, strict=True)):
            label, beside = shown(nanoseconds, unit), {"xytext": (4, 0), "textcoords": "offset points"}
            panel.annotate(label, (bar, place), va="center", fontsize=8, **beside)
        panel.set_xscale("log")
        panel.set_xlim(min(bars) / 2, max(bars) * 4)
        panel.set_yticks(range(len(names)), names, fontsize=8)
        for label, colour in zip(panel.get_yticklabels(), colours, strict=True):
            label.set_color(OURS if colour == OURS else "black")
        panel.invert_yaxis()
        panel.tick_params(axis="x", labelsize=7)
        panel.tick_params(axis="y", length=0)
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
        better = "shorter" if unit is None else "longer"
        panel.set_title(f"{title} ({better} bars are better; logarithmic)", loc="left", fontsize=9, fontweight="bold")
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    run = kept(json.loads(arguments.run.read_text(encoding="utf-8")))
    arguments.folder.mkdir(exist_ok=True)
    (arguments.folder / "run.json").write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "sharedkit"  # the same figures give the same file
    for name, titles in PICTURES.items():
        if any(title in run["groups"] for title in titles):
            draw(run, name, arguments.folder / f"{name}.svg")
    print(run["heading"])


if __name__ == "__main__":
    main()
