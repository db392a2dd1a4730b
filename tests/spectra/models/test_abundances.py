"""Abundance tables: published values by name, and a list for a wrong name."""

import numpy as np
import pytest

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.spectra.models.abundances import abundances, load_abundances


def test_published_values():
    # logarithms with H = 12: Anders & Grevesse 1989, Asplund et al. 2009
    for table, log_iron, log_oxygen in (("angr", 7.67, 8.93), ("aspl", 7.50, 8.69)):
        assert abundances(table)[25] == pytest.approx(10 ** (log_iron - 12), rel=0.01)
        assert abundances(table)[7] == pytest.approx(10 ** (log_oxygen - 12), rel=0.01)
    # Wilms et al. 2000, table 2: oxygen 490 ppm, nothing for lithium
    assert abundances("wilm")[7] == 4.9e-4
    assert abundances("wilm")[2] == 0.0


def test_every_table_is_complete():
    assert {"angr", "aneb", "feld", "grsa", "wilm", "lodd", "aspl"} <= set(load_abundances())
    for values in load_abundances().values():
        assert values.shape == (30,)
        assert values[0] == 1.0
        assert np.all(values >= 0)
        assert not values.flags.writeable


def test_unknown_table_is_answered_with_a_list():
    with pytest.raises(ConfigError, match=r"'solar'.*angr, aneb"):
        abundances("solar")
