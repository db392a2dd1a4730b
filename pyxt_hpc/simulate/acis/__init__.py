"""An observation by a synthetic ACIS-I: from photons of the sky to event files."""
