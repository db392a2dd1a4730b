"""Radial profiles of a cluster and what follows from them: gas, and mass in hydrostatic equilibrium."""
