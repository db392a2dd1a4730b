"""Stage 3: what is supplied is checked and put where the fits take it from, once."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pyxt_hpc.bundle.file import read_bundle
from pyxt_hpc.chandra.ogip.response import Arf
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf, write_arf, write_rmf
from pyxt_hpc.errors import DamagedFile, MissingInput, ResponseMismatch
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.crop_data import crop_data
from pyxt_hpc.preprocess.generate_responses import generate_responses
from pyxt_hpc.preprocess.process_data import process_data
from pyxt_hpc.preprocess.remove_sources import remove_sources


@pytest.fixture(scope="module")
def cleaned(copy_after_stage_2: Callable, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return copy_after_stage_2(tmp_path_factory.mktemp("cleaned"))


def test_files_facts_and_only_what_changed(cleaned: Any) -> None:
    config, layout = cleaned.config, cleaned.layout
    outcome = generate_responses(config, layout)
    assert outcome.made
    assert list(outcome.observations) == ["1", "22"]
    for obsid, facts in outcome.observations.items():
        ours, supplied = read_arf(layout.response(obsid, "arf"), ours=True), layout.supplied_arf(obsid)
        np.testing.assert_array_equal(ours.area, read_arf(supplied).area)
        ours, supplied = read_rmf(layout.response(obsid, "rmf"), ours=True), layout.supplied_rmf(obsid)
        np.testing.assert_array_equal(ours.matrix, read_rmf(supplied).matrix)
        assert facts["area_cm2"] == pytest.approx(300.0)
        assert (facts["channels"], facts["energies"]) == (1024, 107)
        assert facts["arf"] == str(layout.supplied_arf(obsid))
    assert not generate_responses(config, layout).made

    other = layout.response("1", "arf").stat().st_mtime_ns
    area = read_arf(layout.supplied_arf("22"))
    write_arf(layout.supplied_arf("22"), Arf(area.energy_lo, area.energy_hi, 2 * area.area))
    outcome = generate_responses(config, layout)
    assert outcome.made
    assert outcome.observations["22"]["area_cm2"] == pytest.approx(600.0)
    assert read_arf(layout.response("22", "arf")).area[0] == pytest.approx(600.0)
    assert layout.response("1", "arf").stat().st_mtime_ns == other


@pytest.mark.parametrize("suffix", ["arf", "rmf"])
def test_a_changed_byte_of_a_checked_response_is_not_believed(cleaned: Any, suffix: str) -> None:
    config, layout = cleaned.config, cleaned.layout
    generate_responses(config, layout)
    path = layout.response("22", suffix)
    good = path.read_bytes()
    damaged = bytearray(good)
    damaged[-2880] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DamagedFile, match=rf"acisI\.{suffix}: .*checksum.*generate-responses with --force"):
        crop_data(config, layout)
    assert generate_responses(config, layout, force=True).made
    crop_data(config, layout)


def test_a_wrong_checksum_of_a_supplied_file_is_said_once(
    single: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config, layout = single.config, single.layout
    supplied = [single.events("1"), layout.supplied_background("1")]
    supplied += [layout.supplied_arf("1"), layout.supplied_rmf("1")]
    for path in supplied:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1  # after the last number
        path.write_bytes(content)
    for stage in (process_data, remove_sources, generate_responses):
        stage(config, layout)
    said = [record.args[0] for record in caplog.records if "match its CHECKSUM" in record.msg]
    assert sorted(said) == sorted(supplied)


def test_supplied_files_that_are_compressed(single: Any, single_after_stage_4: Any) -> None:
    config, layout = single.config, single.layout
    for path in (layout.supplied_background, layout.supplied_arf, layout.supplied_rmf):
        plain = path("1")
        plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes(), 1))
        plain.unlink()
    for stage in (process_data, remove_sources, generate_responses, crop_data):
        stage(config, layout)
    packed, plain = read_bundle(layout.bundle), read_bundle(single_after_stage_4.layout.bundle)
    np.testing.assert_array_equal(packed.counts, plain.counts)
    np.testing.assert_array_equal(packed.background, plain.background)
    np.testing.assert_array_equal(packed.observations[0].arf.area, plain.observations[0].arf.area)


def test_the_area_is_not_taken_twice(cleaned: Any) -> None:
    config, layout = cleaned.config, cleaned.layout
    good = read_rmf(layout.supplied_rmf("1"))
    write_rmf(layout.supplied_rmf("1"), replace(good, matrix=300.0 * good.matrix))
    with pytest.raises(
        ResponseMismatch, match=r"1\.arf is an effective area, but \S*1\.rmf includes it already"
    ):
        generate_responses(config, layout)
    write_rmf(layout.supplied_rmf("1"), good)


def test_a_bad_response_leaves_the_former_one_and_is_asked_for_again(cleaned: Any) -> None:
    config, layout = cleaned.config, cleaned.layout
    generate_responses(config, layout)
    former, good = layout.response("1", "rmf").read_bytes(), read_rmf(layout.supplied_rmf("1"))
    write_rmf(layout.supplied_rmf("1"), replace(good, first_channel_number=0))
    for _ in range(2):  # a refusal is not taken for done
        with pytest.raises(ResponseMismatch, match=r"1\.rmf: its EBOUNDS are off by -15 eV"):
            generate_responses(config, layout)
    assert layout.response("1", "rmf").read_bytes() == former
    write_rmf(layout.supplied_rmf("1"), good)
    assert generate_responses(config, layout).made


def test_one_file_for_all_by_the_configuration(cleaned: Any) -> None:
    layout: Layout = cleaned.layout
    folder = layout.cluster_dir / "responses"
    folder.mkdir()
    rmf = read_rmf(layout.supplied_rmf("1"))
    write_rmf(folder / "all.rmf", rmf)
    for obsid, area in (("1", 100.0), ("22", 200.0)):
        write_arf(folder / f"acis_{obsid}.arf", Arf(rmf.energy_lo, rmf.energy_hi, np.full(107, area)))
    config = replace(cleaned.config, arf_files="responses/acis_{obsid}.arf", rmf_files="responses/all.rmf")
    facts = generate_responses(config, layout).observations
    assert [facts[obsid]["area_cm2"] for obsid in ("1", "22")] == pytest.approx([100.0, 200.0])
    assert facts["1"]["rmf"] == facts["22"]["rmf"] == str(folder / "all.rmf")
    with pytest.raises(MissingInput, match=r"2 missing: .*absent/1\.arf .*absent/22\.arf"):
        generate_responses(replace(config, arf_files="absent/{obsid}.arf"), layout)


def test_a_band_that_grows_is_checked_again(cleaned: Any) -> None:
    generate_responses(cleaned.config, cleaned.layout)
    wider = replace(cleaned.config, energy_max_keV=12.0)
    with pytest.raises(
        ResponseMismatch, match=r"1\.arf: energies 0\.30-11\.00 keV, but the band is 0\.7-12 keV"
    ):
        generate_responses(wider, cleaned.layout)


def test_before_stage_2(single: Any) -> None:
    with pytest.raises(MissingInput, match=r"acisI_clean\.fits \(pyxt-hpc remove-sources\)"):
        generate_responses(single.config, single.layout)
