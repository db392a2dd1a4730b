"""The analysis bundle: all data of a cluster that scale maps and fits need."""

from pyxt_hpc.bundle.data import Bundle, BundleObservation, sort_by_pixel
from pyxt_hpc.bundle.file import read_bundle, stamped, write_bundle

__all__ = ["Bundle", "BundleObservation", "read_bundle", "sort_by_pixel", "stamped", "write_bundle"]
