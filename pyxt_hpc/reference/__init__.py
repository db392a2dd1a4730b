"""Sherpa as a second engine, and the comparison with it."""
