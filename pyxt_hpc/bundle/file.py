"""Reading and writing of the bundle: one HDF5 file with a checksum.

`ROOT_ATTRIBUTES`, `OBSERVATION_ATTRIBUTES`, `ROOT_DATASETS` and `OBSERVATION_DATASETS` define the layout;
writing, reading, checks and checksum follow them. Observation i, from 0, is the group ``observation_<i>``.
"""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle.data import Bundle, BundleObservation
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.errors import DamagedFile, ForeignProduct, MissingInput, is_own_defect
from pyxt_hpc.files.hdf5 import open_hdf5
from pyxt_hpc.files.quoting import one_line, quoted, shown
from pyxt_hpc.files.writing import check_regular, replacing
from pyxt_hpc.provenance import fingerprint, software

SCHEMA = "pyxt_hpc bundle"
SCHEMA_VERSION = 4
# Since 1.10, HDF5 has checksums of its metadata, so that damage causes an error, not a crash.
_FORMAT = ("v110", "v110")

# name: (type, meaning)
ROOT_ATTRIBUTES: dict[str, tuple[type, str]] = {
    "name": (str, "the cluster"),
    "redshift": (float, ""),
    "nH": (float, "absorbing column [1e22 cm^-2]"),
    "abundance": (float, "[solar]"),
    "absorption": (str, "XSPEC's name of the absorption model"),
    "abundance_table": (str, "XSPEC's name of the abundance table"),
    "energy_min_keV": (float, "lower edge of the band of events and images"),
    "energy_max_keV": (float, "upper edge"),
    "wcs_header": (str, "FITS header of the images' WCS, cards of 80 characters"),
    "pixel_scale_arcsec": (float, "side of a pixel"),
    "left_out": (str, "chips in use that are not in the bundle, and why"),
}
OBSERVATION_ATTRIBUTES: dict[str, tuple[type, str]] = {
    "obsid": (str, ""),
    "dataset": (str, "name: the ObsID, with -FI or -BI where the observation has chips of both kinds"),
    "first_row": (int, "row of the cluster's images, from 0, where those of the observation begin"),
    "first_col": (int, "column, likewise"),
    "exposure_s": (float, "live time of the chip with most of it, flares out [s]"),
    "background_scale": (float, "expected counts in the observation per count of the background file"),
    "first_channel_number": (int, "number of the PI channel with index 0"),
    "area_of": (str, "what the area of every pixel was taken from"),
    "date_obs": (str, "beginning of the observation, TT; empty if its events do not say"),
    "date_end": (str, "its end"),
}
_MAY_BE_UNKNOWN = frozenset({"date_obs", "date_end"})
"""Attributes without effect on results, which bundles of earlier versions do not have."""

# name: (dtype, axes, unit or meaning); axes with the same letter must have the same length in the cluster's
# images, and in each observation
ROOT_DATASETS: dict[str, tuple[str, str, str]] = {
    "counts": ("i4", "yx", "count, all observations"),
    "background": ("f4", "yx", "count, scaled to the observations"),
    "background_variance": ("f4", "yx", "count^2, sum of scale^2 x background counts"),
    "mask": ("u1", "yx", "1 where any observation is live"),
}
OBSERVATION_DATASETS: dict[str, tuple[str, str, str]] = {
    "mask": ("u1", "yx", "1 where live: on a chip, not in a source, in the crop"),
    "vignetting_keV": ("f8", "v", "keV, where the next is known"),
    "vignetting": ("f4", "vyx", "effective area x live time, relative to those of arf_area, exposure_s"),
    "event_indptr": ("i8", "p", "first event of every pixel, row-major"),
    "event_channel": ("i2", "e", "0-based index of the PI channel"),
    "background_indptr": ("i8", "p", "as event_indptr, of the background file"),
    "background_channel": ("i2", "b", "as event_channel, of the background file"),
    "arf_energy_lo": ("f8", "a", "keV"),
    "arf_energy_hi": ("f8", "a", "keV"),
    "arf_area": ("f8", "a", "cm^2"),
    "rmf_energy_lo": ("f8", "r", "keV"),
    "rmf_energy_hi": ("f8", "r", "keV"),
    "rmf_n_group": ("i4", "r", "groups of each energy"),
    "rmf_first_channel": ("i4", "g", "0-based index of each group's first channel"),
    "rmf_n_channel": ("i4", "g", "channels of each group"),
    "rmf_matrix": ("f8", "m", "redistribution, groups one after the other"),
    "rmf_channel_lo_keV": ("f8", "c", "keV, nominal"),
    "rmf_channel_hi_keV": ("f8", "c", "keV, nominal"),
}


def to_arrays(bundle: Bundle) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Small picklable values, and all arrays by their paths in the file, without copies."""
    meta: dict[str, Any] = {name: getattr(bundle, name) for name in ROOT_ATTRIBUTES}
    meta["fingerprint"] = bundle.fingerprint
    meta["observations"] = []
    arrays: dict[str, NDArray[Any]] = {name: getattr(bundle, name) for name in ROOT_DATASETS}
    for i, observation in enumerate(bundle.observations):
        meta["observations"].append(
            {name: _part(observation, name) for name in OBSERVATION_ATTRIBUTES},
        )
        arrays |= {f"observation_{i}/{name}": _part(observation, name) for name in OBSERVATION_DATASETS}
    return meta, arrays


def from_arrays(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Bundle:
    """Inverse of `to_arrays`, without copies."""
    observations = []
    for i, attributes in enumerate(meta["observations"]):
        own: dict[str, Any] = {name: arrays[f"observation_{i}/{name}"] for name in OBSERVATION_DATASETS}
        arf = Arf(**_pop_prefixed(own, "arf_"))
        rmf = Rmf(**_pop_prefixed(own, "rmf_"), first_channel_number=attributes["first_channel_number"])
        scalars = {
            name: attributes[name] for name in OBSERVATION_ATTRIBUTES if name != "first_channel_number"
        }
        observations.append(BundleObservation(**scalars, **own, arf=arf, rmf=rmf))
    common: dict[str, Any] = {name: meta[name] for name in ROOT_ATTRIBUTES}
    common |= {name: arrays[name] for name in ROOT_DATASETS}
    return Bundle(
        **common,
        observations=tuple(observations),
        fingerprint=meta["fingerprint"],
    )


def stamped(bundle: Bundle) -> Bundle:
    """The bundle with its fingerprint, the SHA-256 of all its other contents."""
    return replace(bundle, fingerprint=_checksum(*to_arrays(bundle)))


def write_bundle(path: Path, bundle: Bundle) -> Bundle:
    """Write a bundle atomically.

    Returns
    -------
    Bundle
        The bundle with its fingerprint, as `read_bundle` returns it.

    Raises
    ------
    ValueError
        Shapes or types do not agree with the layout (a defect of the caller).
    DamagedFile, DiskFull
        As `replacing`.
    """
    path = Path(path)
    meta, arrays = to_arrays(bundle)
    if problem := _disagreement(meta, arrays):
        raise ValueError(f"bundle not written: {problem}")
    meta["fingerprint"] = _checksum(meta, arrays)
    with replacing(path) as temporary:
        temporary.write_bytes(_file_image(meta, arrays))
    return replace(bundle, fingerprint=meta["fingerprint"])


def _file_image(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> memoryview:
    # In memory, because HDF5 ends the process if the disk is full when it closes a file; without HDF5's core
    # driver, because its images have a wrong checksum before HDF5 2.0.
    image = io.BytesIO()
    with h5py.File(image, "w", libver=_FORMAT) as file:
        file.attrs["schema"] = _stored(SCHEMA)
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["software"] = _stored(software())
        file.attrs["fingerprint"] = _stored(meta["fingerprint"])
        file.attrs["n_observations"] = len(meta["observations"])
        for name in ROOT_ATTRIBUTES:
            file.attrs[name] = _stored(meta[name])
        for i, attributes in enumerate(meta["observations"]):
            group = file.create_group(f"observation_{i}")
            for name, value in attributes.items():
                group.attrs[name] = _stored(value)
        for name, array in arrays.items():
            # Only images, and the first events of their pixels, become much smaller by compression.
            is_image = "y" in _layout(name)[1] or name.endswith("indptr")
            packing = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            dataset = file.create_dataset(name, data=array, **(packing if is_image else {}))
            dataset.attrs["meaning"] = _stored(_layout(name)[2])
    return image.getbuffer()


def read_bundle(path: Path, *, made_by: str = "pyxt-hpc crop-data -c CONFIG") -> Bundle:
    """Read a bundle and verify schema, shapes and checksum.

    Parameters
    ----------
    path
        File of the bundle.
    made_by
        Command that makes it, for the message if it is missing.

    Raises
    ------
    MissingInput
        There is no such file.
    DamagedFile
        The file is not HDF5, is truncated, or was changed after it was written.
    ForeignProduct
        The file is HDF5 of another kind, or a bundle of another version.
    """
    path = Path(path)
    if not check_regular(path):
        raise MissingInput(f"{path} is missing: `{made_by}` makes it")
    again = "make it again with `pyxt-hpc crop-data -c CONFIG --force`, or copy it again"
    try:
        with open_hdf5(path) as file:
            schema, version = (_restored(file.attrs.get(key)) for key in ("schema", "schema_version"))
            if schema != SCHEMA or version != SCHEMA_VERSION:
                raise ForeignProduct(
                    f"{path}: schema is {quoted(schema)} version {shown(version)}, expected {SCHEMA!r} "
                    f"version {SCHEMA_VERSION}; {again}"
                )
            meta, arrays = _read(file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        if is_own_defect(error):
            raise
        raise DamagedFile(f"{path}: damaged or not HDF5 ({one_line(str(error))}); {again}") from None
    if problem := _disagreement(meta, arrays):
        raise DamagedFile(f"{path}: {problem}; {again}")
    if _checksum(meta, arrays) != meta["fingerprint"]:
        raise DamagedFile(f"{path}: the checksum differs from the one stored at writing; {again}")
    return from_arrays(meta, arrays)


def _read(file: h5py.File) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    needed = OBSERVATION_ATTRIBUTES.keys() - _MAY_BE_UNKNOWN
    groups = [file[f"observation_{i}"] for i in range(int(file.attrs["n_observations"]))]
    meta: dict[str, Any] = {name: kind(_attribute(file, name)) for name, (kind, _) in ROOT_ATTRIBUTES.items()}
    meta["fingerprint"] = str(_attribute(file, "fingerprint"))
    meta["observations"] = [
        {
            name: kind(_attribute(group, name)) if name in needed or name in group.attrs else kind()
            for name, (kind, _) in OBSERVATION_ATTRIBUTES.items()
        }
        for group in groups
    ]
    arrays = {name: file[name][()] for name in ROOT_DATASETS}
    for i, group in enumerate(groups):
        arrays |= {f"observation_{i}/{name}": group[name][()] for name in OBSERVATION_DATASETS}
    return meta, arrays


def _attribute(of: h5py.Group, name: str) -> Any:
    if name not in of.attrs:  # HDF5's own message does not always name it
        raise ValueError(f"no attribute {name}")
    return _restored(of.attrs[name])


def _stored(value: Any) -> Any:
    # Text has fixed length, because HDF5 can crash on damaged pointers to text of variable length. Such
    # text cannot be empty.
    return np.bytes_(value.encode() or b" ") if isinstance(value, str) else value


def _restored(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    return "" if value == b" " else value.decode()


def _part(observation: BundleObservation, name: str) -> Any:
    """Value of an attribute or dataset of the layout, by name."""
    if name == "first_channel_number":
        return observation.rmf.first_channel_number
    for prefix in ("arf", "rmf"):
        if name.startswith(f"{prefix}_"):
            return getattr(getattr(observation, prefix), name[len(prefix) + 1 :])
    return getattr(observation, name)


def _pop_prefixed(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name[len(prefix) :]: values.pop(name) for name in list(values) if name.startswith(prefix)}


def _layout(name: str) -> tuple[str, str, str]:
    group, _, own = name.rpartition("/")
    return OBSERVATION_DATASETS[own] if group else ROOT_DATASETS[own]


def _disagreement(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Description of a contradiction to the layout; empty if there is none."""
    if not meta["observations"]:
        return "there is no observation"
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        dtype, axes, _ = _layout(name)
        if array.dtype != np.dtype(dtype):
            return f"{name} is {array.dtype}, expected {np.dtype(dtype)}"
        if array.ndim != len(axes):
            return f"{name} has {array.ndim} axes, expected {len(axes)}"
        for axis, size in zip(axes, array.shape, strict=True):
            key = f"{name.rpartition('/')[0]}/{axis}"
            if sizes.setdefault(key, size) != size:
                return (
                    f"{name} has the shape {array.shape}: {size} does not agree with {sizes[key]} elsewhere"
                )
    for i, attributes in enumerate(meta["observations"]):
        n_row, n_col, n_first, n_channel = (sizes[f"observation_{i}/{axis}"] for axis in "yxpc")
        if n_first != n_row * n_col + 1:
            return f"observation_{i}: indptr has {n_first} entries for an image of {n_row} x {n_col}"
        for name, n, of_all in (("first_row", n_row, sizes["/y"]), ("first_col", n_col, sizes["/x"])):
            if not 0 <= attributes[name] <= of_all - n:
                return (
                    f"observation_{i}: {name} is {attributes[name]} for {n} of the {of_all} pixels of the "
                    "cluster's images"
                )
        for kind in ("event", "background"):
            indptr = arrays[f"observation_{i}/{kind}_indptr"]
            channel = arrays[f"observation_{i}/{kind}_channel"]
            if indptr[0] != 0 or indptr[-1] != len(channel) or np.any(np.diff(indptr) < 0):
                return f"observation_{i}/{kind}_indptr does not index {kind}_channel"
            if len(channel) and not 0 <= channel.min() <= channel.max() < n_channel:
                return f"observation_{i}/{kind}_channel leaves the {n_channel} channels of the RMF"
    return ""


def _checksum(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    known = {k: v for k, v in meta.items() if k != "fingerprint"}
    known["observations"] = [
        {k: v for k, v in one.items() if v or k not in _MAY_BE_UNKNOWN} for one in meta["observations"]
    ]
    return fingerprint({"meta": known} | dict(arrays))
