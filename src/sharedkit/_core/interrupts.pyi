"""The actions of a wait between two slices (bounded sleeps); for the compiled modules alone."""
