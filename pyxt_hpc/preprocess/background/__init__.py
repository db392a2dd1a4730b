"""Backgrounds of observations: blank sky put to scale, or a part of the own field."""
