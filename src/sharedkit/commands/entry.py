"""The entry point of the command line: it says in a sentence if a package is missing or the output cannot be written.

No command handles errors of its standard output itself.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib.util import find_spec
from typing import Any, TextIO

from sharedkit.commands.exit_codes import NO_READER, REFUSED

__all__ = ["main"]

EXTRA = ("click", "rich", "matplotlib")


def main() -> None:
    """Run the command line; exits with one of the codes of exit_codes.py."""
    try:
        from sharedkit.commands.root import root
        from sharedkit.commands.signals import process_ends_too

        if find_spec("matplotlib") is None:  # which only a chart imports, because it takes long
            raise ModuleNotFoundError(name="matplotlib")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in EXTRA:
            raise
        print(
            f'the command line needs {missing.name}; install it with: pip install "sharedkit[compare]"', file=sys.stderr
        )
        sys.exit(REFUSED)
    process_ends_too()
    outputs = [Output.of(sys.stdout, 1), Output.of(sys.stderr, 2)]
    sys.stdout, sys.stderr = (each.text() for each in outputs)
    try:
        try:
            root(prog_name="sharedkit")
        finally:
            sys.stdout.flush()
    except OSError:
        refused = next((each.refused for each in outputs if each.refused is not None), None)
        if refused is None:
            raise
        print(f"Error: the output cannot be written: {refused.strerror}", file=sys.stderr)
        sys.exit(REFUSED)
    except SystemExit:
        if any(each.left for each in outputs):
            sys.exit(NO_READER)
        raise


class Output(io.FileIO):
    """Standard output or standard error. `refused` is the error of the write that failed; what is written after it is
    dropped, because the interpreter writes what is left once more when it ends.

    A reader that is gone (EPIPE) is no such error: click ends the program without a word then. `left`: it is gone.
    """

    refused: OSError | None = None
    left = False
    _like: TextIO

    @classmethod
    def of(cls, stream: Any, number: int) -> Output:
        """The output of this stream, or /dev/null for None, which Python has in the place of a stream that was closed
        when the program started. /dev/null gets the stream's number, so that no segment's file can get it."""
        if stream is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # it stays open
        output = cls(number, "w", closefd=False)
        output._like = stream
        return output

    def text(self) -> TextIO:
        """A stream of text that writes here, of the same encoding as before."""
        like = self._like
        lines = getattr(like, "line_buffering", True)
        return io.TextIOWrapper(io.BufferedWriter(self), like.encoding, like.errors, line_buffering=lines)

    def write(self, data: Any, /) -> int:
        """Write what the buffer has."""
        if self.refused is not None:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EPIPE:
                self.left = True
            else:
                self.refused = error
            raise
