"""The process behind `get_context("manager")`: it reads what to do from its input and serves."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys

from sharedkit.manager.server import Manager, end_with


def main() -> None:
    """Serve until the owner ends or says so by closing our input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, who then ends us
    try:
        owner, address, authkey, listens = pickle.load(sys.stdin.buffer)
    except EOFError:  # it came to the owner before it had asked for anything
        return
    end_with(owner)
    multiprocessing.current_process().authkey = authkey  # workers have it from us, and so reach what calls bring them
    server = Manager(address, authkey).get_server()
    with os.fdopen(listens, "wb") as answer:
        pickle.dump(server.address, answer)
    server.serve_forever()


if __name__ == "__main__":
    main()
