"""Gas in three dimensions: projected and deprojected, its density, pressure, entropy and cooling."""
