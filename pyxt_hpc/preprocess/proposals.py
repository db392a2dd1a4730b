"""Between stages 1 and 2: the region files that a person would draw, proposed where there are none."""

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.chandra.fitsfile import open_fits
from pyxt_hpc.chandra.geometry import chip_outlines, read_geometry
from pyxt_hpc.chandra.skygrid import PIXEL_SCALE_ARCSEC
from pyxt_hpc.config import ClusterConfig
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.inputs import need
from pyxt_hpc.preprocess.process import STAGE as BEFORE
from pyxt_hpc.steps import StageOutcome
