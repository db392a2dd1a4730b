"""Paths in a cluster's folder, in the layout of ClusterPyXT."""

import glob
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.files.writing import with_gz


@dataclass(frozen=True)
class _Entry:
    """A path below the cluster's folder; ``{name}`` stands for the cluster's name."""

    pattern: str
    meaning: str


class _Path(_Entry):
    """One path, such as ``layout.bundle``."""

    def __get__(self, layout: "Layout", owner: Any) -> Path:
        return layout.cluster_dir / self.pattern.format(name=layout.name)


class _PathOf(_Entry):
    """A path that depends on an argument, such as ``layout.clean_events("4940")``.

    ``{of}`` stands for the argument. If this is a dataset, ``{obsid}`` stands for its ObsID and ``{kind}``
    for the rest of its name: ``-FI``, ``-BI-p2``, or nothing.
    """

    def __get__(self, layout: "Layout", owner: Any) -> Callable[[str | int], Path]:
        def path(of: str | int) -> Path:
            obsid, kind = _parts(str(of))
            return layout.cluster_dir / self.pattern.format(name=layout.name, of=of, obsid=obsid, kind=kind)

        return path


class _SuppliedOf(_PathOf):
    """The same for a FITS file that a person supplies: the compressed file, if only this exists."""

    def __get__(self, layout: "Layout", owner: Any) -> Callable[[str | int], Path]:
        path = super().__get__(layout, owner)
        return lambda of: with_gz(path(of))


@dataclass(frozen=True)
class Layout:
    """Paths below one cluster's folder; no other code builds these paths.

    Parameters
    ----------
    cluster_dir
        ``<data directory>/<name>``.
    name
        The cluster's name, with which most file names begin.
    """

    cluster_dir: Path
    name: str

    @classmethod
    def of(cls, config: ClusterConfig) -> "Layout":
        """Layout of the cluster that a configuration describes."""
        return cls(config.cluster_directory, config.name)

    # Folders
    combined = _Path("combined", "what all observations have in common: crop region, images, mask")
    acb = _Path("acb", "adaptive circular binning: bundle, scale map, results")
    main_output = _Path("main_output", "maps and pictures")
    import_list = _Path("logs/import.txt", "what was taken from ClusterPyXT, changed, and missing")
    logs = _Path("logs", "output of jobs, a file per job and attempt")
    observation = _PathOf("{obsid}", "one observation as downloaded")
    analysis = _PathOf("{obsid}/analysis", "what is made from one observation")

    # Files that a person draws or supplies
    sources_reg = _Path("sources.reg", "point sources to exclude")
    exclude_reg = _Path("exclude.reg", "the cluster's peak, left out of the full-band light curve")
    background_reg = _Path("background.reg", "sky without cluster, for observations without a blank-sky file")
    crop_reg = _Path("combined/master_crop-ciaowcs.reg", "box around the emission")
    response_region = _PathOf("{obsid}/analysis/acisI_region_0{kind}.reg", "where CIAO makes responses")
    supplied_arf = _SuppliedOf("{obsid}/{obsid}.arf", "effective area on the optical axis")
    supplied_rmf = _SuppliedOf("{obsid}/{obsid}.rmf", "redistribution matrix")
    supplied_background = _SuppliedOf(
        "{obsid}/{obsid}_background.fits", "blank-sky events, as in CALDB or reprojected"
    )
    supplied_gti = _SuppliedOf("{obsid}/{obsid}_gti.fits", "good times chosen by a person")

    # Files that CIAO makes for an observation or a dataset; files that a person supplies take precedence
    repro = _PathOf("{obsid}/repro", "level-2 files, by chandra_repro")
    repro_mark = _PathOf(
        "{obsid}/repro/.made_by_pyxt_hpc", "mark of a folder that this package had made by CIAO"
    )
    ciao = _PathOf("{obsid}/analysis/ciao{kind}", "all other files by CIAO")
    ciao_background = _PathOf("{obsid}/analysis/ciao/background.fits", "blank-sky events, by blanksky")
    ciao_sources = _PathOf("{obsid}/analysis/ciao/sources.reg", "sources.reg in the observation's sky pixels")
    deflare_gti = _PathOf("{obsid}/analysis/ciao/deflare.gti", "good times, by deflare")
    ciao_events = _PathOf("{obsid}/analysis/ciao{kind}/clean.fits", "events in good time, by dmcopy")
    ciao_region = _PathOf(
        "{obsid}/analysis/ciao{kind}/region.reg", "the response region in the observation's sky pixels"
    )
    ciao_arf = _PathOf(
        "{obsid}/analysis/ciao{kind}/response.arf", "effective area in that region, by specextract"
    )
    ciao_rmf = _PathOf(
        "{obsid}/analysis/ciao{kind}/response.rmf", "redistribution matrix of that region, by specextract"
    )
    detection = _Path("combined/detection", "image, PSF map and sources, by wavdetect")

    # Stage 1
    filtered_events = _PathOf("{obsid}/analysis/acisI.fits", "good events in the cluster's sky frame")
    background_events = _PathOf("{obsid}/analysis/back.fits", "blank-sky events of the same chips and frame")
    geometry = _PathOf("{obsid}/analysis/acisI_geometry.fits", "where the chips were, and the dither")
    merged_counts = _Path("{name}_broad_thresh.img", "counts of all observations, 0.5-7 keV, whole field")
    merged_exposure = _Path("{name}_broad_thresh.expmap", "exposure map of the same grid")
    merged_background = _Path("{name}_broad_background.img", "scaled background of the same grid")
    merged_brightness = _Path("{name}_broad_flux.img", "surface brightness of the same grid")
    merged_psf = _Path("{name}_broad_thresh.psfmap", "PSF radius on the same grid")
    proposal_picture = _Path("main_output/{name}_proposed_regions.png", "the proposed regions on the image")

    # Stage 2
    clean_events = _PathOf("{obsid}/analysis/acisI_clean.fits", "events without flares, outside the sources")
    local_background = _PathOf("{obsid}/analysis/back_local.fits", "background made from the observation")
    light_curve_plot = _PathOf("{obsid}/analysis/acisI_lcurve.png", "light curves with the good times")
    source_free_brightness = _Path(
        "main_output/{name}_xray_surface_brightness_nosrc.fits", "whole field without flares and sources"
    )
    filled_brightness = _Path(
        "main_output/{name}_xray_surface_brightness_filled.fits", "with the holes filled, for the eye only"
    )

    # Stage 3
    area_maps = _PathOf(
        "{obsid}/analysis/acisI_area{kind}.fits", "effective area of every pixel, from CIAO's exposure maps"
    )

    # Stage 4
    counts_image = _PathOf("combined/acisI_comb_img-{of}.fits", "counts of a dataset, band and crop applied")
    background_image = _PathOf("combined/backI_comb_img-{of}.fits", "its blank-sky counts, unscaled")
    mask_image = _PathOf("combined/acisI_comb_mask_nosrc-{of}.fits", "its live pixels, sources out")
    combined_mask = _Path("combined/acisI_comb_mask.fits", "pixels live in any observation")
    combined_counts = _Path("combined/{name}_comb_ctsimage.fits", "counts of all observations")
    combined_background = _Path("combined/{name}_comb_backrescl.fits", "their scaled background")
    combined_signal = _Path("combined/{name}_comb_signal.fits", "counts less background")
    surface_brightness = _Path(
        "main_output/{name}_xray_surface_brightness_nosrc_cropped.fits", "(counts - background)/exposure"
    )
    bundle = _Path("acb/{name}_bundle.h5", "all that stages 5 to 7 need")

    # Stages 5 and 6
    scale_map = _Path(
        "acb/{name}_pype_scale_map.fits",
        "radius of every pixel's circle, or of the circle with the area of its bin [pixels]",
    )
    signal_to_noise_map = _Path("acb/{name}_signal_to_noise_map.fits", "S/N of every pixel's region")
    region_index_map = _Path("acb/{name}_scale_map_region_index.fits", "number of the region at every pixel")
    results = _Path("acb/{name}_results.h5", "the fits of all regions")
    fits_csv = _PathOf(
        "acb/{name}_{of}_spectral_fits.csv", "best, worst or all fits, as ClusterPyXT has them"
    )
    fits_ecsv = _Path("acb/{name}_spectral_fits.ecsv", "table of all columns")
    region_picture = _PathOf("main_output/{name}_region_{of}_spectrum.png", "spectrum and model of a region")
    engine_comparison = _Path(
        "main_output/{name}_engines.png", "comparison of both engines; its table is the .ecsv beside it"
    )

    # Batch systems
    job_script = _Path("{name}_job.sh", "script for a batch system")
    command_list = _Path("acb/commands_{name}.lis", "a command for each slice of the regions")
    jobs_record = _Path("logs/jobs.tsv", "a line per event of a job: submitted, started, ended, cancelled")

    # Stage 7
    map = _PathOf(
        "main_output/{name}_{of}_map.fits", "a quantity, such as temperature or temperature_error_plus"
    )
    overview = _PathOf("main_output/{name}_overview{of}", "the main maps on one sheet")
    ds9_script = _PathOf(
        "main_output/{name}_ds9{of}.sh", "opens temperature, errors, flags and regions in DS9"
    )
    clusterpyxt_map = _PathOf(
        "main_output/{name}_{of}.fits", "density, pressure or entropy as ClusterPyXT has them"
    )
    shock_table = _Path("main_output/{name}_shocks.ecsv", "candidate shock fronts")
    shock_regions = _Path("main_output/{name}_shocks.reg", "candidate shock fronts as a DS9 region file")
    shock_histogram = _Path("main_output/{name}_mach_histogram.png", "Mach numbers of the candidate fronts")

    report = _Path("main_output/{name}_report.html", "everything on one page")

    # Calibration; the argument is empty, or names the deliberate error of the simulations
    calibration_table = _PathOf(
        "main_output/{name}_calibration{of}.ecsv",
        "bias and coverage of simulated fits by class; `sentences` in its header say it in words",
    )
    calibration_regions = _PathOf("main_output/{name}_calibration{of}_regions.ecsv", "the simulated regions")
    calibration_picture = _PathOf("main_output/{name}_calibration{of}.png", "bias and coverage by class")

    # Profiles; the argument is empty, or names a sector
    profile_shells = _PathOf("main_output/{name}_profile{of}_shells.ecsv", "annuli and shells of gas")
    profile_brightness = _PathOf("main_output/{name}_profile{of}_brightness.ecsv", "soft surface brightness")
    profile_picture = _PathOf(
        "main_output/{name}_profile{of}.png", "temperature, density and quantities from both"
    )
    profile_brightness_picture = _PathOf(
        "main_output/{name}_profile{of}_brightness.png", "brightness with its models"
    )

    # Masses, likewise; the argument of a chain also names a method and an ensemble
    mass_table = _PathOf("main_output/{name}_mass{of}.ecsv", "radii and masses at overdensities")
    mass_profile = _PathOf("main_output/{name}_mass{of}_profile.ecsv", "mass and gas at radii")
    mass_picture = _PathOf("main_output/{name}_mass{of}.png", "temperature, density, mass and gas fraction")
    mass_corner = _PathOf("main_output/{name}_mass{of}_corner.png", "samples of the parameters")
    mass_chain = _PathOf("acb/{name}_mass_chain{of}.h5", "samples of an ensemble, which can be continued")

    def step_record(self, stage: str, obsid: str = "") -> Path:
        """Record (`steps`) of a stage, for one observation or for all together."""
        return self.cluster_dir / "steps" / f"{stage}{obsid and f'-{obsid}'}.json"

    def call_record(self, stage: str, obsid: str, call: str) -> Path:
        """Record (`steps`) of a call of a CIAO tool."""
        return self.step_record(stage, "-".join(filter(None, (obsid, "ciao", call))))

    def call_script(self, stage: str, obsid: str) -> Path:
        """Shell script of the CIAO calls of a stage; their output is beside it, with the suffix ``.log``."""
        return self.logs / f"{stage}{obsid and f'_{obsid}'}.sh"

    def supplied_response(self, pattern: str, obsid: str, dataset: str) -> Path:
        """Path of a supplied response, from the pattern in the configuration.

        ``{obsid}`` stands for the ObsID in folders and for the dataset in the file name. A file name without
        it gets the kind of chip before its suffix: ``src.arf`` becomes ``src-FI.arf``. If only the
        compressed file exists, its name is returned.
        """
        folder, slash, name = pattern.rpartition("/")
        if "{obsid}" not in name:
            stem, dot, suffix = name.partition(".")
            name = f"{stem}{_parts(dataset)[1]}{dot}{suffix}"
        name = name.replace("{obsid}", dataset)
        return with_gz(self.cluster_dir / f"{folder.replace('{obsid}', obsid)}{slash}{name}")

    def light_curve(self, obsid: str, band: str) -> Path:
        """Light curve for cleaning: ``hiE`` for the first pass, ``fullE`` for the second."""
        return self.analysis(obsid) / f"acisI_lcurve_{band}.lc"

    def good_times(self, obsid: str, band: str) -> Path:
        """Good times: ``hiE`` after the first pass, ``fullE`` after both."""
        return self.analysis(obsid) / f"acisI_gti_{band}.gti"

    def response(self, dataset: str, suffix: str) -> Path:
        """Checked response for the fits; the suffix is ``arf`` or ``rmf``."""
        return self.analysis(dataset) / "globalresponse" / f"acisI{_parts(dataset)[1]}.{suffix}"

    def part_results(self, part: int, n_parts: int) -> Path:
        """Results of one slice of the regions, 1 <= part <= n_parts."""
        return self.acb / f"{self.name}_results_part-{part:04d}-of-{n_parts:04d}.h5"

    def all_part_results(self) -> list[Path]:
        """Existing files of results of slices, sorted."""
        return sorted(self.acb.glob(f"{glob.escape(self.name)}_results_part-*-of-*.h5"))

    def masked_map(self, fits_path: Path) -> Path:
        """Path of the masked version of a map, beside the complete map."""
        return fits_path.with_name(f"{fits_path.name.removesuffix('_map.fits')}_masked_map.fits")

    def picture(self, fits_path: Path, form: str = "png") -> Path:
        """Picture beside a FITS map."""
        return fits_path.with_suffix(f".{form}")

    def ds9_regions(self, fits_path: Path) -> Path:
        """DS9 region file beside a FITS map."""
        return fits_path.with_suffix(".reg")


@dataclass(frozen=True)
class ClusterpyxtLayout(Layout):
    """Paths in a cluster's folder of ClusterPyXT without a counterpart in pyxt_hpc."""

    cleaned_events = _SuppliedOf("acb/acisI_clean_{of}.fits", "cleaned events, sources out, for the fits")
    cleaned_background = _SuppliedOf(
        "acb/backI_clean_{of}.fits", "blank-sky events, sources out, for the fits"
    )
    merged_blank_sky = _SuppliedOf("{obsid}/analysis/merged_back.fits", "blank-sky events of all chips")
    copied_arf = _SuppliedOf("acb/{name}_{of}.arf", "effective area, for the fits")
    copied_rmf = _SuppliedOf("acb/{name}_{of}.rmf", "redistribution matrix, for the fits")
    exposure_time = _PathOf("acb/{name}_{of}_exptime.dat", "EXPOSURE of the cleaned events [s], a line")
    data_time = _PathOf("acb/{name}_effective_data_time_{of}.npy", "exposure x live share of circles [s]")
    background_time = _PathOf(
        "acb/{name}_effective_background_time_{of}.npy", "the former x ratio of 9.5-12 keV counts"
    )


@dataclass(frozen=True)
class SampleLayout:
    """Paths of the sample of clusters in a table, all in the folder of the table.

    Parameters
    ----------
    table
        The CSV file.
    """

    table: Path

    def config(self, name: str) -> Path:
        """Configuration of a cluster."""
        return self.table.parent / f"{name}_cluster_config.ini"

    @property
    def folder(self) -> Path:
        """Folder for the sample as a whole."""
        return self.table.parent / f"{self.table.stem}_sample"

    @property
    def page(self) -> Path:
        """Summary as an HTML page."""
        return self.folder / f"{self.table.stem}.html"

    def outcome(self, name: str) -> Path:
        """Outcome of the run of a cluster."""
        return self.folder / "clusters" / f"{name}.json"

    def log(self, name: str) -> Path:
        """Output of a cluster's commands in the latest run."""
        return self.folder / "logs" / f"{name}.log"

    @property
    def jobs_record(self) -> Path:
        """Table with a line for each event of a job, beside the logs of jobs."""
        return self.folder / "logs" / "jobs.tsv"

    @property
    def command_list(self) -> Path:
        """List of commands, one for each slice of the clusters."""
        return self.table.parent / f"commands_{self.table.stem}.lis"

    @property
    def job_script(self) -> Path:
        """Script for a batch system."""
        return self.table.parent / f"{self.table.stem}_job.sh"


def _parts(dataset: str) -> tuple[str, str]:
    """ObsID of a dataset's name, and the rest from the dash on, which may be empty."""
    obsid, dash, kind = dataset.partition("-")
    return obsid, dash + kind
