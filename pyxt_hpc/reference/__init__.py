"""Sherpa as a second engine, and the comparison of both engines."""
