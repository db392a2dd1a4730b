"""Gas in three dimensions: projection, deprojection, density, pressure, entropy and cooling time."""
