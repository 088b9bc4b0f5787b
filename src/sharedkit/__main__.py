"""`python -m sharedkit`."""

from sharedkit.cli import main

if __name__ == "__main__":
    main()
