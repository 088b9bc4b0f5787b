"""`sharedkit ls` and `sharedkit rm`: the segments of this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sharedkit import segments
from sharedkit.compare.numbers import quantity
from sharedkit.errors import SharedkitError
from sharedkit.segments import SegmentInfo

__all__ = ["ls", "rm"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As a JSON list: sizes in bytes, created in seconds since 1970.")
def ls(as_json: bool) -> None:
    """List every live segment: name, kind, size, who is attached, state."""
    found = segments.live()
    if as_json:
        click.echo(json.dumps([asdict(segment) for segment in found], indent=2))
    elif not found:
        click.echo("no segments")
    else:
        Console().print(_table(found))


def _table(found: list[SegmentInfo]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="dim")
    longest = max(len(segment.name) for segment in found)
    table.add_column("name", overflow="fold", min_width=min(longest, 60))  # to be copied: rather fold the state
    table.add_column("kind", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("attached", overflow="fold")
    table.add_column("created", no_wrap=True)
    table.add_column("state", overflow="fold")
    for segment in found:
        attached = " ".join(map(str, segment.attached)) or "nobody"
        created = datetime.fromtimestamp(segment.created, UTC).strftime("%m-%d %H:%M") if segment.created else ""
        state = f"{segment.state}, persists" if segment.persist else segment.state
        table.add_row(
            Text(segment.name, style="bold"),
            segment.kind,
            quantity(segment.size, "B"),
            Text(attached, style="" if segment.attached else "yellow"),
            created,
            Text(state),
        )
    return table


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--force", is_flag=True, help="Even while processes are attached; they go on with what they have.")
@click.option("--orphans", is_flag=True, help="Every segment whose processes have all died.")
@click.pass_context
def rm(context: click.Context, names: tuple[str, ...], force: bool, orphans: bool) -> None:
    """Remove segments by name, or all orphans. Exits with 1 if one could not be removed."""
    if not names and not orphans:
        raise click.UsageError("give names, as `sharedkit ls` shows them, or --orphans")
    failed = False
    for name in names:
        try:
            segments.remove(name, force=force)
        except (SharedkitError, OSError, ValueError) as error:
            failed = True
            click.echo(f"{name}: {_say(error)}", err=True)
        else:
            click.echo(f"removed {name}")
    if orphans:
        swept = segments.sweep()
        for name in swept:
            click.echo(f"removed {name}")
        if not swept:
            click.echo("no orphans")
    if failed:
        context.exit(1)


def _say(error: Exception) -> str:
    """What went wrong, without the number and the path that OSError adds."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
