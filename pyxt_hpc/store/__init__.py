"""The results store: a file with a row for each region, which survives kills at any time."""
