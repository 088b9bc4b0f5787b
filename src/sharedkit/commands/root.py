"""The command group."""

from __future__ import annotations

from typing import Any

import click

import sharedkit
from sharedkit.commands.compare import compare
from sharedkit.commands.doctor import doctor
from sharedkit.commands.exit_codes import INTERRUPTED
from sharedkit.commands.hash import hash_command
from sharedkit.commands.segments import ls, rm
from sharedkit.commands.serve import serve
from sharedkit.commands.top import top
from sharedkit.commands.why import why

__all__ = ["root"]


class _Root(click.Group):
    def invoke(self, context: click.Context) -> Any:
        """Run the command. After Ctrl-C click would exit with 1, which some commands have for what they find."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            click.echo(err=True)  # the next prompt begins a line
            context.exit(INTERRUPTED)


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sharedkit.__version__, prog_name="sharedkit")
def root() -> None:
    """Shared state for programs of many threads and processes: measure, watch, remove and serve it; hash files.

    Exits with 0 if all is done, 1 if the command found what its help names, 2 if it refuses or fails, 130 after Ctrl-C.
    """


for command in (compare, doctor, hash_command, ls, rm, serve, top, why):
    # click would cut this sentence at the terminal's width; given by itself, it goes on in the next line
    command.short_help = command.get_short_help_str(limit=200)
    root.add_command(command)
