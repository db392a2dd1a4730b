"""Models of plasma and absorption, from tables."""
