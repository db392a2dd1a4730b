"""Shock fronts: the search and its maps."""
