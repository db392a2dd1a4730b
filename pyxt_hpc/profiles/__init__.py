"""Radial profiles of clusters: brightness, density, temperature, and what they say about the gas."""
