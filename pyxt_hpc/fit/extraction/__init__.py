"""Spectra cut out of regions, and the background expected in each."""
