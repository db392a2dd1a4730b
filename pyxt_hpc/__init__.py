"""Temperature maps of galaxy clusters from Chandra ACIS observations, over MPI ranks."""

__version__ = "0.1.0"

__all__ = ["__version__"]
