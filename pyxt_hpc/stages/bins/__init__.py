"""Stage 5: bins by the method that is configured, or from a file."""
