"""The command group."""

from __future__ import annotations

import click

import sharedkit
from sharedkit.commands.compare import compare
from sharedkit.commands.doctor import doctor
from sharedkit.commands.hash import hash_command
from sharedkit.commands.segments import ls, rm
from sharedkit.commands.serve import serve
from sharedkit.commands.top import top
from sharedkit.commands.why import why

__all__ = ["root"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sharedkit.__version__, prog_name="sharedkit")
def root() -> None:
    """Shared state for programs of many threads and processes: measure, watch, remove and serve it; hash files."""


for command in (compare, doctor, hash_command, ls, rm, serve, top, why):
    # click would cut this sentence at the terminal's width; given by itself, it goes on in the next line
    command.short_help = command.get_short_help_str(limit=200)
    root.add_command(command)
