"""Compiled loops: statistics and their minima."""
