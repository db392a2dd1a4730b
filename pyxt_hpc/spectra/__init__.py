"""Spectral physics: plasma emission, absorption, folding, statistics, extraction, fits."""
