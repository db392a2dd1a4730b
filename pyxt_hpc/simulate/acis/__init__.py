"""An observation by a simulated ACIS-I, from photons to event files."""
