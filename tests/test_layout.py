"""Every path is below the cluster's folder, where ClusterPyXT has it, and no two coincide."""

import inspect
from pathlib import Path

from pyxt_hpc.layout import Layout

EXPECTED = {
    "sources_reg": "A/sources.reg",
    "crop_reg": "A/combined/master_crop-ciaowcs.reg",
    "combined_mask": "A/combined/acisI_comb_mask.fits",
    "combined_counts": "A/combined/A_comb_ctsimage.fits",
    "scale_map": "A/acb/A_pype_scale_map.fits",
    "results": "A/acb/A_results.h5",
}


def paths() -> dict[str, Path]:
    """Call every public path of the layout."""
    layout = Layout(Path("data/A"), "A")
    found = {}
    for name, member in inspect.getmembers(Layout):
        if name.startswith("_") or name in ("of", "picture", "cluster_dir", "name"):
            continue
        value = getattr(layout, name)
        found[name] = value if isinstance(member, property) else value("123")
    return found


def test_paths_are_distinct_and_inside() -> None:
    found = paths()
    assert len(set(found.values())) == len(found)
    assert all(path.is_relative_to("data/A") for path in found.values())


def test_names_of_the_ancestor_are_kept() -> None:
    found = paths()
    for name, path in EXPECTED.items():
        assert found[name] == Path("data") / path


def test_picture_lies_beside_its_map() -> None:
    layout = Layout(Path("data/A"), "A")
    assert layout.picture(layout.map("temperature")) == Path("data/A/main_output/A_temperature_map.png")
