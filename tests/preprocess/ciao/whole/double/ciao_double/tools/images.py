"""Images, exposure maps, the point spread, and detection."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from ciao_double import events, virtual
from ciao_double.tools import mirrors
from pyxt_hpc.chandra.sky.aspect import with_aspect
from pyxt_hpc.chandra.sky.exposure import live_fraction
from pyxt_hpc.chandra.sky.fov import write_fov
from pyxt_hpc.chandra.sky.geometry import chip_outlines, measure_geometry
from pyxt_hpc.chandra.sky.psf import R90_PER_SIGMA, psf_r90_arcsec
from pyxt_hpc.chandra.sky.reproject import reproject
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin, vignetting
from pyxt_hpc.chandra.times.livetime import live_times
from pyxt_hpc.detect.point_sources import detect_sources, emission_peak
from pyxt_hpc.files.fits import write_fits

_BANDS = {"broad": (0.5, 7.0, 2.3)}
_SKY_ARCSEC = 0.492


def fluximage(p):
    if len(virtual.stack(p.infile)) != 1:
        raise ValueError("fluximage takes one event file; merge_obs takes several")
    for name, stack in (("asolfile", p.asolfile), ("badpixfile", p.badpixfile), ("maskfile", p.maskfile)):
        if not stack:
            raise ValueError(f"{name}: without it the header's name is looked for where the event file lies")
        if stack.lower() != "none":
            virtual.files(stack)
    chosen, _ = events.read(p.infile)
    root = _root(p.outroot)
    return _images(chosen, root, p, p.asolfile), {}


def merge_obs(p):
    names, asol = virtual.stack(p.infiles), virtual.stack(p.asolfiles)
    if any(len(virtual.files(stack)) < len(names) for stack in (p.asolfiles, p.badpixfiles, p.maskfiles)):
        raise ValueError("asolfiles, badpixfiles, maskfiles: one for each of infiles")
    root = _root(p.outroot)
    observed = [events.read(name)[0] for name in names]
    observed = [reproject(one, observed[0].wcs) for one in observed]
    if not p.xygrid:
        p.xygrid = _common_grid(observed, p.binsize or 8)
    written, parts = [], {}
    for one in observed:
        obsid = one.header["OBS_ID"]
        own = f"{root}{obsid}_"
        written.append(events.write(f"{own}reproj_evt.fits", one, clobber=p.clobber))
        aspect = ",".join(path for path in asol if _is_of(path, obsid))
        made = _images(one, own, p, aspect)
        written += made
        for path in made:
            if path.suffix != ".fov" and not path.name.endswith("_flux.img"):
                parts.setdefault(path.name.removeprefix(Path(own).name), []).append(path)
    for key, paths in parts.items():
        images = np.array([fits.getdata(path) for path in paths])
        if key.endswith("psfmap"):
            if p.psfmerge != "exptime":
                raise ValueError(f"psfmerge={p.psfmerge} is not in the double")
            joined = np.average(images, axis=0, weights=[one.header["EXPOSURE"] for one in observed])
        else:
            joined = images.sum(axis=0)
        with fits.open(paths[0], memmap=False) as hdus:
            hdus[0].data = joined.astype(images.dtype)
            written.append(events.new(f"{root}{key}", clobber=p.clobber))
            write_fits(written[-1], hdus)
    return written, {}


def _common_grid(observed, step):
    """Grid around all observations, which are in one frame, as fluximage takes it."""
    ends = []
    for one in observed:
        lines = chip_outlines(measure_geometry(one, tuple(sorted(set(one.ccd_id.tolist()))))).values()
        corners = np.concatenate([line for outlines in lines for line in outlines])
        ends.append(world_to_pixel(one.wcs, *corners.T))
    axes = []
    for axis in (0, 1):
        low = 0.5 + step * np.floor((min(end[axis].min() for end in ends) - 60) / step)
        n = int(np.ceil((max(end[axis].max() for end in ends) + 60 - low) / step))
        axes.append(f"{low}:{low + n * step}:{step}")
    return ",".join(axes)


def _is_of(path, obsid):
    with fits.open(path) as hdus:
        return str(hdus[1].header["OBS_ID"]) == str(obsid)


def _root(outroot):
    if " " in outroot or not Path(outroot).is_absolute():
        raise ValueError(f"outroot '{outroot}': a blank in it, or relative")
    folder = Path(outroot) if outroot.endswith("/") else Path(outroot).parent
    folder.mkdir(parents=True, exist_ok=True)
    return outroot if outroot.endswith("/") else f"{outroot}_"


def _images(chosen, root, p, asolfile):
    """Field of view, and images of each band, of an observation."""
    live = live_times(chosen.header, chosen.gti, str(chosen.path))
    chips = tuple(sorted(chip for chip in set(chosen.ccd_id.tolist()) if live.get(chip)))
    geometry = measure_geometry(chosen, chips)
    geometry = with_aspect(geometry, virtual.files(asolfile))
    grid = _grid(chosen.wcs, p.xygrid or _common_grid([chosen], p.binsize or 8))
    axis = chosen.header["RA_PNT"], chosen.header["DEC_PNT"]
    theta = off_axis_arcmin(*grid.centres(), *axis)
    # every chip has good times and an area of its own
    seen = {c: live[c] * live_fraction(geometry.of_chips((c,)), grid, {c: chosen.gti[c]}) for c in chips}
    if p.units != "default":
        raise ValueError(f"units={p.units} is not in the double")
    fov = events.new(f"{root}{chosen.header['OBS_ID']}.fov", clobber=p.clobber)
    write_fov(fov, chip_outlines(geometry), chosen.wcs, chosen.header)
    written = [fov]
    for label, low, high, energy in _bands(p.bands):
        in_band = chosen.select(chosen.in_band((1e3 * low, 1e3 * high)))
        counts = _binned(in_band, grid)
        expmap = vignetting([energy], theta.ravel())[0].reshape(theta.shape)
        expmap = expmap * sum(mirrors.area(energy, [chip]) * seen[chip] for chip in chips)
        suffix = ""
        if p.expmapthresh:
            suffix = "_thresh"
            least = _threshold(p.expmapthresh, expmap)
            counts = np.where(expmap < least, 0, counts)
            expmap = np.where(expmap < least, 0.0, expmap)
        name = f"{root}{label}"
        unit = "cm**2 s count photon**-1"
        for path, values, of in (
            (f"{name}{suffix}.img", counts, "count"),
            (f"{name}{suffix}.expmap", expmap.astype(np.float32), unit),
            (f"{name}_flux.img", np.divide(counts, expmap, out=np.zeros(grid.shape), where=expmap > 0), ""),
        ):
            written.append(_write_image(events.new(path, clobber=p.clobber), values, grid, chosen, of))
            fits.setval(written[-1], "ENERGY", value=energy)
        if p.psfecf:
            psf = _psf(theta, p.psfecf)
            written.append(
                _write_image(
                    events.new(f"{name}{suffix}.psfmap", clobber=p.clobber), psf, grid, chosen, "arcsec"
                )
            )
    return written


def _bands(text):
    for one in text.split(","):
        if one in _BANDS:
            yield (one, *_BANDS[one])
        else:
            parts = one.split(":")
            if len(parts) != 3:
                raise ValueError(f"band '{one}' is no lo:hi:energy")
            low, high, energy = map(float, parts)
            if not low < energy < high:
                raise ValueError(f"band '{one}': the energy is not between its ends")
            yield f"{parts[0]}-{parts[1]}", low, high, energy


def _threshold(text, expmap):
    return expmap.max() * float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _grid(frame, xygrid):
    """Grid of ``x0:x1:dx,y0:y1:dy`` in sky pixels, where dx may be ``#n``."""
    axes = xygrid.split(",")
    if len(axes) != 2:
        raise ValueError(f"xygrid '{xygrid}' is not x0:x1:dx,y0:y1:dy")
    bounds = []
    for axis in axes:
        low, high, step = axis.split(":")
        low, high = float(low), float(high)
        step = (high - low) / int(step[1:]) if step.startswith("#") else float(step)
        n = (high - low) / step
        if n < 1 or abs(n - round(n)) > 1e-6:
            raise ValueError(f"xygrid '{xygrid}': not a whole number of pixels")
        bounds.append((low, step, round(n)))
    (x0, dx, nx), (y0, dy, ny) = bounds
    return _sky_grid(frame, x0, y0, dx, dy, (ny, nx))


def _sky_grid(frame, x0, y0, dx, dy, shape):
    wcs = frame.deepcopy()
    wcs.wcs.cdelt = frame.wcs.cdelt * [dx, dy]
    wcs.wcs.crpix = (frame.wcs.crpix - [x0, y0]) / [dx, dy] + 0.5
    wcs.wcs.set()
    return SkyGrid(wcs, shape, _SKY_ARCSEC * dx)


def _binned(chosen, grid):
    row, col = grid.index_of(chosen.wcs, chosen.x, chosen.y)
    inside = row >= 0
    flat = np.bincount(row[inside] * grid.shape[1] + col[inside], minlength=grid.shape[0] * grid.shape[1])
    return flat.reshape(grid.shape).astype(np.int32)


def _write_image(path, values, grid, chosen, unit):
    header = grid.header(chosen.wcs)
    for keyword in ("TELESCOP", "INSTRUME", "DETNAM", "OBS_ID", "EXPOSURE", "RA_PNT", "DEC_PNT", "ROLL_PNT"):
        if keyword in chosen.header:
            header[keyword] = chosen.header[keyword]
    header["BUNIT"] = unit
    write_fits(path, fits.HDUList([fits.PrimaryHDU(values, header)]))
    return path


def _psf(theta, ecf):
    """Radius [arcsec] that holds a share of a Gaussian point source."""
    return psf_r90_arcsec(theta) / R90_PER_SIGMA * np.sqrt(-2.0 * np.log(1.0 - ecf))


def _grid_of(header, shape):
    from astropy.wcs import WCS

    wcs = WCS(header)
    return SkyGrid(wcs, shape, abs(wcs.wcs.cdelt[0]) * 3600)


def wavdetect(p):
    """Point sources by the package's own detection, and the cluster's core, which wavdetect finds too."""
    if not all(float(scale) > 0 for scale in p.scales.split()):
        raise ValueError(f"scales '{p.scales}'")
    with fits.open(virtual.existing(p.infile)) as hdus:
        header, counts = hdus[0].header, hdus[0].data.astype(float)
    expmap = fits.getdata(virtual.existing(p.expfile)).astype(float)
    psf = fits.getdata(virtual.existing(p.psffile)).astype(float)
    if not counts.shape == expmap.shape == psf.shape:
        raise OSError("image, exposure map and PSF map are of different sizes")
    grid = _grid_of(header, counts.shape)
    sources = detect_sources(counts, expmap, psf / grid.pixel_scale_arcsec * R90_PER_SIGMA)
    peak = emission_peak(counts, expmap)
    found = [(s.col, s.row, s.radius, s.radius, 0.0, s.counts) for s in sources]
    found.append((float(peak[1]), float(peak[0]), 9.0, 6.0, 20.0, float(counts.sum())))
    step = grid.pixel_scale_arcsec / _SKY_ARCSEC
    to_sky = [
        (header["CRVAL1P"] + (col + 1 - header["CRPIX1P"]) * header["CDELT1P"],
         header["CRVAL2P"] + (row + 1 - header["CRPIX2P"]) * header["CDELT2P"])
        for col, row, *_ in found
    ]  # fmt: skip
    lines = [
        f"ellipse({x:.6g},{y:.6g},{a * step:.5g},{b * step:.5g},{angle:.5g})"
        for (x, y), (_, _, a, b, angle, _) in zip(to_sky, found, strict=True)
    ]
    ra, dec = grid.wcs.wcs_pix2world([f[0] + 1 for f in found], [f[1] + 1 for f in found], 1)
    columns = {
        "RA": ra, "DEC": dec, "X": [x for x, _ in to_sky], "Y": [y for _, y in to_sky],
        "NET_COUNTS": [f[5] for f in found], "SRC_SIGNIFICANCE": [10.0] * len(found),
        "ROTANG": [f[4] for f in found], "PSFRATIO": [1.0] * len(sources) + [9.0],
    }  # fmt: skip
    table = fits.BinTableHDU.from_columns(
        [
            *(fits.Column(name, "1D", array=np.asarray(v)) for name, v in columns.items()),
            fits.Column("R", "2D", array=np.array([[f[2] * step, f[3] * step] for f in found])),
            fits.Column("SHAPE", "7A", array=["ellipse"] * len(found)),
            fits.Column("COMPONENT", "1J", array=np.arange(1, len(found) + 1)),
        ],
        name="SRCLIST",
    )
    written = [
        events.new(path, clobber=p.clobber) for path in (p.outfile, p.scellfile, p.imagefile, p.defnbkgfile)
    ]
    write_fits(written[0], fits.HDUList([fits.PrimaryHDU(), table]))
    for path in written[1:]:
        write_fits(path, fits.HDUList([fits.PrimaryHDU(np.zeros_like(counts), header)]))
    if p.regfile:
        written.append(events.new(p.regfile, clobber=p.clobber))
        written[-1].write_text("# Region file format: CIAO version 1.0\n" + "\n".join(lines) + "\n")
    return written, {}
