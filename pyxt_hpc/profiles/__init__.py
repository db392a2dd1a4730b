"""Radial profiles of clusters: brightness, density, temperature, and derived gas properties and masses."""
