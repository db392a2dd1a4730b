"""The brightness of the whole cluster, by which parts of a region have their weights."""
