"""How far the fits of a cluster can be trusted: its own regions simulated and fitted again."""
