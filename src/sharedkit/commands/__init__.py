"""The commands of `sharedkit`, one file each; they need the extra `compare`."""
