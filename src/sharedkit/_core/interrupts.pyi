"""The actions of a wait between two slices; for the compiled modules alone."""
