"""Density, pressure, entropy and cooling time from fits."""
