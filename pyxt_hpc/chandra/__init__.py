"""What a Chandra observation is: event lists, good times, regions, sky grids, responses."""
