"""Good times and light curves."""
