"""Fits of regions of a cluster: extraction of spectra, fits, flags and goodness."""
