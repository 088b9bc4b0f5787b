"""What a wait does between two slices; for the compiled modules alone."""
