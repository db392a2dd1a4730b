"""Values of pixels from values of regions."""
