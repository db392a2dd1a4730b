"""The brightness of a cluster in rings, models fitted to its counts, and edges."""
