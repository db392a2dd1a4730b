"""Version of this package, which is written into its products."""

__version__ = "0.1.0"
