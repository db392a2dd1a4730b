"""One region or a few spectra, fitted in full."""
