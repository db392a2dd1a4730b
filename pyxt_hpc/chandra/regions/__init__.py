"""Region files, as text and as FITS tables, as sets of points on the sky."""
