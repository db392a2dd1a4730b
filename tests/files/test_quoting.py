"""Texts for messages."""

from pyxt_hpc.files.quoting import FEW_ALIKE, several, told_once


def test_one_is_no_plural() -> None:
    assert [several(n, "region") for n in (0, 1, 2)] == ["0 regions", "1 region", "2 regions"]


def test_texts_that_differ_in_numbers_only_are_told_once_if_there_are_many() -> None:
    often = [(str(n), f"acis{n}.fits: {n + 0.5} times too many") for n in range(60)]
    found = [("1", "another"), *often[:30], ("2", "another"), *often[30:]]
    first, second, many = told_once(found)
    assert (first, second) == (("1", "another"), ("2", "another"))
    assert many[0] == "0"
    assert many[1].startswith("acis0.fits: 0.5 times too many; likewise, with other numbers, for 1, 2, 3, ")
    assert many[1].endswith(", 58, 59")
    assert list(told_once(often[:FEW_ALIKE])) == often[:FEW_ALIKE]
