"""The command that creates a cluster's configuration."""

import argparse
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import as_key_text, given_texts, option, yes_option
from pyxt_hpc.cli.screen import confirm, echo, tell
from pyxt_hpc.clusterpyxt.choices import NAMES, choices_as
from pyxt_hpc.config.cluster import KEYS, config_template
from pyxt_hpc.config.questions import QUESTIONS
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.writing import check_regular, write_text
from pyxt_hpc.layout import Layout

if TYPE_CHECKING:
    from pyxt_hpc.config.lookup import ArchiveAnswers


@command(
    "init-cluster",
    "write the configuration file of a new cluster",
    "Write NAME_cluster_config.ini in the working directory and create the cluster's folders. Keys that\n"
    "are not given stay empty, with a comment that says where to find their values. At a terminal, the\n"
    "command asks for all values if none is given. --lookup first queries NED, the HI4PI survey and the\n"
    "Chandra archive (needs a network and astroquery).",
    option("name", metavar="NAME", help="the cluster's name, e.g. A1795"),
    option("--obsids", type=as_key_text("observation_ids"), metavar="O,O,...", help="ObsIDs, e.g. 891,4977"),
    option("--redshift", type=as_key_text("redshift"), metavar="Z", help="redshift, e.g. 0.0625"),
    option("--nH", type=as_key_text("nH"), metavar="N", help="hydrogen column [1e22 cm^-2], e.g. 0.0119"),
    option("--abundance", type=as_key_text("abundance"), metavar="A", help="abundance [solar], e.g. 0.3"),
    option(
        "--signal-to-noise", type=as_key_text("signal_to_noise"), metavar="S", help="S/N of regions, e.g. 50"
    ),
    option("--lookup", action="store_true", help="query NED, HI4PI and the Chandra archive for other values"),
    option("--lookup-name", metavar="N", help="name for NED, if it is not NAME, e.g. 'Abell 1795'"),
    option("--as", dest="choices", choices=NAMES, help="use ClusterPyXT's choices as defaults"),
    yes_option("replace an existing file"),
    example="pyxt-hpc init-cluster A1795 --obsids 493,494 --redshift 0.0625 --nH 0.0119 --abundance 0.3",
)
def init_cluster(arguments: argparse.Namespace) -> None:
    path = Path(f"{arguments.name}_cluster_config.ini")
    config_template(arguments.name)  # refuses an invalid name before any question
    if check_regular(path):
        confirm(f"{path} exists. Replace it?", arguments.yes)
    given = texts = given_texts(arguments)
    if arguments.lookup or arguments.lookup_name:
        from pyxt_hpc.config.lookup import look_up

        found = look_up(arguments.lookup_name or arguments.name)
        echo(*found.notes)
        texts = _texts_of(found) | given
    if not given and not arguments.yes and _at_a_terminal():
        texts = texts | _asked(arguments.name, texts)
    choices = choices_as(arguments.choices) if arguments.choices else {}
    text = config_template(arguments.name, choices | texts)
    layout = Layout(Path(arguments.name), arguments.name)
    for folder in (layout.combined, layout.acb, layout.main_output):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    empty = [q.key for q in QUESTIONS if not texts.get(q.key) and KEYS[q.key].is_needed]
    tell(f"{path}: " + (f"fill in {', '.join(empty)}" if empty else "complete"))
    tell(f"without CIAO, which downloads the observations, put them in {layout.cluster_dir}/<obsid>/")
    tell(f"next: pyxt-hpc run -c {path}")


COMMANDS = (init_cluster,)


def _at_a_terminal() -> bool:
    return all(
        stream is not None and not stream.closed and stream.isatty() for stream in (sys.stdin, sys.stdout)
    )


def _texts_of(found: "ArchiveAnswers") -> dict[str, str]:
    texts = {}
    if found.redshift is not None:
        texts["redshift"] = f"{found.redshift:.6g}"
    if found.nH is not None:
        texts["hydrogen_column_density"] = f"{found.nH:.3g}"
    if found.observations:
        texts["observation_ids"] = ", ".join(one.obsid for one in found.observations)
    return texts


def _asked(name: str, known: dict[str, str]) -> dict[str, str]:
    """Checked answers of the user at the terminal, without empty ones."""
    echo(f"Configuration of {name}. Enter accepts the value in brackets, or leaves the key empty.")
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        suggestion = known.get(question.key, question.suggestion)
        echo("", *textwrap.wrap(question.found, 100))
        while True:
            text = _answer(f"{question.asks}{f' [{suggestion}]' if suggestion else ''}: ") or suggestion
            problem = question.problem(text) if text else ""
            if not problem:
                break
            echo(f"{text}: {problem}")
        if text:
            answers[question.key] = text
    return answers


def _answer(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except (EOFError, OSError, UnicodeDecodeError):
        raise ConfigError("not answered to the end: nothing was written") from None
