"""Open a structure by its name, in a program that is unrelated to the one that made it."""

import subprocess
import sys
import uuid

import sharedkit as sk

OTHER = "import sys, sharedkit as sk; sk.attach(sys.argv[1]).put('hello from afar')"

if __name__ == "__main__":
    with sk.Queue(name=f"example-{uuid.uuid4().hex}") as letters:
        subprocess.run([sys.executable, "-c", OTHER, letters.name], check=True)
        letter = letters.get(timeout=10)
    print(letter)
    assert letter == "hello from afar"
