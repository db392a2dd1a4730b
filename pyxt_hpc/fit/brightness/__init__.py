"""Brightness of the whole cluster, by which the parts of a region are weighted."""
