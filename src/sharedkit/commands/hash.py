"""`sharedkit hash`: digests of files in the format of sha384sum and b3sum, printed or checked."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

import click

from sharedkit.commands.exit_codes import FOUND
from sharedkit.commands.options import Whole
from sharedkit.hashing import FileDigests, algorithms, hash_files
from sharedkit.hashing._digests import Hasher, describe

__all__ = ["hash_command"]

STDIN = "-"
# The format of coreutils and b3sum: a backslash if the name is escaped, the digest, two characters, the name.
LINE = re.compile(r"(\\?)([0-9A-Fa-f]+) [ *](.+)", re.DOTALL)
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
UNESCAPES = {shown: plain for plain, shown in ESCAPES.items()}


@click.command("hash")
@click.argument("files", nargs=-1, type=click.Path())
@click.option("-a", "--algorithm", default="sha384", show_default=True, type=click.Choice(algorithms()))
@click.option("-c", "--check", is_flag=True, help="Read digests and names from FILES and verify them.")
@click.option("-q", "--quiet", is_flag=True, help="With --check: print nothing for files that match.")
@click.option("-j", "--threads", default=1, show_default=True, type=Whole(1), help="Files at the same time.")
def hash_command(files: tuple[str, ...], algorithm: str, check: bool, quiet: bool, threads: int) -> None:
    """Print the digests of FILES, or verify a list of digests.

    Reads standard input without any file, or for the file "-". Exits with 1, as sha384sum does, if
    a file cannot be read or does not match.
    """
    names = files or (STDIN,)
    fine = _verify(names, algorithm, quiet, threads) if check else _print(names, algorithm, threads)
    sys.exit(0 if fine else FOUND)


def _print(names: Iterable[str], algorithm: str, threads: int) -> bool:
    fine = True
    for result in _digests(list(names), algorithm, threads):
        name = str(result.path)
        if result.error is not None:
            click.echo(f"sharedkit hash: {name}: {result.error.strerror}", err=True)
            fine = False
            continue
        shown = "".join(ESCAPES.get(letter, letter) for letter in name)
        mark = "\\" if shown != name else ""
        click.echo(f"{mark}{result.digests[algorithm]}  {shown}")
    return fine


def _verify(lists: Iterable[str], algorithm: str, quiet: bool, threads: int) -> bool:
    """Whether every file in every list has the digest given there; False also if a list has no digests."""
    length = 2 * describe(algorithm)[0]
    wanted: list[tuple[str, str]] = []
    fine = True
    for name in lists:
        found = list(_entries(name, length))
        if not found:
            click.echo(f"sharedkit hash: {name}: no lines with digests of {algorithm}", err=True)
            fine = False
        wanted += found
    for (digest, name), result in zip(wanted, _digests([n for _, n in wanted], algorithm, threads), strict=True):
        if result.error is not None:
            click.echo(f"sharedkit hash: {name}: {result.error.strerror}", err=True)
            click.echo(f"{name}: FAILED open or read")
        elif result.digests[algorithm] != digest:
            click.echo(f"{name}: FAILED")
        else:
            if not quiet:
                click.echo(f"{name}: OK")
            continue
        fine = False
    return fine


def _entries(name: str, length: int) -> Iterator[tuple[str, str]]:
    """(digest, file name) of each valid line of a list of digests."""
    try:
        with click.open_file(name, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                match = LINE.fullmatch(line.rstrip("\n"))
                if match and len(match[2]) == length:
                    yield match[2].lower(), _unescaped(match[3]) if match[1] else match[3]
    except OSError as error:
        click.echo(f"sharedkit hash: {name}: {error.strerror}", err=True)


def _unescaped(shown: str) -> str:
    return re.sub(r"\\[\\nr]", lambda match: UNESCAPES[match[0]], shown)


def _digests(names: list[str], algorithm: str, threads: int) -> Iterator[FileDigests]:
    """The digests in the order of `names`; "-", the standard input, is read here, since it cannot be opened by name."""
    results = iter(hash_files([name for name in names if name != STDIN], algorithm, threads=threads, form="hex"))
    for name in names:
        yield _standard_input(algorithm) if name == STDIN else next(results)


def _standard_input(algorithm: str) -> FileDigests:
    hasher, size = Hasher(algorithm), 0
    while piece := sys.stdin.buffer.read(1 << 20):
        hasher.feed(piece)
        size += len(piece)
    return FileDigests(STDIN, {algorithm: hasher.digest().hex()}, size)
