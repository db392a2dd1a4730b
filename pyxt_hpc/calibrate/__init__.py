"""Bias and coverage of a cluster's fits, from simulations of its regions that are fitted again."""
