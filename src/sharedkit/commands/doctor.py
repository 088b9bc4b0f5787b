"""`sharedkit doctor`: what on this machine keeps structures from working, and what to do."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sharedkit.commands.exit_codes import FOUND
from sharedkit.commands.findings import CHECKS, Finding
from sharedkit.commands.text import draws_tables, plain_line, shown

__all__ = ["doctor"]

STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As a JSON document.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Check this machine for what keeps structures from working.

    Looks at the folder of segments, system calls, limits, container, /proc and what other programs left. Each finding
    is ok, a note or a problem, with what to do. Exits with 1 if there is a problem, else with 0. Changes nothing: what
    is tried is tried with a file that has no name. Into a pipe or a file goes one line a finding, with tabs between:
    verdict, subject, what was found, what to do.
    """
    findings = [finding for check in CHECKS for finding in check()]
    problems = sum(finding.verdict == "problem" for finding in findings)
    if as_json:
        click.echo(json.dumps({"problems": problems, "findings": [asdict(each) for each in findings]}, indent=2))
    elif draws_tables():
        Console().print(_table(findings))
    else:
        for each in findings:
            click.echo(os.fsencode(plain_line(each.verdict, each.what, each.says, each.do)))
    if problems:
        context.exit(FOUND)


def _table(findings: list[Finding]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="dim")
    table.add_column("verdict", no_wrap=True)
    table.add_column("subject", overflow="fold")
    table.add_column("finding", overflow="fold")
    for each in findings:
        says = Text(shown(each.says))
        if each.do:
            says.append(f"\n→ {shown(each.do)}", style="bold")
        table.add_row(Text(each.verdict, style=STYLES[each.verdict]), each.what, says)
    return table
