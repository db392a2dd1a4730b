"""Profiles of computing centres: small INI files, which are shipped or written by the user."""

import sys
from collections.abc import Mapping
from pathlib import Path

from pyxt_hpc.config.hpc import KEYS, NEEDS_ACCOUNT, PROFILE_KEYS, SECTION, BatchSettings
from pyxt_hpc.config.ini import parse_ini
from pyxt_hpc.config.parsers import boolean
from pyxt_hpc.config.schema import read_sections
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.files.text import read_text, user_path
from pyxt_hpc.jobs.systems import SYSTEMS
from pyxt_hpc.jobs.systems.command_list import CommandList

FOLDER = Path(__file__).parents[1] / "data" / "jobscripts"


def site_names() -> list[str]:
    """Names of the shipped profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.ini"))


def read_site(site: str) -> dict[str, str]:
    """Read the keys of a profile, as texts; `site` is the name of a shipped profile or the path of a file.

    Raises MissingInput if there is no such profile; DamagedFile if the file cannot be read; ConfigError if a
    key is unknown or a value invalid.
    """
    path = FOLDER / f"{site}.ini" if site in site_names() else user_path(site)
    text = read_text(
        path, f"nor is {quoted(site)} the name of a site; known sites: {', '.join(site_names())}"
    )
    parser = parse_ini(text, path, "a profile")
    if parser.sections() != [SECTION]:
        raise ConfigError(f"{path}: expected one section [{SECTION}], found {quoted(parser.sections())}")
    contents = read_sections(parser, path, {SECTION: PROFILE_KEYS})
    if contents.problems:
        raise ConfigError.of_several(str(path), contents.problems)
    return {name: text for name, text in contents.texts[SECTION].items() if name in (*KEYS, NEEDS_ACCOUNT)}


def settings_for(
    where: str,
    configured: Mapping[str, str],
    given: Mapping[str, str | None],
    site: str | None,
    *,
    charged: bool = False,
) -> BatchSettings:
    """Settings of a job, from the command line, else the configuration, else the site, else defaults.

    Parameters
    ----------
    where
        Origin of the settings, for error messages.
    configured, given
        Keys as texts, from the configuration's ``[hpc]`` and from the command line.
    site
        Site given on the command line; None: that of the configuration, else the profile of the scheduler.
    charged
        Whether the job will be submitted, so that the centre may require an account.

    Raises
    ------
    ConfigError
        If a key is unknown, or a value is invalid or missing.
    """
    own = {key: text for key, text in configured.items() if key != "site"}
    chosen = {key: text for key, text in given.items() if text is not None}
    scheduler = chosen.get("scheduler") or own.get("scheduler")
    if scheduler == CommandList.name:
        if site:
            raise ConfigError(f"{where}: scheduler list does not use a site: leave --site {site} out")
    else:
        site = site or configured.get("site") or scheduler
    below = read_site(site) if site else {}
    if scheduler and below.get("scheduler", scheduler) != scheduler:
        raise ConfigError(
            f"{where}: scheduler is {scheduler}, but site {site} has {below['scheduler']}: leave one of them "
            "out"
        )
    texts = {**below, **own, **chosen}
    for key in ("directives", "environment"):  # these add up; the last line of an option counts
        lines = [layer[key] for layer in (below, own, chosen) if layer.get(key)]
        if lines:
            texts[key] = "\n".join(lines)
    if not texts.get("venv"):
        texts["venv"] = "" if sys.prefix == sys.base_prefix else sys.prefix
    needs_account = boolean(texts.pop(NEEDS_ACCOUNT, "false"))
    if charged and needs_account and not texts.get("account"):
        raise ConfigError(
            f"{where}: site {site} charges every job to an account: give --account NAME, or account = NAME "
            "in [hpc] of the configuration"
        )
    settings = BatchSettings.of(texts, where)
    if problems := SYSTEMS[settings.scheduler].problems(settings):
        raise ConfigError.of_several(where, problems)
    return settings
