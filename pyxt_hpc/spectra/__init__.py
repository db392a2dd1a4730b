"""Spectral physics: plasma emission, absorption, folding, statistics and fits."""
