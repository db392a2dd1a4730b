"""Backgrounds of observations: scaled blank sky, or a part of the observation's own field."""
