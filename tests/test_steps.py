import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pyxt_hpc.errors import EmptySelection, PyxtError
from pyxt_hpc.steps import Facts, StageResult, Step, changed_since, run_if_outdated


class Work:
    """A step that copies a file and counts its runs."""

    def __init__(self, folder: Path, settings: dict | None = None) -> None:
        self.source, self.optional, self.product = (folder / name for name in ("in", "maybe", "out"))
        if not self.source.exists():
            self.source.write_text("a")
        self.step = Step(
            "copying",
            folder / "steps" / "copy.json",
            (self.source, self.optional),
            settings or {},
            (self.product,),
        )
        self.times = 0

    def make(self) -> Facts:
        self.times += 1
        self.product.write_text(self.source.read_text())
        return {"letters": len(self.source.read_text())}

    def do(self, force: bool = False) -> str | None:
        outcome = run_if_outdated(self.step, self.make, force=force)
        assert outcome.facts == {"letters": len(self.source.read_text())}
        return outcome.reason


def test_done_once(tmp_path: Path) -> None:
    work = Work(tmp_path)
    assert work.do() == "not done yet"
    assert work.do() is None
    assert work.times == 1
    assert work.do(force=True) == "asked for"
    assert work.times == 2


def test_files_whose_names_are_not_known_before(tmp_path: Path) -> None:
    """At least one file matches every pattern; all files that match are products."""
    work = Work(tmp_path)
    work.step = replace(work.step, folder=tmp_path / "made", patterns=("*.fits", "deep/*.lis"))
    names = ["a.fits", "b.fits", "deep/c.lis"]

    def make() -> Facts:
        for name in names:
            path = tmp_path / "made" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        return work.make()

    assert run_if_outdated(work.step, make).reason == "not done yet"
    assert run_if_outdated(work.step, make).reason is None
    (tmp_path / "made/b.fits").unlink()
    assert run_if_outdated(work.step, make).reason == "b.fits is missing"
    (tmp_path / "made/deep/c.lis").write_text("something else")
    assert "c.lis was changed" in str(run_if_outdated(work.step, make).reason)
    (tmp_path / "made/other.fits").touch()  # of another step or program
    assert run_if_outdated(work.step, make).reason is None
    names.remove("deep/c.lis")
    (tmp_path / "made/deep/c.lis").unlink()
    with pytest.raises(PyxtError, match=r"copying: .*deep/\*\.lis was not made"):
        run_if_outdated(work.step, make)


def test_done_again_when_anything_changes(tmp_path: Path) -> None:
    work = Work(tmp_path, {"edges": (1, 2)})
    work.do()
    assert work.do() is None  # tuples come back from the record as lists
    work.source.write_text("ab")
    assert work.do() == "in changed"
    work.optional.write_text("it was absent")
    assert work.do() == "maybe changed"
    other = Work(tmp_path, {"edges": (1, 3)})
    assert other.do() == "edges changed"
    other.product.unlink()
    assert other.do() == "out is missing"
    other.product.write_text("a longer text")
    assert "out was changed" in str(other.do())


@pytest.mark.parametrize("length", [1, 2**21])
def test_a_file_is_known_by_its_content(length: int, tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.source.write_text("a" * length)
    work.do()
    os.utime(work.source, (1, 1))
    assert work.do() is None
    work.source.write_text("b" * length)
    assert work.do() == "in changed"
    work.source.write_text("b" * (length + 1))
    assert work.do() == "in changed"


def test_a_large_file_of_the_same_size_and_time_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path)
    work.source.write_text("a" * 2**21)
    work.do()
    monkeypatch.setattr("pyxt_hpc.steps._content", lambda path: pytest.fail("was read"))
    assert work.step.outdated() is None


def test_records_of_former_versions_hold_by_size_and_time(tmp_path: Path) -> None:
    from pyxt_hpc.provenance import fingerprint

    work = Work(tmp_path)
    work.source.write_text("a" * 2**21)
    work.do()
    record = json.loads(work.step.record.read_text())
    del record["digest"]
    record["inputs"]["in"] = record["inputs"]["in"].rpartition(", ")[0]
    record["digest"] = fingerprint(record)
    work.step.record.write_text(json.dumps(record))
    assert work.do() is None
    os.utime(work.source, (1, 1))
    assert work.do() == "in changed"


def test_a_moved_or_copied_cluster_is_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    work = Work(tmp_path / "a")
    work.source.write_text("a" * 2**21)
    work.do()
    shutil.copytree(tmp_path / "a", tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(tmp_path / "copy" / "in", (1, 1))
    assert Work(tmp_path / "copy").do() is None
    (tmp_path / "a").rename(tmp_path / "b")
    assert Work(tmp_path / "b").do() is None


def test_what_fails_is_done_again(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.do()

    def fail() -> Facts:
        work.product.write_text("half")
        raise EmptySelection("nothing left")

    with pytest.raises(EmptySelection):
        run_if_outdated(work.step, fail, force=True)
    assert work.do() == "not done yet"


def test_an_input_that_changes_while_the_step_runs_makes_it_outdated(tmp_path: Path) -> None:
    work = Work(tmp_path)

    def make() -> Facts:
        facts = work.make()
        work.source.write_text("changed meanwhile")
        return facts

    run_if_outdated(work.step, make)
    assert work.do() == "in changed"


def test_a_damaged_record_counts_for_nothing(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.do()
    for text in ("", "{", "[]", "{}", json.dumps({"format": 99})):
        work.step.record.write_text(text)
        assert work.do() == "not done yet"


def test_a_missing_product_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(PyxtError, match="out was not made"):
        run_if_outdated(Work(tmp_path).step, dict)


def test_outcome_of_a_stage(tmp_path: Path) -> None:
    work = Work(tmp_path)
    first, second = run_if_outdated(work.step, work.make), run_if_outdated(work.step, work.make)
    assert StageResult.of({"1": first}, second).made
    assert not StageResult.of({"1": second}, second).made
    assert StageResult.of({"1": first}).observations == {"1": {"letters": 1}}


def test_a_record_that_does_not_match_its_digest_counts_for_nothing(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.do()
    text = work.step.record.read_text()
    assert '"letters": 1' in text
    work.step.record.write_text(text.replace('"letters": 1', '"letters": 2'))
    assert work.step.facts() == {}
    assert work.do() == "not done yet"


def test_what_changed_since_a_step_was_done(tmp_path: Path) -> None:
    work = Work(tmp_path)
    assert changed_since(work.step.record) == []  # unknown without a record
    work.do()
    work.source.touch()
    assert changed_since(work.step.record) == []
    work.source.write_text("b")
    work.optional.write_text("was not there")
    assert changed_since(work.step.record) == [work.source, work.optional]
    assert changed_since(work.step.record, "ybe") == [work.optional]
    work.source.unlink()  # put away
    assert changed_since(work.step.record) == [work.optional]


def test_a_plain_file_beside_a_compressed_input_is_a_change(tmp_path: Path) -> None:
    """It is read instead of the compressed one."""
    work = Work(tmp_path)
    packed = tmp_path / "x.arf.gz"
    packed.write_text("as supplied first")
    work.step = replace(work.step, inputs=(*work.step.inputs, packed))
    work.do()
    assert work.do() is None
    (tmp_path / "x.arf").write_text("supplied later")
    assert changed_since(work.step.record) == [tmp_path / "x.arf"]
    assert work.do() == "x.arf changed"
