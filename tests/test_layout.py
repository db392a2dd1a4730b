"""Every path is below the cluster's folder, where ClusterPyXT has it, and all paths differ."""

from pathlib import Path

from pyxt_hpc.layout import Layout

EXPECTED = {
    "sources_reg": "A/sources.reg",
    "crop_reg": "A/combined/master_crop-ciaowcs.reg",
    "combined_mask": "A/combined/acisI_comb_mask.fits",
    "combined_counts": "A/combined/A_comb_ctsimage.fits",
    "scale_map": "A/acb/A_pype_scale_map.fits",
    "results": "A/acb/A_results.h5",
    "fits_csv": "A/acb/A_best_spectral_fits.csv",
}
ARGUMENTS = {
    "part_results": (3, 16),
    "fits_csv": ("best",),
    "good_times": ("123", "hiE"),
    "light_curve": ("123", "hiE"),
    "response": ("123", "arf"),
    "supplied_response": ("{obsid}/pattern_{obsid}.arf", "123", "123-FI"),
    "step_record": ("crop-data",),
    "call_record": ("process-data", "123", "dmcopy-0123abcd"),
    "call_script": ("process-data", "123"),
}


def paths() -> dict[str, Path]:
    """Call every public path of the layout."""
    layout = Layout(Path("data/A"), "A")
    found = {}
    for name in dir(layout):
        if name.startswith("_") or name in (
            "of",
            "picture",
            "masked_map",
            "ds9_regions",
            "cluster_dir",
            "name",
            "all_part_results",
        ):
            continue
        value = getattr(layout, name)
        found[name] = value if isinstance(value, Path) else value(*ARGUMENTS.get(name, ("123",)))
    return found


def test_paths_are_distinct_and_inside() -> None:
    found = paths()
    assert len(set(found.values())) == len(found)
    assert all(path.is_relative_to("data/A") for path in found.values())


def test_names_of_clusterpyxt_are_kept() -> None:
    found = paths()
    for name, path in EXPECTED.items():
        assert found[name] == Path("data") / path


def test_files_of_a_dataset_have_its_kind_in_the_name() -> None:
    layout = Layout(Path("A"), "A")
    folder = Path("A/123/analysis")
    assert layout.response("123", "arf") == folder / "globalresponse/acisI.arf"
    assert layout.response("123-BI", "arf") == folder / "globalresponse/acisI-BI.arf"
    assert layout.response_region("123-FI") == folder / "acisI_region_0-FI.reg"
    for pattern, plain, part in (
        ("{obsid}/{obsid}.arf", "123/123.arf", "123/123-FI.arf"),
        ("spectra/{obsid}_src.arf.gz", "spectra/123_src.arf.gz", "spectra/123-FI_src.arf.gz"),
        ("{obsid}/src.arf.gz", "123/src.arf.gz", "123/src-FI.arf.gz"),
        ("all.rmf", "all.rmf", "all-FI.rmf"),
    ):
        assert layout.supplied_response(pattern, "123", "123") == Path("A") / plain
        assert layout.supplied_response(pattern, "123", "123-FI") == Path("A") / part


def test_supplied_files_may_be_compressed(tmp_path: Path) -> None:
    layout = Layout(tmp_path, "A")
    layout.observation("123").mkdir()
    for path in (layout.supplied_background, layout.supplied_gti, layout.supplied_arf, layout.supplied_rmf):
        plain = path("123")
        packed = plain.with_name(f"{plain.name}.gz")
        packed.touch()
        assert path("123") == packed
        plain.touch()
        assert path("123") == plain
    (tmp_path / "all-FI.rmf.gz").touch()
    assert layout.supplied_response("all.rmf", "123", "123-FI") == tmp_path / "all-FI.rmf.gz"
    assert layout.supplied_response("all.rmf", "123", "123-BI") == tmp_path / "all-BI.rmf"


def test_picture_lies_beside_its_map() -> None:
    layout = Layout(Path("data/A"), "A")
    assert layout.picture(layout.map("temperature")) == Path("data/A/main_output/A_temperature_map.png")


def test_parts_are_found_in_their_order(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "A[1]", "A[1]")
    made = [layout.part_results(i, 12) for i in range(1, 13)]
    layout.acb.mkdir(parents=True)
    for path in [layout.results, *reversed(made)]:
        path.touch()
    assert layout.all_part_results() == made
