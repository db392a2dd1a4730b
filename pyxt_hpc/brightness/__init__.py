"""How bright a cluster is at every place of the sky."""
