"""What a page shows: maps, images and spectra, packed small."""
