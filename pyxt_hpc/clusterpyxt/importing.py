"""Import of a cluster of ClusterPyXT: configuration, inputs, bundle, scale map and fits.

ClusterPyXT's folder is not changed: large files are linked or copied, and small files are copied.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.binning.bins import signal_to_noise
from pyxt_hpc.binning.circles import RADIUS_MIN, RADIUS_STEP
from pyxt_hpc.binning.smoothing import sum_own_circles
from pyxt_hpc.bundle import write_bundle
from pyxt_hpc.chandra.events import read_sky_wcs
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.chandra.regions.physical import physical_text
from pyxt_hpc.chandra.regions.sky import read_regions
from pyxt_hpc.chandra.sky.tangent import pixel_to_pixel, tangent_plane
from pyxt_hpc.clusterpyxt.bundle import HINT, bundle_of, read_plane, read_radii
from pyxt_hpc.clusterpyxt.choices import choices_as
from pyxt_hpc.clusterpyxt.configuration import ClusterpyxtConfig, find_config, read_clusterpyxt_config
from pyxt_hpc.clusterpyxt.fits import read_fits
from pyxt_hpc.clusterpyxt.results import store_fits
from pyxt_hpc.clusterpyxt.scale_map import TakenRadii, clusterpyxt_numbers, take_radii
from pyxt_hpc.config.cluster import ClusterConfig, config_from, config_template
from pyxt_hpc.errors import ConfigError, DamagedFile, DiskFull, MissingInput, PyxtError
from pyxt_hpc.files.fits import open_fits, wcs_of
from pyxt_hpc.files.quoting import several
from pyxt_hpc.files.system_errors import system_errors
from pyxt_hpc.files.writing import check_regular, write_text
from pyxt_hpc.layout import ClusterpyxtLayout, Layout
from pyxt_hpc.preprocess.images.bundle_images import write_images
from pyxt_hpc.preprocess.inputs.supplied import find_observations
from pyxt_hpc.stages.bins.scale_map import write_circles

_ARCHIVE_FOLDERS = ("repro", "primary", "secondary")
_SAME_FRAME_PIXELS = 0.05
_NEEDED = ("redshift", "hydrogen_column_density", "abundance")


@dataclass
class Imported:
    """Result of an import: lines about all items, and which products and inputs there are.

    ``has_inputs`` means that all input files of stages 1 to 4 exist.
    """

    config: Path
    taken: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    has_bundle: bool = False
    has_fits: bool = False
    has_inputs: bool = False

    def lines(self) -> Iterable[str]:
        """List of all items for the user."""
        for title, entries in (("taken", self.taken), ("changed", self.changed), ("missing", self.missing)):
            yield f"{title}:" if entries else f"{title}: nothing"
            yield from (f"  {entry}" for entry in entries)


def import_cluster(
    folder: Path,
    directory: Path,
    *,
    given: Mapping[str, str] | None = None,
    choices: str | None = None,
    copy: bool = False,
) -> Imported:
    """Import a cluster from its folder in ClusterPyXT.

    Parameters
    ----------
    folder
        ``<data directory>/<name>`` of ClusterPyXT, or a copy that has only its ``acb/``.
    directory
        Folder for the new ``<name>_cluster_config.ini`` and the new folder ``<name>``.
    given
        Values of keys of the configuration, as texts; they take precedence over ClusterPyXT's.
    choices
        One of `choices.NAMES`, for ClusterPyXT's settings in the configuration; None: our defaults.
    copy
        Whether to copy large files instead of linking to them.

    Raises
    ------
    MissingInput, DamagedFile, ConfigError
        If there is no usable configuration of ClusterPyXT; ConfigError also if the cluster already exists in
        `directory`.
    DiskFull
        If the disk is full; the new folder is then removed.
    """
    if not folder.is_dir():
        raise MissingInput(f"{folder}: there is no such folder; give that of a cluster of ClusterPyXT")
    old = read_clusterpyxt_config(find_config(folder), given or {})
    here = Layout(directory / old.name, old.name)
    target = directory / f"{old.name}_cluster_config.ini"
    if target.exists() or (here.cluster_dir.is_dir() and any(here.cluster_dir.iterdir())):
        raise ConfigError(
            f"{target if target.exists() else here.cluster_dir} already exists: give another --directory"
        )
    with system_errors(here.cluster_dir):
        here.cluster_dir.mkdir(parents=True, exist_ok=True)
    try:
        done, text = _Import(folder, here, old, target, copy).run(choices)
        write_text(target, text)  # last, so that a configuration exists only after a complete import
    except BaseException:
        shutil.rmtree(here.cluster_dir, ignore_errors=True)
        raise
    return done


class _Import:
    """One import in progress."""

    def __init__(self, folder: Path, here: Layout, old: ClusterpyxtConfig, target: Path, copy: bool) -> None:
        self.old, self.here, self.copy = old, here, copy
        self.source = ClusterpyxtLayout(folder.resolve(), old.name)
        self.text = ""
        self.done = Imported(target, list(old.taken), list(old.changed), list(old.missing))

    def run(self, choices: str | None) -> tuple[Imported, str]:
        """Import everything except the configuration; return the result and the configuration's text."""
        here, done = self.here, self.done
        for folder in (here.combined, here.acb, here.main_output, here.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self._regions()
        for obsid in self.old.obsids:
            self._observation(obsid)
        texts = {**(choices_as(choices) if choices else {}), **self.old.texts}
        if choices:
            done.changed.append(f"the configuration has the choices of {choices}: chi2gehrels, channels, ...")
        self.text = config_template(self.old.name, texts)
        if all(key in texts for key in _NEEDED):
            self._products(texts)
        else:
            done.missing.append("bundle and fits: give the values above as options, such as --redshift")
        with suppress(PyxtError):
            find_observations(here, self.old.obsids)
            done.has_inputs = not any(entry.startswith("ObsID") for entry in done.missing)
        write_text(here.import_list, "\n".join(done.lines()) + "\n")
        return done, self.text

    # Files made by the user, files of the archive, backgrounds and responses

    def _regions(self) -> None:
        source = self.source
        for path, to, needed in (
            (source.sources_reg, self.here.sources_reg, True),
            (source.exclude_reg, self.here.exclude_reg, False),
            (source.crop_reg, self.here.crop_reg, True),
        ):
            if not check_regular(path):
                if needed:
                    self.done.missing.append(f"{path.name}: draw it, or let propose-regions propose it")
                continue
            self._try(path.name, self._region, path, to)

    def _region(self, path: Path, to: Path) -> None:
        region = read_regions(path)
        in_pixels = any(shape.system == "physical" and shape.points for shape in region.shapes)
        if in_pixels and len(self.old.obsids) > 1 and (frames := self._two_frames()):
            # The region was drawn on the merged image, but our sky pixels are those of the first observation.
            text = physical_text(region, {"physical": frames[0], path.name: frames[0]}, frames[1])
            to.write_text(text, encoding="utf-8")
            self.done.changed.append(
                f"{path.name}: from sky pixels of {self.source.merged_brightness.name} to those of ObsID "
                f"{self.old.obsids[0]}"
            )
            return
        self._place(path, to, small=True)
        self.done.taken.append(
            f"{path.relative_to(self.source.cluster_dir)}: {several(len(region.shapes), 'shape')}"
        )

    def _two_frames(self) -> tuple[WCS, WCS] | None:
        """Sky pixels of the merged image and of the first observation; None if they agree.

        Raises MissingInput if one of them is not known.
        """
        events = self._level_2_events(self.source.repro(self.old.obsids[0]))
        events = events or self.source.cleaned_events(self.old.obsids[0])
        if not check_regular(self.source.merged_brightness) or not check_regular(events):
            raise MissingInput(
                "it is in physical coordinates, but the files that define them are not all there "
                f"({self.source.merged_brightness.name} and events of level 2): save it in fk5"
            )
        merged, first = _physical_frame(self.source.merged_brightness), read_sky_wcs(events)
        at = np.array([4096.5]), np.array([4096.5])
        apart = np.hypot(*(a - b for a, b in zip(pixel_to_pixel(merged, first, *at), at, strict=True)))
        return (merged, first) if apart.item() > _SAME_FRAME_PIXELS else None

    def _observation(self, obsid: str) -> None:
        source, here, done = self.source, self.here, self.done
        events = None
        for name in _ARCHIVE_FOLDERS:
            folder = source.observation(obsid) / name
            files = sorted(p for p in folder.glob("*") if p.is_file()) if folder.is_dir() else []
            for path in files:
                self._place(path, here.observation(obsid) / name / path.name)
            if files:
                done.taken.append(f"ObsID {obsid}: {several(len(files), 'file')} of {name}/")
            events = events or (self._level_2_events(folder) if name != "secondary" else None)
        cleaned = source.cleaned_events(obsid)
        if events is None and check_regular(cleaned):
            events = cleaned
            self._place(cleaned, here.observation(obsid) / f"{obsid}_evt2.fits")
            done.changed.append(
                f"ObsID {obsid}: {cleaned.name} stands for its level-2 events: flares and sources are out "
                "already, so sources.reg must be the one that cut them"
            )
        if events is None:
            done.missing.append(f"ObsID {obsid}: level-2 events, from the archive (download_chandra_obsid)")
        background = source.merged_blank_sky(obsid)
        if not check_regular(background):
            background = source.cleaned_background(obsid)
        if check_regular(background):
            self._place(background, here.supplied_background(obsid))
            done.taken.append(f"ObsID {obsid}: blank-sky events {background.name}")
        else:
            done.missing.append(f"ObsID {obsid}: blank-sky events, from CIAO's blanksky")
        self._responses(obsid)

    def _responses(self, obsid: str) -> None:
        source, here, done = self.source, self.here, self.done
        region = source.response_region(obsid)
        if check_regular(region):
            self._place(region, here.response_region(obsid), small=True)
            done.taken.append(f"ObsID {obsid}: {region.name}, where its response was made")
        for suffix, copied, to, read in (
            ("arf", source.copied_arf(obsid), here.supplied_arf(obsid), read_arf),
            ("rmf", source.copied_rmf(obsid), here.supplied_rmf(obsid), read_rmf),
        ):
            made = source.response(obsid, suffix)
            path = made if check_regular(made) else copied
            if not check_regular(path):
                done.missing.append(f"ObsID {obsid}: {suffix.upper()}, from CIAO's specextract")
                continue
            what = f"ObsID {obsid}: {suffix.upper()} {path.name}"
            if self._try(what, read, path):
                self._place(path, to)
                done.taken.append(what)

    @staticmethod
    def _level_2_events(folder: Path) -> Path | None:
        return min(folder.glob("*evt2.fits*"), default=None) if folder.is_dir() else None

    def _place(self, path: Path, to: Path, *, small: bool = False) -> None:
        with system_errors(to):
            to.parent.mkdir(parents=True, exist_ok=True)
            if small or self.copy:
                shutil.copy2(path, to)  # keeps the time: a response region must be older than its response
            else:
                to.symlink_to(path.resolve())

    def _try(self, what: str, do: Callable[..., object], *of: object) -> bool:
        """Whether a call succeeds; if a file is damaged, it is listed as missing, with the reason."""
        try:
            do(*of)
        except DiskFull:
            raise
        except PyxtError as error:
            reason = str(error).replace(f"{self.source.cluster_dir}/", "")
            self.done.missing.append(f"{what}: {reason}")
            return False
        return True

    # Products

    def _products(self, texts: dict[str, str]) -> None:
        config = config_from(self.text, self.done.config)
        if self._try("bundle", self._make_bundle, config):
            self._try("scale map", self._scale_map_and_fits, config, texts)

    def _make_bundle(self, config: ClusterConfig) -> None:
        made, findings = bundle_of(config, self.source)
        self.bundle = write_bundle(self.here.bundle, made)
        write_images(self.bundle, self.here)
        self.done.changed.extend(findings)
        self.done.has_bundle = True
        events = sum(len(o.event_channel) for o in self.bundle.observations)
        self.done.taken.append(f"bundle of combined/ and acb/: {events} events, one area for the whole field")

    def _scale_map_and_fits(self, config: ClusterConfig, texts: dict[str, str]) -> None:
        bundle = self.bundle
        found = read_radii(self.source.scale_map, bundle.mask.shape)
        radii = take_radii(found, bundle.mask)
        # ClusterPyXT's own images, from which it made its circles.
        counts = self._image(self.source.combined_counts, bundle.counts)
        background = self._image(self.source.combined_background, bundle.background)
        kind, reached = signal_to_noise_kind(counts, background, radii.radius, config.signal_to_noise)
        config = replace(config, signal_to_noise_of=kind)
        self.text = config_template(self.old.name, {**texts, "signal_to_noise_of": kind})
        write_circles(bundle, config, radii.radius, reached, ["radii of ClusterPyXT"])
        self._tell_radii(radii, kind)
        files = self.source.fits_csv("worst"), self.source.fits_csv("best")
        fits = read_fits(files)
        for path in files:
            if path not in fits.files:
                self.done.missing.append(f"fits: {path.name}")
        if fits.unreadable or fits.repeated:
            self.done.changed.append(
                f"fits: {several(fits.unreadable, 'line')} unreadable, {several(fits.repeated, 'line')} "
                "replaced by a later line of the same region"
            )
        if not len(fits.rows):
            return
        stored = store_fits(
            config,
            bundle,
            radii.radius,
            clusterpyxt_numbers(found),
            fits,
            self.old.fitted_nH if self.old.fitted_nH is not None else config.nH,
            list(fits.files),
        )
        self.done.has_fits = True
        self.done.taken.append(
            f"fits: {stored.stored} of {stored.regions} regions at resolution {stored.resolution}, from "
            f"{' and '.join(path.name for path in fits.files)}"
        )
        if stored.without_circle or stored.unknown:
            self.done.missing.append(
                f"fits: {stored.without_circle} centred in a source or off the field, {stored.unknown} of "
                "regions that are not in the scale map"
            )

    def _image(self, path: Path, otherwise: NDArray) -> NDArray:
        """Image of ClusterPyXT, or `otherwise` if the file does not exist."""
        if not check_regular(path):
            return otherwise
        image, _ = read_plane(path, "image")
        if image.shape != otherwise.shape:
            raise DamagedFile(
                f"{path}: its image is {image.shape}, expected {otherwise.shape} as the mask has; {HINT}"
            )
        return image

    def _tell_radii(self, radii: TakenRadii, kind: str) -> None:
        circles = int(np.count_nonzero(radii.radius))
        formula = "(C - B)/sqrt(C + B)" if kind == "net" else "sqrt(C), the background counted as signal"
        self.done.taken.append(f"{self.source.scale_map.name}: {circles} circles, S/N {formula}")
        if radii.blank or radii.dead:
            self.done.changed.append(
                f"{self.source.scale_map.name}: {radii.blank} pixels without a circle (NaN) and {radii.dead} "
                "in sources or off the field are blank"
            )
        if radii.moved:
            self.done.changed.append(
                f"{self.source.scale_map.name}: {radii.moved} radii moved to steps of 1/8 pixel up to 100, "
                f"by {radii.shift:.3g} pixels at most"
            )


def signal_to_noise_kind(
    counts: NDArray, background: NDArray, radius: NDArray[np.float32], target: float
) -> tuple[str, NDArray[np.float32]]:
    """Definition of S/N with which circles were made, ``net`` or ``counts``, and this S/N of each circle.

    By the right definition, a circle reaches the target and the next smaller circle does not; the definition
    with fewer exceptions is chosen. All arrays are (ny, nx). S/N is 0 without a circle.
    """
    images = np.stack([counts, background, *np.zeros((2, *counts.shape))], axis=-1)  # four are required
    some = radius > 0
    smaller = np.where(radius > RADIUS_MIN, radius - np.float32(RADIUS_STEP), 0.0).astype(np.float32)
    exceptions, reached = {}, {}
    for kind in ("net", "counts"):
        ratios = []
        for circles in (radius, smaller):
            total, blank, *_ = sum_own_circles(images, circles)
            blank = blank if kind == "net" else np.zeros_like(blank)
            ratios.append(signal_to_noise(total, blank, blank))
        wrong = (ratios[0] < target) | ((ratios[1] >= target) & (smaller > 0))
        exceptions[kind] = int(np.count_nonzero(wrong & some))
        reached[kind] = np.where(some, ratios[0], 0.0).astype(np.float32)
    kind = min(exceptions, key=lambda name: exceptions[name])
    return kind, reached[kind]


def _physical_frame(image: Path) -> WCS:
    """Sky pixels of an image binned by CIAO, from its sky and physical coordinates.

    Raises MissingInput if the image has no physical coordinates.
    """
    with open_fits(image, "merged image", HINT) as hdus:
        header = hdus[0].header.copy()
    wcs = wcs_of(header).celestial
    try:
        crpix = [
            float(header[f"CRVAL{i}P"])
            + (float(header[f"CRPIX{i}"]) - float(header[f"CRPIX{i}P"])) * float(header[f"CDELT{i}P"])
            for i in (1, 2)
        ]
        scale = abs(float(header["CDELT2"])) / float(header["CDELT2P"]) * 3600.0
    except (KeyError, TypeError, ValueError):
        raise MissingInput(f"{image}: has no physical coordinates: save the regions in fk5") from None
    return tangent_plane(float(wcs.wcs.crval[0]), float(wcs.wcs.crval[1]), scale, (crpix[0], crpix[1]))
