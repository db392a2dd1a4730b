"""Spectra and responses in files of the OGIP standards."""
