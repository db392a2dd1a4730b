"""Mass of a spherical cluster in hydrostatic equilibrium, from annular fits of kT and norm."""
