"""Maps, images and spectra of a page, in compressed form."""
