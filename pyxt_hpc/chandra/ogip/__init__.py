"""Files of spectra and responses in the OGIP formats."""
