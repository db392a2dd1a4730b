"""Texts for messages."""

from pyxt_hpc.files.quoting import several


def test_one_is_no_plural() -> None:
    assert [several(n, "region") for n in (0, 1, 2)] == ["0 regions", "1 region", "2 regions"]
