"""Every path of a cluster's folder, which keeps the layout of ClusterPyXT."""

import glob
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.config.cluster import ClusterConfig


@dataclass(frozen=True)
class Layout:
    """Paths below one cluster's folder; nothing else joins file names.

    Parameters
    ----------
    cluster_dir
        ``<data directory>/<name>``.
    name
        The cluster's name, first part of most file names.
    """

    cluster_dir: Path
    name: str

    @classmethod
    def of(cls, config: ClusterConfig) -> "Layout":
        """Layout of the cluster that a configuration describes."""
        return cls(config.cluster_directory, config.name)

    # Folders
    @property
    def combined(self) -> Path:
        """What all observations have in common: crop region, images, mask."""
        return self.cluster_dir / "combined"

    @property
    def acb(self) -> Path:
        """Adaptive circular binning: bundle, scale map, results."""
        return self.cluster_dir / "acb"

    @property
    def main_output(self) -> Path:
        """Maps and pictures."""
        return self.cluster_dir / "main_output"

    def observation(self, obsid: str) -> Path:
        """Folder of one observation as downloaded."""
        return self.cluster_dir / obsid

    def analysis(self, obsid: str) -> Path:
        """What is made from one observation."""
        return self.observation(obsid) / "analysis"

    def step_record(self, stage: str, obsid: str = "") -> Path:
        """What a stage was made from, for one observation or for all together."""
        return self.cluster_dir / "steps" / f"{stage}{obsid and f'-{obsid}'}.json"

    # What a person draws or supplies
    @property
    def sources_reg(self) -> Path:
        """Point sources to exclude."""
        return self.cluster_dir / "sources.reg"

    @property
    def exclude_reg(self) -> Path:
        """The cluster's peak, which the full-band light curve must not see."""
        return self.cluster_dir / "exclude.reg"

    @property
    def background_reg(self) -> Path:
        """Sky without cluster, for observations without a blank-sky file."""
        return self.cluster_dir / "background.reg"

    def response_region(self, dataset: str) -> Path:
        """Small circle near the aimpoint, where CIAO's responses of a dataset are to be made."""
        obsid, part = _parts(dataset)
        return self.analysis(obsid) / f"acisI_region_0{part}.reg"

    @property
    def crop_reg(self) -> Path:
        """Box around the emission."""
        return self.combined / "master_crop-ciaowcs.reg"

    def supplied_arf(self, obsid: str) -> Path:
        """Effective area on the optical axis."""
        return self.observation(obsid) / f"{obsid}.arf"

    def patterned(self, pattern: str, obsid: str, dataset: str) -> Path:
        """A supplied response: ``{obsid}`` of the pattern is the ObsID in folders, the dataset in the name.

        A name without it gets the kind of chip before its suffix: ``src.arf`` becomes ``src-FI.arf``.
        """
        folder, slash, name = pattern.rpartition("/")
        if "{obsid}" not in name:
            stem, dot, suffix = name.partition(".")
            name = f"{stem}{_parts(dataset)[1]}{dot}{suffix}"
        name = name.replace("{obsid}", dataset)
        return self.cluster_dir / f"{folder.replace('{obsid}', obsid)}{slash}{name}"

    def supplied_rmf(self, obsid: str) -> Path:
        """Redistribution matrix."""
        return self.observation(obsid) / f"{obsid}.rmf"

    def supplied_background(self, obsid: str) -> Path:
        """Blank-sky events, of the observation's sky frame or as CALDB has them."""
        return self.observation(obsid) / f"{obsid}_background.fits"

    def supplied_gti(self, obsid: str) -> Path:
        """Good times chosen by a person."""
        return self.observation(obsid) / f"{obsid}_gti.fits"

    # Stage 1
    def filtered_events(self, obsid: str) -> Path:
        """Events of good grade and time in the cluster's sky frame."""
        return self.analysis(obsid) / "acisI.fits"

    def background_events(self, obsid: str) -> Path:
        """Blank-sky events of the same chips in the cluster's sky frame."""
        return self.analysis(obsid) / "back.fits"

    def geometry(self, obsid: str) -> Path:
        """Where the chips were on the sky, and the dither."""
        return self.analysis(obsid) / "acisI_geometry.fits"

    @property
    def merged_counts(self) -> Path:
        """Counts of all observations, 0.5-7 keV, whole field."""
        return self.cluster_dir / f"{self.name}_broad_thresh.img"

    @property
    def merged_exposure(self) -> Path:
        """Exposure map of the same grid."""
        return self.cluster_dir / f"{self.name}_broad_thresh.expmap"

    @property
    def merged_background(self) -> Path:
        """Scaled background of the same grid."""
        return self.cluster_dir / f"{self.name}_broad_background.img"

    @property
    def merged_brightness(self) -> Path:
        """Surface brightness of the same grid."""
        return self.cluster_dir / f"{self.name}_broad_flux.img"

    @property
    def merged_psf(self) -> Path:
        """Radius of the point spread on the same grid."""
        return self.cluster_dir / f"{self.name}_broad_thresh.psfmap"

    @property
    def proposal_picture(self) -> Path:
        """The proposed regions on the image."""
        return self.main_output / f"{self.name}_proposed_regions.png"

    # Stage 2
    def clean_events(self, obsid: str) -> Path:
        """Events without flares and outside the sources."""
        return self.analysis(obsid) / "acisI_clean.fits"

    def local_background(self, obsid: str) -> Path:
        """Background events made from a region of the same observation."""
        return self.analysis(obsid) / "back_local.fits"

    def light_curve(self, obsid: str, band: str) -> Path:
        """Light curve for cleaning: ``hiE`` the first pass, ``fullE`` the second."""
        return self.analysis(obsid) / f"acisI_lcurve_{band}.lc"

    def good_times(self, obsid: str, band: str) -> Path:
        """Good times of one pass: ``hiE`` the first, ``fullE`` both."""
        return self.analysis(obsid) / f"acisI_gti_{band}.gti"

    def light_curve_plot(self, obsid: str) -> Path:
        """Picture of the light curves with the good times."""
        return self.analysis(obsid) / "acisI_lcurve.png"

    @property
    def source_free_brightness(self) -> Path:
        """Surface brightness of the whole field without flares and sources."""
        return self.main_output / f"{self.name}_xray_surface_brightness_nosrc.fits"

    @property
    def filled_brightness(self) -> Path:
        """The same with the holes filled, for the eye only."""
        return self.main_output / f"{self.name}_xray_surface_brightness_filled.fits"

    # Stage 3
    def response(self, dataset: str, suffix: str) -> Path:
        """Checked ``arf`` or ``rmf`` that the fits use."""
        obsid, part = _parts(dataset)
        return self.analysis(obsid) / "globalresponse" / f"acisI{part}.{suffix}"

    # Stage 4
    def counts_image(self, dataset: str) -> Path:
        """Counts of one dataset, band and crop applied."""
        return self.combined / f"acisI_comb_img-{dataset}.fits"

    def background_image(self, dataset: str) -> Path:
        """Blank-sky counts of one dataset, unscaled."""
        return self.combined / f"backI_comb_img-{dataset}.fits"

    def mask_image(self, dataset: str) -> Path:
        """Live pixels of one dataset with the sources out."""
        return self.combined / f"acisI_comb_mask_nosrc-{dataset}.fits"

    @property
    def combined_mask(self) -> Path:
        """Pixels live in any observation."""
        return self.combined / "acisI_comb_mask.fits"

    @property
    def combined_counts(self) -> Path:
        """Counts of all observations."""
        return self.combined / f"{self.name}_comb_ctsimage.fits"

    @property
    def combined_background(self) -> Path:
        """Scaled background of all observations."""
        return self.combined / f"{self.name}_comb_backrescl.fits"

    @property
    def combined_signal(self) -> Path:
        """Counts less background."""
        return self.combined / f"{self.name}_comb_signal.fits"

    @property
    def surface_brightness(self) -> Path:
        """Exposure-corrected, background-subtracted image without sources."""
        return self.main_output / f"{self.name}_xray_surface_brightness_nosrc_cropped.fits"

    @property
    def bundle(self) -> Path:
        """All that stages 5 to 7 need."""
        return self.acb / f"{self.name}_bundle.h5"

    # Stages 5 and 6
    @property
    def scale_map(self) -> Path:
        """Radius of every pixel's circle [pixels]."""
        return self.acb / f"{self.name}_pype_scale_map.fits"

    @property
    def signal_to_noise_map(self) -> Path:
        """S/N reached in every pixel's circle."""
        return self.acb / f"{self.name}_signal_to_noise_map.fits"

    @property
    def region_index_map(self) -> Path:
        """Number of the region centred on every pixel."""
        return self.acb / f"{self.name}_scale_map_region_index.fits"

    @property
    def results(self) -> Path:
        """The fits of all regions."""
        return self.acb / f"{self.name}_results.h5"

    def part_results(self, part: int, n_parts: int) -> Path:
        """The fits of one slice of the regions, 1 <= part <= n_parts."""
        return self.acb / f"{self.name}_results_part-{part:04d}-of-{n_parts:04d}.h5"

    def all_part_results(self) -> list[Path]:
        """Every such file that is there, sorted."""
        return sorted(self.acb.glob(f"{glob.escape(self.name)}_results_part-*-of-*.h5"))

    def fits_csv(self, kind: str) -> Path:
        """Exported fits: ``best``, ``worst`` or ``all``, as ClusterPyXT has them."""
        return self.acb / f"{self.name}_{kind}_spectral_fits.csv"

    @property
    def fits_ecsv(self) -> Path:
        """Exported table of all columns."""
        return self.acb / f"{self.name}_spectral_fits.ecsv"

    def region_picture(self, number: int) -> Path:
        """Spectrum and model of one region."""
        return self.main_output / f"{self.name}_region_{number}_spectrum.png"

    @property
    def engine_comparison(self) -> Path:
        """The two engines side by side: picture; the table has the suffix ``.ecsv``."""
        return self.main_output / f"{self.name}_engines.png"

    # Batch systems
    @property
    def logs(self) -> Path:
        """What jobs say, a file per job and attempt."""
        return self.cluster_dir / "logs"

    @property
    def job_script(self) -> Path:
        """Script for a batch system."""
        return self.cluster_dir / f"{self.name}_job.sh"

    @property
    def jobs_record(self) -> Path:
        """A line per event of a job: submitted, started, ended, cancelled."""
        return self.logs / "jobs.tsv"

    # Stage 7
    def map(self, quantity: str) -> Path:
        """FITS map of a quantity, such as ``temperature`` or ``temperature_error_plus``."""
        return self.main_output / f"{self.name}_{quantity}_map.fits"

    def picture(self, fits_path: Path) -> Path:
        """PNG picture beside a FITS map."""
        return fits_path.with_suffix(".png")

    def ds9_regions(self, fits_path: Path) -> Path:
        """DS9 region file beside a FITS map."""
        return fits_path.with_suffix(".reg")

    @property
    def shock_table(self) -> Path:
        """Candidate shock fronts, as ECSV."""
        return self.main_output / f"{self.name}_shocks.ecsv"

    @property
    def shock_regions(self) -> Path:
        """The same as a DS9 region file."""
        return self.main_output / f"{self.name}_shocks.reg"

    @property
    def shock_histogram(self) -> Path:
        """Picture of the Mach numbers."""
        return self.main_output / f"{self.name}_mach_histogram.png"


def _parts(dataset: str) -> tuple[str, str]:
    """ObsID, and ``-FI`` or ``-BI`` or nothing, of a dataset's name."""
    obsid, dash, kind = dataset.partition("-")
    return obsid, dash + kind
