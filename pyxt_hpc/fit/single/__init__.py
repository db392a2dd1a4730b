"""Detailed fits of one region or a few spectra."""
