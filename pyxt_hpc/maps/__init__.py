"""Maps of the results of regions on the sky."""
