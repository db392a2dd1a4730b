"""What images say about the observations that they were made from."""

from dataclasses import replace

from pyxt_hpc.bundle.header import observation_cards, total_exposure_s
from tests.bundle.test_bundle import small_bundle


def test_dates_are_those_of_the_first_and_the_last_observation() -> None:
    bundle = small_bundle()
    first, second = bundle.observations
    later = replace(first, date_obs="2012-01-02T03:04:05", date_end="2012-01-02T20:00:00")
    early = replace(second, date_obs="2000-01-01T12:00:00", date_end="2000-01-02T00:00:00", exposure_s=100.0)
    # chips of the other kind, exposed together with the first
    other = replace(later, dataset="1-BI", exposure_s=9000.0)
    dated = replace(bundle, name="A1795", observations=(later, other, early))
    cards = {name: card[0] for name, card in observation_cards(dated).items()}
    assert cards["OBJECT"] == "A1795"
    assert (cards["TELESCOP"], cards["INSTRUME"]) == ("CHANDRA", "ACIS")
    assert cards["OBS_ID"] == "1,20"
    assert cards["EXPOSURE"] == total_exposure_s(dated) == 9976.5
    assert cards["DATE-OBS"] == "2000-01-01T12:00:00"
    assert cards["DATE-END"] == "2012-01-02T20:00:00"
    assert cards["MJD-OBS"] == 51544.5  # J2000.0 is JD 2451545.0 TT
    assert cards["TIMESYS"] == "TT"


def test_dates_of_some_observations_only_are_not_those_of_all() -> None:
    bundle = small_bundle()
    known = replace(bundle.observations[0], date_obs="2012-01-02T03:04:05", date_end="2012-01-02T20:00:00")
    cards = observation_cards(replace(bundle, observations=(known, bundle.observations[1])))
    assert not {"DATE-OBS", "DATE-END", "MJD-OBS", "TIMESYS"} & set(cards)
