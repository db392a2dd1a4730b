"""Records of the stages: facts of every observation and of the whole, and when each stage was done."""

from dataclasses import dataclass
from typing import Any

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.files.quoting import told_once
from pyxt_hpc.files.times import utc
from pyxt_hpc.layout import Layout
from pyxt_hpc.steps import Facts, read_record
from pyxt_hpc.store.reader import open_store, read_run

_STAGES = (
    "process-data",
    "propose-regions",
    "remove-sources",
    "generate-responses",
    "crop-data",
    "create-bins",
    "make-maps",
)


@dataclass(frozen=True)
class StageDone:
    """A completed stage: its command, time in UTC, and software."""

    stage: str
    command: str
    when: str
    software: str


@dataclass(frozen=True)
class StageRecords:
    """All records of a cluster.

    Attributes
    ----------
    observations
        Facts of every stage by stage and ObsID.
    whole
        Facts of every stage that are not of one observation.
    done
        Stages that have a record, in their order.
    ciao
        Whether CIAO was used.
    """

    observations: dict[str, dict[str, Facts]]
    whole: dict[str, Facts]
    done: list[StageDone]
    ciao: bool

    @classmethod
    def of(cls, config: ClusterConfig) -> "StageRecords":
        """Read all records; there are none on a machine that only has the bundle."""
        layout = Layout.of(config)
        observations: dict[str, dict[str, Facts]] = {}
        whole: dict[str, Facts] = {}
        done = []
        for stage in _STAGES:
            paths = {obsid: layout.step_record(stage, obsid) for obsid in config.observation_ids}
            read = {obsid: read_record(path) for obsid, path in paths.items()}
            own = {obsid: record for obsid, record in read.items() if record is not None}
            observations[stage] = {obsid: record["facts"] for obsid, record in own.items()}
            record, times = read_record(layout.step_record(stage)), [paths[obsid] for obsid in own]
            if record is not None:
                whole[stage] = record["facts"]
                times.append(layout.step_record(stage))
            if times:
                last: dict[str, Any] = record or next(iter(own.values()))
                done.append(
                    StageDone(
                        stage,
                        f"pyxt-hpc {stage} -c {config.path.name}",
                        utc(max(path.stat().st_mtime for path in times)),
                        str(last.get("software", "")),
                    )
                )
            if stage == "create-bins":
                done += _fits(config, layout)
        steps = layout.step_record("any").parent
        ciao = steps.is_dir() and any("-ciao-" in path.name for path in steps.iterdir())
        return cls(observations, whole, done, ciao)

    def facts(self, stage: str, obsid: str) -> Facts:
        """Facts of a stage and an observation; empty without a record."""
        return self.observations.get(stage, {}).get(obsid, {})

    def findings(self) -> list[tuple[str, str]]:
        """Warnings of the stages: the observation or stage, and a sentence."""
        found = []
        for stage, facts_of in self.observations.items():
            of_obsids = (
                (o, str(text)) for o, facts in facts_of.items() for text in facts.get("findings", ())
            )
            found += [(f"ObsID {obsid}, {stage}", text) for obsid, text in told_once(of_obsids)]
            facts = self.whole.get(stage, {})
            found += [(stage, str(text)) for text in facts.get("findings", ())]
            found += [(f"{stage}, left out", str(text)) for text in facts.get("left_out", {}).values()]
        return found


def _fits(config: ClusterConfig, layout: Layout) -> list[StageDone]:
    with open_store(layout.results) as file:
        run, settings = read_run(file), file.description["settings"]
    command = f"pyxt-hpc fit-spectra -c {config.path.name} --resolution {settings['resolution']}"
    return [
        StageDone("fit-spectra", command, utc(run.flushed) if run else "-", str(settings.get("software", "")))
    ]
