"""Libraries are examined by what is imported of them, not by their names in the package index."""

import importlib.metadata

import pytest

from pyxt_hpc.doctor import Verdict, libraries


def require(monkeypatch: pytest.MonkeyPatch, *wanted: str) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: list(wanted))


def test_a_library_may_be_imported_by_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    require(monkeypatch, "Pillow>=10.3", "numpy>=2")
    finding = libraries.required()
    assert finding.verdict is Verdict.OK, finding.found
    assert f"illow {importlib.metadata.version('pillow')}" in finding.found


def test_one_that_is_not_installed_is_named_and_extras_are_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require(monkeypatch, "numpy>=2", "no-such-library", "no-such-tool; extra == 'test'")
    finding = libraries.required()
    assert finding.verdict is Verdict.BROKEN
    assert "no-such-library" in finding.found
    assert "numpy" not in finding.found
    assert "no-such-tool" not in finding.found
