"""Distances in the configured cosmology."""

import numpy as np
from astropy.cosmology import FlatLambdaCDM

from pyxt_hpc.config.cluster import ClusterConfig


def cosmology(config: ClusterConfig) -> FlatLambdaCDM:
    """Flat LambdaCDM cosmology with the configured Hubble constant and matter density."""
    return FlatLambdaCDM(H0=config.hubble_constant, Om0=config.matter_density)


def kpc_per_arcsec(config: ClusterConfig) -> float:
    """Scale at the cluster's redshift [kpc arcsec^-1]; 0 at redshift 0."""
    distance = cosmology(config).angular_diameter_distance(config.redshift).to_value("kpc")
    return float(distance * np.radians(1.0 / 3600.0))
