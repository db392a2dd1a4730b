"""Stage 6 on thousands of ranks: groups fit parts of the regions, which the first rank joins in the end."""

import logging
import signal
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyxt_hpc.config import ClusterConfig
from pyxt_hpc.errors import EXIT_TRY_AGAIN, Interrupted, PyxtError
from pyxt_hpc.layout import Layout
from pyxt_hpc.lock import WriterLock
from pyxt_hpc.parallel.groups import Group, split
from pyxt_hpc.parallel.limits import Limits
from pyxt_hpc.parallel.pool import Payload, open_pool, share_payload
from pyxt_hpc.parallel.signals import stop_signals
from pyxt_hpc.parallel.world import World
from pyxt_hpc.stages.fitting import (
    FittingSummary,
    Whole,
    context_of_part,
    open_part,
    open_whole,
    run_fits,
    summarize,
)
from pyxt_hpc.stages.parts import Part, add_messages, interleave, remove_parts, slice_of
from pyxt_hpc.store import ResultsStore, Status, is_final, open_to_read, read_column

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Plan:
    """What all ranks must know of the whole."""

    n_groups: int
    settings: Mapping[str, Any]
    fingerprint: str
    resumed: int


def fit_in_groups(
    config: ClusterConfig,
    world: World,
    n_groups: int,
    *,
    resolution: int,
    resume: bool,
    time_limit: float | None = None,
    max_regions: int | None = None,
) -> FittingSummary | None:
    """As `fit_spectra` over MPI ranks in several groups, each with a master and a part store of its own.

    When all groups are done the parts are joined in the results store and removed. After an early end they
    stay; whoever continues the whole takes in what they have, whatever the number of groups.

    Parameters
    ----------
    config
        The cluster.
    world
        MPI ranks, at least two a group.
    n_groups
        How many; never more than regions.
    resolution, resume, time_limit, max_regions
        As in `fit_spectra`.

    Returns
    -------
    FittingSummary or None
        None on all ranks but the first.

    Raises
    ------
    Interrupted
        On the first rank, if any group ended before all its regions were done; raises else as `fit_spectra`.
    """
    start = time.perf_counter()
    limits = Limits.of(time_limit, max_regions)
    layout = Layout.of(config)
    assert world.comm is not None
    begun = world.on_master(lambda: _begin(config, layout, n_groups, resolution, resume))
    plan: _Plan = world.comm.bcast(begun and begun[0], root=0)
    payload = share_payload(world.comm, begun and begun[1].payload)
    group = split(world, plan.n_groups)
    part = (group.number, plan.n_groups)
    if group.bell is None:
        _fit_part(layout, part, plan, payload, group, limits)
        return None
    bell = group.bell
    try:
        # A master that waits for the others passes a signal on.
        with stop_signals() as received:
            ending = _fit_part(layout, part, plan, payload, group, limits)

            def pass_on() -> None:
                if received:
                    bell.ring(signal.Signals(received[0]).name)

            endings = bell.gather(ending, pass_on)
            if errors := [error for error in endings if error is not None]:
                if not world.is_master:
                    return None
                raise _first(errors, plan.n_groups)
            return _join(layout, plan, bell.masters, start)
    except KeyboardInterrupt:
        log.error("interrupted again: stopped at once; what is finished is stored")
        world.abort(EXIT_TRY_AGAIN)
        raise


def _begin(
    config: ClusterConfig, layout: Layout, n_groups: int, resolution: int, resume: bool
) -> tuple[_Plan, Whole]:
    whole = Whole.read(config, resolution)
    with open_whole(layout, whole, resume) as store:
        resumed = int(is_final(store.status()).sum())
    log.info("fits: %d of %d regions to do", len(whole.regions) - resumed, len(whole.regions))
    return _Plan(min(n_groups, len(whole.regions)), whole.settings, whole.fingerprint, resumed), whole


def _fit_part(
    layout: Layout, part: Part, plan: _Plan, payload: Payload, group: Group, limits: Limits
) -> PyxtError | None:
    """One group's work; on its master, the error that ended it."""
    regions = np.ascontiguousarray(payload.arrays["regions"][slice_of(part)])
    try:
        store = group.world.on_master(
            # Also in a new run: what the whole has it got in this run.
            lambda: open_part(layout, part, regions, plan.settings, plan.fingerprint, resume=True)
        )
        with (
            store or nullcontext(),
            open_pool(group.world, 1, context_of_part(part), payload) as pool,
        ):
            if pool is not None and store is not None:
                with store:
                    run_fits(
                        pool,
                        store,
                        regions,
                        _share_of(limits, part),
                        label=f"fits, group {part[0]} of {part[1]}",
                        bell=group.bell,
                        shown=part[0] == 1,
                    )
    except PyxtError as error:
        if group.bell is not None and not isinstance(error, Interrupted):
            log.error("group %d of %d: %s", *part, error)
            group.bell.ring("an error of another group")
        return error
    return None


def _share_of(limits: Limits, part: Part) -> Limits:
    if limits.items is None:
        return limits
    number, n_parts = part
    return Limits(limits.deadline, limits.items // n_parts + (number <= limits.items % n_parts))


def _first(errors: list[PyxtError], n_groups: int) -> PyxtError:
    """What the user must do something about comes before what only needs another run."""
    serious = [error for error in errors if not isinstance(error, Interrupted)]
    return (
        serious[0]
        if serious
        else Interrupted(f"{len(errors)} of {n_groups} groups ended early, the first: {errors[0]}")
    )


def _join(layout: Layout, plan: _Plan, masters: World, start: float) -> FittingSummary | None:
    """The whole's store from its parts, which are removed; every master writes a share of it."""
    whole = layout.results
    paths = [layout.part_results(number, plan.n_groups) for number in range(1, plan.n_groups + 1)]
    lock = masters.on_master(lambda: WriterLock(whole))
    try:
        masters.all_do(lambda: interleave(whole, paths, (masters.rank + 1, masters.size)))
    finally:
        if lock:
            lock.release()
    if not masters.is_master:
        return None
    with open_to_read(whole) as file:
        status = file.read("status")
        counts, flags = read_column(file, "counts"), read_column(file, "flags")
    if not (status == Status.DONE).all():
        with ResultsStore.open_for_resume(
            whole, fingerprint=plan.fingerprint, settings=plan.settings
        ) as store:
            add_messages(store, paths)
    remove_parts(layout, but_in_use=True)
    return summarize(whole, status, counts, flags, plan.resumed, time.perf_counter() - start)
