"""Extraction of spectra from regions, and their expected background."""
