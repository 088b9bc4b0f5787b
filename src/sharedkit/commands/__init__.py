"""The commands of `sharedkit`, a file each; they need the extra `compare`."""
