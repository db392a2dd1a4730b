"""Calls of wavdetect on the image of all observations, with the PSF size of every pixel from mkpsfmap."""

from collections.abc import Mapping

from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, Value, on_array, stack
from pyxt_hpc.preprocess.ciao.plans.repro import ReproFiles

SOURCES = "sources_wavdetect.fits"
_ROOT = "field"
_BAND = "broad"  # 0.5-7 keV
_SKY_PIXELS = 2  # side of an image pixel: about 1 arcsec
_SCALES = (1, 2, 4, 8, 16)  # image pixels
_ECF = 0.393  # enclosed fraction of a point source at 1 sigma, the unit of wavdetect's scales
_THRESHOLD = 1e-6  # probability of a false source per pixel


def detection_calls(
    files: Mapping[str, ReproFiles], chips: Mapping[str, tuple[int, ...]], layout: Layout, n_cpus: int
) -> tuple[Call, ...]:
    """Make image, exposure map and PSF map of all observations (by ObsID), and detect its sources."""
    folder = layout.detection
    image, exposure, spread = (f"{_ROOT}_{_BAND}_thresh.{suffix}" for suffix in ("img", "expmap", "psfmap"))
    events = tuple(on_array(own.events, chips[obsid]) for obsid, own in files.items())
    aspect = stack(path for own in files.values() for path in own.aspect)
    badpix, mask = stack(own.badpix for own in files.values()), stack(own.mask for own in files.values())
    common: dict[str, Value] = {
        "outroot": f"{OUT}/{_ROOT}",
        "bands": _BAND,
        "binsize": _SKY_PIXELS,
        "psfecf": _ECF,
        "parallel": n_cpus > 1,
        "nproc": n_cpus,
        "clobber": True,
        "verbose": 1,
    }
    reads = tuple(path for own in files.values() for path in (own.events, own.badpix, own.mask, *own.aspect))
    made = (image, exposure, spread)
    if len(files) == 1:
        imaging = Call(
            "fluximage",
            {"infile": events[0], "asolfile": aspect, "badpixfile": badpix[0], "maskfile": mask[0], **common},
            reads, made, folder,
        )  # fmt: skip
    else:
        imaging = Call(
            "merge_obs",
            {"infiles": events, "asolfiles": aspect, "badpixfiles": badpix, "maskfiles": mask,
             "psfmerge": "exptime", **common},
            reads, made, folder,
        )  # fmt: skip
    inputs = [folder / name for name in made]
    detection = Call(
        tool="wavdetect",
        parameters={
            "infile": str(inputs[0]),
            "outfile": f"{OUT}/{SOURCES}",
            "scellfile": f"{OUT}/cells.fits",
            "imagefile": f"{OUT}/reconstructed.fits",
            "defnbkgfile": f"{OUT}/background.fits",
            "regfile": f"{OUT}/sources_wavdetect.reg",
            "scales": " ".join(map(str, _SCALES)),
            "psffile": str(inputs[2]),
            "expfile": str(inputs[1]),
            "sigthresh": _THRESHOLD,
            "ellsigma": 3.0,
            "clobber": True,
        },
        reads=tuple(inputs),
        writes=(SOURCES,),
        folder=folder,
    )
    return imaging, detection
