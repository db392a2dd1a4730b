"""Compiled kernels: statistics and their minimisation."""
