"""Region files, in text and FITS format, as sets of points on the sky."""
