"""Detection of point sources and flares, and proposals of regions."""
