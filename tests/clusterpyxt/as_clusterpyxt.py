"""A cluster's folder as ClusterPyXT leaves it, made of simulated observations.

Names, formats and arithmetic are those of github.com/bcalden/ClusterPyXT: each function names that of
ClusterPyXT whose product it makes. What CIAO's dmcopy does is done by numpy: ``[sky=region(box)][bin sky=4]``
bins an observation in its own sky pixels from the corner of the box's bounding rectangle, so the images of
two observations have different coordinates and are added nevertheless.
"""

import configparser
import csv
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.binning.circles import prepare_circle_sums, scale_map_rows
from pyxt_hpc.chandra.events import EventList, read_events, read_header, write_events
from pyxt_hpc.chandra.regions.sky import contains, contains_pixels, extent, read_regions
from pyxt_hpc.chandra.sky.exposure import live_fraction
from pyxt_hpc.chandra.sky.geometry import read_geometry
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.layout import Layout

NAME = "Abell_Demo"
BINNING = 4  # sky pixels of an image pixel


def fit_of(number: int) -> list[object]:
    """A line of the table of fits by which its region is known again."""
    minus = None if number % 50 == 0 else -0.25
    return [number, 4 + number / 1e4, 0.5, minus, 1e-4 + number * 1e-9, 1e-5, -2e-5, 0.75, "4001,4002"]


def write_config(path: Path, values: dict[str, str]) -> None:
    """``ClusterObj.write_cluster_data`` and ``__iter__`` of cluster.py."""
    parser = configparser.ConfigParser(interpolation=None)
    parser["cluster"] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        parser.write(file)


def write_fits_table(path: Path, rows: Iterable[list[object]]) -> None:
    """``initialize_fits_file`` and ``write_fits_to_file`` of cluster.py: None becomes an empty field."""
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["region", "T", "T_err_+", "T_err_-", "Norm", "Norm_err_+", "Norm_err_-", "reduced_x2", "obs_id"]
        )
        writer.writerows(rows)


def image_header(wcs: WCS, x0: float, y0: float) -> fits.Header:
    """Of an image whose first pixel begins at x0, y0 in sky pixels: celestial and physical coordinates."""
    header = fits.Header()
    crpix = [(c - start) / BINNING + 0.5 for c, start in zip(wcs.wcs.crpix, (x0, y0), strict=True)]
    for i in (0, 1):
        n = i + 1
        header[f"CTYPE{n}"], header[f"CUNIT{n}"] = ("RA---TAN", "DEC--TAN")[i], "deg"
        header[f"CRVAL{n}"], header[f"CRPIX{n}"] = wcs.wcs.crval[i], crpix[i]
        header[f"CDELT{n}"] = wcs.wcs.cdelt[i] * BINNING
        header[f"CTYPE{n}P"], header[f"CRPIX{n}P"] = "xy"[i], 0.5
        header[f"CRVAL{n}P"], header[f"CDELT{n}P"] = (x0, y0)[i], float(BINNING)
    header["WCSNAMEP"] = "PHYSICAL"
    return header


def binned(events: EventList, x0: float, y0: float, shape: tuple[int, int]) -> np.ndarray:
    """``[bin sky=4]`` from a corner."""
    col, row = ((v - start) // BINNING for v, start in ((events.x, x0), (events.y, y0)))
    inside = (col >= 0) & (col < shape[1]) & (row >= 0) & (row < shape[0])
    image = np.zeros(shape)
    np.add.at(image, (row[inside].astype(int), col[inside].astype(int)), 1)
    return image


class ClusterPyXT:
    """Makes the folder ``<data>/<name>`` from a cluster of ours after stages 1 to 4."""

    def __init__(self, config: ClusterConfig, data: Path, name: str) -> None:
        self.config, self.name = config, name
        self.ours, self.folder = Layout.of(config), data / name
        self.acb, self.combined = self.folder / "acb", self.folder / "combined"
        for folder in (self.acb, self.combined, self.folder / "wvt", self.folder / "main_output"):
            folder.mkdir(parents=True)
        self.obsids = config.observation_ids
        self.values = {
            "name": name,
            "observation_ids": ",".join(self.obsids),
            "data_directory": str(data),
            "hydrogen_column_density": "5e+20",
            "redshift": str(config.redshift),
            "abundance": str(config.abundance),
            "signal_to_noise": "20.0",
            "last_step_completed": "5",
        }

    def make(self) -> "ClusterPyXT":
        """Everything up to the fits."""
        self.save_config()
        self.regions()
        for obsid in self.obsids:
            self.observation(obsid)
        self.crop()
        self.scale_map()
        self.effective_times()
        return self

    def save_config(self) -> None:
        write_config(self.folder / f"{self.name}_pypeline_config.ini", self.values)
        # ``prepare_for_spec`` of acb.py copies it
        write_config(self.acb / f"{self.name}_pypeline_config.ini", self.values)

    def regions(self) -> None:
        shutil.copy(self.ours.sources_reg, self.folder / "sources.reg")
        ra, dec = extent(read_regions(self.ours.crop_reg), {})
        self.crop_reg = self.combined / "master_crop-ciaowcs.reg"
        centre = (
            SkyCoord(np.mean(ra), np.mean(dec), unit="deg").to_string("hmsdms", sep=":").replace(" ", ",")
        )
        side = 60 * BINNING * 0.492
        self.crop_reg.write_text(
            f'# Region file format: CIAO version 1.0\nbox({centre},{side:.3f}",{side:.3f}",0)\n'
        )

    def observation(self, obsid: str) -> None:
        """Products of ``ciao.py``, stages 1 to 3, and ``prepare_for_spec`` of acb.py."""
        folder = self.folder / obsid
        analysis, repro = folder / "analysis", folder / "repro"
        (analysis / "globalresponse").mkdir(parents=True)
        repro.mkdir()
        primary = self.ours.observation(obsid) / "primary"
        (events,) = primary.glob("*evt2.fits")
        shutil.copy(events, repro / f"acisf{int(obsid):05d}_repro_evt2.fits")
        for path in (*primary.glob("*fov1.fits"), *primary.glob("*asol1.fits")):
            shutil.copy(path, repro / path.name)
        shutil.copy(self.ours.supplied_background(obsid), analysis / "merged_back.fits")
        # a circle of a few arcsec on the axis, older than the responses that were made in it
        (analysis / "acisI_region_0.reg").write_text(
            "# Region file format: CIAO version 1.0\ncircle(4096.5,4096.5,20)\n"
        )
        for suffix in ("arf", "rmf"):
            source = getattr(self.ours, f"supplied_{suffix}")(obsid)
            shutil.copy(source, analysis / "globalresponse" / f"acisI.{suffix}")
            shutil.copy(source, self.acb / f"{self.name}_{obsid}.{suffix}")
        sources = read_regions(self.folder / "sources.reg")
        gti = read_events(self.ours.clean_events(obsid)).gti
        for source, to in (
            (events, self.acb / f"acisI_clean_{obsid}.fits"),
            (self.ours.background_events(obsid), self.acb / f"backI_clean_{obsid}.fits"),
        ):
            listed = read_events(source)
            listed = listed.select(~contains_pixels(sources, listed.wcs, listed.x, listed.y, {}))
            if listed.time is not None and source == events:
                listed = listed.select(listed.in_good_time(gti))
                listed.gti.clear()
                listed.gti.update(gti)
                listed.header["EXPOSURE"] = self.exposure(obsid)
            write_events(to, listed)
        shutil.copy(self.acb / f"acisI_clean_{obsid}.fits", analysis / "acisI_clean.fits")
        shutil.copy(self.acb / f"backI_clean_{obsid}.fits", analysis / f"back_nosrc_{obsid}.fits")
        # dmkeypar's echo
        (self.acb / f"{self.name}_{obsid}_exptime.dat").write_text(f"{self.exposure(obsid)}")

    def exposure(self, obsid: str) -> float:
        return float(read_header(self.ours.clean_events(obsid))["EXPOSURE"])

    def crop(self) -> None:
        """``make_acisI_and_back``, ``make_mask_file``, ``create_combined_images`` of ciao.py."""
        crop, sources = (read_regions(p) for p in (self.crop_reg, self.ours.sources_reg))
        ra, dec = extent(crop, {})
        self.combined_mask: np.ndarray | None = None
        for obsid in self.obsids:
            events = read_events(self.acb / f"acisI_clean_{obsid}.fits")
            x, y = world_to_pixel(events.wcs, ra, dec)
            x0, y0 = np.floor(x.min()), np.floor(y.min())
            # cut to the same shape, as users do by drawing another box when the shapes differ
            shape = int((y.max() - y0) // BINNING), int((x.max() - x0) // BINNING)
            if self.combined_mask is not None:
                shape = self.combined_mask.shape
            header = image_header(events.wcs, x0, y0)
            header["EXPOSURE"] = self.exposure(obsid)
            grid = SkyGrid(WCS(header).celestial, shape)
            centres = grid.centres()
            on_chip = live_fraction(read_geometry(self.ours.geometry(obsid)), grid, events.gti) > 0
            mask = on_chip & contains(crop, *centres, {})
            no_source = mask & ~contains(sources, *centres, {})
            background = read_events(self.acb / f"backI_clean_{obsid}.fits")
            band, high = (700.0, 8000.0), (9500.0, 12000.0)
            for name, image in (
                ("acisI_comb_img", binned(events.select(events.in_band(band)), x0, y0, shape)),
                ("backI_comb_img", binned(background.select(background.in_band(band)), x0, y0, shape)),
                ("acisI_hien_comb_img", binned(events.select(events.in_band(high)), x0, y0, shape)),
                ("backI_hien_comb_img", binned(background.select(background.in_band(high)), x0, y0, shape)),
                ("acisI_comb_mask", mask.astype(np.int16)),
                ("acisI_comb_mask_nosrc", no_source.astype(np.int16)),
            ):
                fits.writeto(self.combined / f"{name}-{obsid}.fits", image, header)
            if self.combined_mask is None:
                self.combined_mask, self.header = mask.astype(np.int16), header
            else:  # ``make_cumulative_mask_file``: a logical or, pixel by pixel
                self.combined_mask |= mask.astype(np.int16)
        fits.writeto(self.combined / "acisI_comb_mask.fits", self.combined_mask, self.header)
        self.counts = sum(self.image("acisI_comb_img", o) for o in self.obsids)
        fits.writeto(self.combined / f"{self.name}_comb_ctsimage.fits", self.counts, self.header)

    def image(self, name: str, obsid: str) -> np.ndarray:
        return fits.getdata(self.combined / f"{name}-{obsid}.fits").astype(float)

    def scale_map(self) -> None:
        """``generate_acb_scale_map_for`` and ``create_scale_map_region_index`` of acb.py, since 2022.

        The radii are those of ``binary_search_radii`` (tests/stages/test_counts_signal_to_noise.py); its None
        becomes NaN.
        """
        assert self.combined_mask is not None
        nothing = np.zeros(self.counts.shape, np.float32)
        sums = prepare_circle_sums(
            self.counts.astype(np.int32), nothing, nothing, np.ones(self.counts.shape, np.uint8)
        )
        found = scale_map_rows(sums, 0, len(self.counts), float(self.values["signal_to_noise"]))
        self.radius, sn = (np.where(self.combined_mask == 1, image, 0.0).astype(float) for image in found)
        self.radius[(self.combined_mask == 1) & (self.radius == 0)] = np.nan
        self.index = np.full(self.counts.shape, np.nan)
        number = 1
        for row, col in np.ndindex(*self.radius.shape):
            if self.radius[row, col] != 0:
                self.index[row, col] = number
                number += 1
        fits.writeto(self.acb / f"{self.name}_pype_scale_map.fits", self.radius, self.header)
        fits.writeto(self.acb / f"{self.name}_signal_to_noise_map.fits", sn, self.header)
        fits.writeto(self.acb / f"{self.name}_scale_map_region_index.fits", self.index, self.header)

    def effective_times(self) -> None:
        """``calculate_effective_time_for`` of acb.py, the share of the circle's pixels by a disc's mean."""
        y, x = np.indices(self.radius.shape)
        for obsid in self.obsids:
            mask = self.image("acisI_comb_mask_nosrc", obsid)
            ratio = self.image("backI_hien_comb_img", obsid).sum()
            ratio /= self.image("acisI_hien_comb_img", obsid).sum()
            data, exposure = np.zeros(self.radius.shape), self.exposure(obsid)
            for row, col in np.argwhere(
                self.image("acisI_comb_mask", obsid) * np.nan_to_num(self.radius) > 0
            ):
                if row % 3 == 0 and col % 3 == 0:  # only those that are fitted
                    circle = np.hypot(y - row, x - col) <= self.radius[row, col]
                    data[row, col] = mask[circle].mean() * exposure
            np.save(self.acb / f"{self.name}_effective_data_time_{obsid}.npy", data)
            np.save(self.acb / f"{self.name}_effective_background_time_{obsid}.npy", data * ratio)

    def fitted_regions(self, step: int = 3) -> list[tuple[int, int, int]]:
        """Number, row and column: ``scale_map_regions_to_fit`` of cluster.py."""
        return [
            (int(self.index[row, col]), row, col)
            for row in range(0, self.index.shape[0], step)
            for col in range(0, self.index.shape[1], step)
            if not np.isnan(self.index[row, col])
        ]

    def fits(self, best: Iterable[list[object]], worst: Iterable[list[object]]) -> None:
        """The tables that ``fit_region_number`` of cluster.py appends to."""
        write_fits_table(self.acb / f"{self.name}_best_spectral_fits.csv", best)
        write_fits_table(self.acb / f"{self.name}_worst_spectral_fits.csv", worst)
        write_fits_table(self.acb / f"{self.name}_all_spectral_fits.csv", [])
