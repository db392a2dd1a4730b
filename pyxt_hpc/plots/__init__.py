"""Figures, tables and DS9 files of finished maps."""
