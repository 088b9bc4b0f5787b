"""`sharedkit ls` and `sharedkit rm`: the segments of this machine."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Console

from sharedkit import segments
from sharedkit.commands.exit_codes import REFUSED
from sharedkit.commands.folder import no_segment, the_folder
from sharedkit.commands.ls_table import table_of
from sharedkit.commands.text import about, draws_tables, plain_line, shown
from sharedkit.errors import SegmentInUse, SharedkitError
from sharedkit.segments import SegmentInfo
from sharedkit.shm.executor import executor_of

__all__ = ["ls", "rm"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As a JSON list: sizes in bytes, created in seconds since 1970.")
def ls(as_json: bool) -> None:
    """List the live segments, their processes and their state.

    An executor's segments are one entry; a narrow terminal shows fewer columns. If the output is a pipe or a file,
    prints one line for each segment, separated by tabs: name, kind, bytes, pids (with commas), time of creation,
    "persists" or nothing, state.
    """
    with the_folder():
        segments.sweep()
        found = list(segments.look_around())
    if as_json:
        click.echo(json.dumps([asdict(segment) for segment in found], indent=2))
    elif not draws_tables():
        for segment in found:
            click.echo(os.fsencode(_line(segment)))
    elif not found:
        click.echo("no segments")
    else:
        console = Console()
        console.print(table_of(_by_executor(found), console.width))


def _line(segment: SegmentInfo) -> str:
    """The segment as a line for scripts, whatever its name is."""
    made = datetime.fromtimestamp(segment.created, UTC).isoformat(timespec="seconds") if segment.created else ""
    persists = "persists" if segment.persist else ""
    attached = ",".join(map(str, segment.attached))
    return plain_line(segment.name, segment.kind, str(segment.size), attached, made, persists, segment.state)


def _by_executor(found: list[SegmentInfo]) -> list[SegmentInfo]:
    """The same list with one entry for the segments of an executor, in the place of the first of them."""
    entries: dict[str, SegmentInfo] = {}
    for segment in found:
        executor = executor_of(segment.name)
        if executor is None:
            entries[segment.name] = segment
            continue
        state = f"{segment.name.removeprefix(executor)[1:]}: {segment.state}"
        before = entries.get(executor)
        entries[executor] = SegmentInfo(
            name=executor,
            kind="Executor",
            size=segment.size + (before.size if before else 0),
            persist=False,
            attached=tuple(sorted({*segment.attached, *(before.attached if before else ())})),
            state=f"{before.state}; {state}" if before else state,
            created=before.created if before else segment.created,
        )
    return list(entries.values())


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--force", is_flag=True, help="Remove it even while processes are attached; they can go on using it.")
@click.option("--orphans", is_flag=True, help="Remove every segment whose processes have all died.")
@click.pass_context
def rm(context: click.Context, names: tuple[str, ...], force: bool, orphans: bool) -> None:
    """Remove segments by name, or all orphans. Exits with 2 if one could not be removed."""
    if not names and not orphans:
        raise click.UsageError("give names, as `sharedkit ls` shows them, or --orphans")
    failed = False
    for name in names:
        try:
            segments.remove(name, force=force)
        except FileNotFoundError:
            failed = True
            click.echo(shown(no_segment(name).message), err=True)
        except (SharedkitError, OSError, ValueError) as error:
            failed = True
            click.echo(shown(about(name, error) + ("" if force else _how_to_force(name, error))), err=True)
        else:
            click.echo(shown(f"removed {name}"))
    if orphans:
        with the_folder():
            swept = segments.sweep()
        for name in swept:
            click.echo(shown(f"removed {name}"))
        if not swept:
            click.echo("no orphans")
    if failed:
        context.exit(REFUSED)


def _how_to_force(name: str, error: Exception) -> str:
    """What to add to the error of an `rm` without `--force`, if that would have helped."""
    if "rm --force" in str(error) or segments.size_of(name) is None:
        return ""
    command = f"`sharedkit rm --force {shlex.quote(name)}`"
    if isinstance(error, SegmentInUse):
        return f": {command} removes it all the same, and its processes can go on using it"
    return f"; {command} removes it all the same"
