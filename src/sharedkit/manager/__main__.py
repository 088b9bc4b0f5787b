"""The process behind `get_context("manager")`: it reads what to do from its input and serves."""

from __future__ import annotations

import os
import pickle
import signal
import sys

from sharedkit.manager.server import Manager, end_with


def main() -> None:
    """Serve until the owner ends or says so by closing our input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, who then ends us
    owner, address, authkey = pickle.load(sys.stdin.buffer)
    end_with(owner)
    server = Manager(address, authkey).get_server()
    pickle.dump(server.address, sys.stdout.buffer)
    sys.stdout.buffer.flush()
    os.dup2(2, 1)  # that was a pipe to the owner, who listens no more; calls in worker processes may print
    server.serve_forever()


if __name__ == "__main__":
    main()
