"""Data of a Chandra observation: event lists, good times, regions, sky grids, responses."""
