"""Where chips, pixels and photons are on the sky, and how sensitive they are there."""
