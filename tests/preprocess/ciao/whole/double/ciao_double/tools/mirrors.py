"""The double's mirrors and chips: those of the simulator, so that nothing here is Chandra's own."""

import numpy as np

from ciao_double import state
from pyxt_hpc.chandra.kinds import kind_of_all
from pyxt_hpc.chandra.ogip.response import Arf
from pyxt_hpc.simulate.acis import instrument


def on_axis(chips):
    """ARF on the axis, of chips of one kind: back-illuminated ones see more below 2 keV, by the settings."""
    kind = kind_of_all(chips)
    if kind is None:
        raise ValueError(f"chips of both kinds, {sorted(chips)}: their areas cannot be joined")
    arf = instrument.on_axis_arf()
    return Arf(arf.energy_lo, arf.energy_hi, arf.area * (bi_gain(arf) if kind == "BI" else 1.0))


def bi_gain(arf):
    """How much more a back-illuminated chip sees than a front-illuminated one."""
    middle = 0.5 * (arf.energy_lo + arf.energy_hi)
    gain = state.settings().get("bi_gain", 1.0)
    return 1.0 + (gain - 1.0) * np.exp(-middle)


def area(energy_keV, chips):
    """Area [cm^2] at an energy."""
    arf = on_axis(chips)
    return float(np.interp(energy_keV, 0.5 * (arf.energy_lo + arf.energy_hi), arf.area))
