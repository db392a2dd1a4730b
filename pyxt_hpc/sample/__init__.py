"""Many clusters: a table of them, a run of each, and one page about all."""
