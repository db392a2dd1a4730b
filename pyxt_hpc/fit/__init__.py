"""Observations of a cluster as spectra cut out of circles, fitted, flagged and judged."""
