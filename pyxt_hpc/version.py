"""The version of this package, which products bear."""

__version__ = "0.1.0"
