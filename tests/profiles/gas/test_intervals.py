"""What is known of shells by their draws."""

from dataclasses import fields
from types import SimpleNamespace
from typing import cast

import numpy as np

from pyxt_hpc.profiles.gas.deprojection import Deprojection
from pyxt_hpc.profiles.gas.intervals import intervals_of
from pyxt_hpc.profiles.gas.thermodynamics import Gas


def test_shell_whose_draws_found_something_else_has_no_value() -> None:
    names = [one.name for one in fields(Gas)]
    draws = np.random.default_rng(1).normal(2.0, 0.1, (100, 3))
    best = np.array([2.0, 1.0, 2.0])  # of the second shell far from all draws
    no_emission = np.zeros(3, bool)
    fit = cast(Deprojection, SimpleNamespace(no_emission=no_emission, no_emission_drawn=draws < 0))
    gas = [Gas(**dict.fromkeys(names, values)) for values in (best, draws)]
    shells, status = intervals_of(*gas, fit, None)
    assert status == ("ok", "not determined", "ok, kT also of the gas beyond")
    for shell in shells.values():
        assert np.isfinite(shell.value).tolist() == [True, False, True]
        assert np.all(np.isfinite(shell.low))


def test_shell_without_emission_has_limits_and_the_mass_within() -> None:
    names = [one.name for one in fields(Gas)]
    draws = np.random.default_rng(2).normal(2.0, 0.1, (100, 3))
    gas = [Gas(**dict.fromkeys(names, values)) for values in (np.full(3, 2.0), draws)]
    drawn = np.zeros((100, 3), bool)
    drawn[:40, 1] = True
    fit = cast(Deprojection, SimpleNamespace(no_emission=np.zeros(3, bool), no_emission_drawn=drawn))
    shells, status = intervals_of(*gas, fit, None)
    assert status[1] == "no significant emission"
    assert np.isnan([shells["kT"].value[1], shells["n_e"].value[1], shells["n_e"].low[1]]).all()
    assert shells["n_e"].high[1] == np.percentile(draws[:, 1], 84.0)
    # the mass within a radius is that of all draws
    assert shells["gas_mass"].low[1] == np.percentile(draws[:, 1], 15.865)
