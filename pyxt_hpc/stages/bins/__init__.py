"""Stage 5: regions by the configured method, or from a file."""
