"""Many clusters: a table of them, each run by itself, and one page about all."""
