# %% [markdown]
# # A cluster in a notebook
#
# You can run the cells of this page without changes, in Jupyter, in an editor with support for percent cells,
# or as a program. They need a fitted cluster (`pyxt-hpc run -c A1795_cluster_config.ini`) and write no files.

# %%
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord

import pyxt_hpc as px

cluster = px.Cluster("A1795_cluster_config.ini")
print(cluster)
print(cluster.bundle)

# %% [markdown]
# ## The fits
#
# The table has one row for each region, with units. It also has the flags and the status in words.

# %%
results = cluster.results
table = results.to_table()
print(results)
print(table["region", "ra", "dec", "kT", "kT_lo", "kT_hi", "flag_names"][:5])

# %% [markdown]
# ## Maps
#
# A map has values, errors, a unit and sky coordinates. The names of maps are those of the files that
# `pyxt-hpc make-maps --all` writes; the error for a wrong name lists all names.

# %%
kT = cluster.map("temperature", paint="interpolate")
print(kT)
row, col = np.unravel_index(np.nanargmax(cluster.brightness), kT.values.shape)
peak = kT.wcs.pixel_to_world(col, row)
print(f"at the peak {peak.to_string('hmsdms')}: {kT.values[row, col]:.2f} +- {kT.errors[row, col]:.2f}")
kT.plot()

# %%
figure = plt.figure(figsize=(14, 6))
for place, name in enumerate(("density", "entropy"), start=1):
    cluster.map(name, depth_kpc=800).plot(figure.add_subplot(1, 2, place, projection=cluster.wcs))

# %% [markdown]
# ## A profile
#
# Distances on the sky are computed by astropy.

# %%
centres = SkyCoord(table["ra"], table["dec"])
distance = centres.separation(peak).arcmin
edges = np.quantile(distance, np.linspace(0, 1, 6))
ring = np.clip(np.digitize(distance, edges) - 1, 0, 4)
for number in range(5):
    inside = table["kT"][ring == number]
    print(f"{edges[number]:.2f} to {edges[number + 1]:.2f} arcmin: median kT {np.median(inside):.2f} keV")

# %% [markdown]
# ## One region in detail

# %%
number = int(table["region"][np.argmin(distance)])
frozen = cluster.fit_region(number)
free = cluster.fit_region(number, free_abundance=True)
print(frozen, free, sep="\n")
print(free.spectrum[:3])
free.plot()

# %% [markdown]
# ## Other regions, other settings
#
# `fit_spectra` fits any circles, given in pixels, with a pool of processes. Here, the same regions are fitted
# with two statistics, and the temperatures are compared.

# %%
regions = cluster.regions(resolution=1)
pool = px.choose_pool(2)
usual = px.fit_spectra(cluster.bundle, regions, pool=pool)
other = px.fit_spectra(cluster.bundle, regions, pool=pool, statistic="chi2gehrels")
print(f"chi2gehrels over wstat: median {np.nanmedian(other['kT'] / usual['kT']):.3f}")
px.make_map(other, "temperature").plot()

# %%
plt.show()
