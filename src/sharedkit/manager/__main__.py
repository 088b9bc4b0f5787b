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
    owner, address, authkey, output = pickle.load(sys.stdin.buffer)
    end_with(owner)
    multiprocessing.current_process().authkey = authkey  # workers have it from us, and so reach what calls bring them
    server = Manager(address, authkey).get_server()
    pickle.dump(server.address, sys.stdout.buffer)
    sys.stdout.buffer.flush()
    os.dup2(output, 1)  # what calls in worker processes print goes where the owner prints
    os.close(output)
    server.serve_forever()


if __name__ == "__main__":
    main()
