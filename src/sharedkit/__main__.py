"""`python -m sharedkit`."""

from sharedkit.commands.entry import main

if __name__ == "__main__":
    main()
