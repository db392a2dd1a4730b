"""Figures and DS9 files of maps, spectra, profiles and masses."""
