"""Between stages 1 and 2: the region files that a person would draw, proposed where there are none."""
