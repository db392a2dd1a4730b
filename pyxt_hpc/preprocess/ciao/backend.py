"""The choice between CIAO and this package for stages 1 to 3; execution or display of CIAO's part of a stage.

CIAO's part of a stage is a generator of plans, because later calls depend on the products of earlier ones. It
is sent the result of each plan.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from pyxt_hpc.chandra.kinds import KINDS, names_of_places
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import CiaoError, ConfigError, MissingInput
from pyxt_hpc.files.text import resolved, user_path
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao import stages
from pyxt_hpc.preprocess.ciao.find import Ciao, find_ciao
from pyxt_hpc.preprocess.ciao.plans.call import Call
from pyxt_hpc.preprocess.ciao.runner import CallLimits, Plans, run_plan, steps_of
from pyxt_hpc.preprocess.ciao.script import script_lines
from pyxt_hpc.steps import StepResult

log = logging.getLogger(__name__)

T = TypeVar("T")

PLANS: dict[str, Callable[[ClusterConfig, Layout], Plans[None]]] = {
    "process-data": stages.process_data_plans,
    "propose-regions": stages.propose_regions_plans,
    "remove-sources": stages.remove_sources_plans,
    "generate-responses": stages.generate_responses_plans,
}
_said: set[str] = set()


@dataclass(frozen=True)
class Backend:
    """Choice of a backend and its reason; `ciao` is None if this package does the stages alone."""

    reason: str
    ciao: Ciao | None


def choose_backend(config: ClusterConfig, layout: Layout) -> Backend:
    """Choose by ``[processing] backend``, and log the choice and its reason once.

    ``auto`` chooses CIAO if it is found and there is work that only CIAO can do.

    Raises MissingInput if CIAO is required but not found; ConfigError if ``[ciao] prefix`` is not an
    installation of CIAO.
    """
    chosen = _choose(config, layout)
    who = "without CIAO" if chosen.ciao is None else f"by {chosen.ciao} (found by {chosen.ciao.found_by})"
    line = f"stages 1 to 3 are done {who}: {chosen.reason}"
    if line not in _said:
        _said.add(line)
        log.info("%s", line)
    return chosen


def _choose(config: ClusterConfig, layout: Layout) -> Backend:
    asked = f"[processing] backend = {config.backend}"
    if config.backend == "builtin":
        return Backend(asked, None)
    if config.backend == "ciao":
        return Backend(asked, find_ciao(_prefix(config)))
    needs = next(_only_by_ciao(config, layout), None)
    if needs is None:
        return Backend("every observation has events of level 2 and responses", None)
    try:
        return Backend(needs, find_ciao(_prefix(config)))
    except MissingInput as error:
        return Backend(f"{needs}, but {error}", None)


def _prefix(config: ClusterConfig) -> str:
    """Path of ``[ciao] prefix``, which is relative to the configuration file."""
    return config.ciao_prefix and str(resolved(config.path.parent) / user_path(config.ciao_prefix))


def _only_by_ciao(config: ClusterConfig, layout: Layout) -> Iterator[str]:
    """Work that only CIAO can do."""
    for obsid in config.observation_ids:
        folder = layout.observation(obsid)
        if not any(any(folder.glob(f"{place}*evt2.fits*")) for place in ("", "primary/", "repro/")):
            yield f"ObsID {obsid} has to be downloaded"
    for obsid in config.observation_ids:
        if any(layout.observation(obsid).glob("secondary/*evt1.fits*")):
            yield f"ObsID {obsid} has events of level 1"
    for obsid in config.observation_ids:
        for pattern in (config.arf_files, config.rmf_files):
            wholes = (obsid, *(f"{obsid}-{kind}" for kind in KINDS))
            names = [name for whole in wholes for name in names_of_places(whole, config.response_places)]
            if not any(layout.supplied_response(pattern, obsid, name).is_file() for name in names):
                yield f"ObsID {obsid} has no responses"


def ciao_part(stage: str, config: ClusterConfig, layout: Layout, *, force: bool = False) -> Ciao | None:
    """Do CIAO's part of a stage and return CIAO; None if this package does the stage alone.

    Raises ConfigError if the configuration asks for a tool of CIAO and CIAO is not used; errors of
    `choose_backend` and `carry_out`.
    """
    backend = choose_backend(config, layout)
    if backend.ciao is not None:
        stages.prepare_stage(stage, config, layout)
        carry_out(stage, PLANS[stage](config, layout), config, layout, backend.ciao, force=force)
        return backend.ciao
    for asking, name in (("propose-regions", "detection"), ("remove-sources", "flare_filter")):
        if stage == asking and (value := getattr(config, name)) != "builtin":
            raise ConfigError(
                f"{config.path}: [ciao] {name} = {value} needs CIAO, which has no part in this: "
                f"{backend.reason}"
            )
    return None


def carry_out(
    stage: str, plans: Plans[T], config: ClusterConfig, layout: Layout, ciao: Ciao, *, force: bool = False
) -> T:
    """Carry out all plans of a stage. Raises errors of `run_plan` and of the generator."""
    go_on = partial(next, plans)
    while True:
        try:
            plan = go_on()
        except StopIteration as end:
            return end.value
        try:
            results = run_plan(stage, plan, layout, ciao, CallLimits.of(config), force=force)
        except CiaoError as error:
            go_on = partial(plans.throw, error)  # raises the error, unless the stage handles it
        else:
            go_on = partial(plans.send, results)


def rehearse(
    stage: str, plans: Plans[Any], layout: Layout, *, force: bool = False
) -> tuple[list[Call], bool]:
    """Calls that `carry_out` would make, and whether these are all: others may depend on their products.

    For plans that are up to date, the recorded results are used.
    """
    due: list[Call] = []
    results: tuple[StepResult, ...] | None = None
    while True:
        try:
            plan = next(plans) if results is None else plans.send(results)
        except StopIteration:
            return due, True
        steps = steps_of(stage, plan, layout)
        outdated: set[str] = set()
        for call, step in zip(plan, steps, strict=True):
            # Later calls read the products of this one.
            if call.writes and (step.outdated() or call.obsid in outdated or (outdated and not call.obsid)):
                outdated.add(call.obsid)
            if force or call.obsid in outdated or not call.writes:
                due.append(call)
        if outdated:
            plans.close()
            return due, False
        results = tuple(StepResult(step.facts(), None) for step in steps)


def dry_run_lines(stage: str, config: ClusterConfig, layout: Layout, *, force: bool = False) -> Iterator[str]:
    """Shell script of CIAO's calls in a stage.

    Raises ConfigError if the stage is done without CIAO.
    """
    backend = choose_backend(config, layout)
    if backend.ciao is None:
        raise ConfigError(f"--dry-run shows calls of CIAO, which has no part in this: {backend.reason}")
    due, all_known = rehearse(stage, PLANS[stage](config, layout), layout, force=force)
    yield from script_lines(due)
    yield ""
    if not all_known:
        yield "# Further calls may depend on the products of these: use --dry-run again then."
    elif not due:
        yield "# Everything is up to date."
