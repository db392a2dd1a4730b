"""Adaptive bins of images."""
