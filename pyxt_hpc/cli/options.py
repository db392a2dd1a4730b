"""Options of several commands."""

import argparse
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pyxt_hpc.cli.command import YES, Option
from pyxt_hpc.config.cluster import RESOLUTION_STEP, parse_value
from pyxt_hpc.config.hpc import KEYS as HPC_KEYS
from pyxt_hpc.config.hpc import REQUEUES, SCHEDULERS
from pyxt_hpc.config.parsers import Integer
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted, shown
from pyxt_hpc.files.writing import check_place


def option(*names: str, **how: Any) -> Option:
    """An option or argument, from the arguments of `argparse.ArgumentParser.add_argument`."""
    return lambda parser: parser.add_argument(*names, **how)


def output_option(metavar: str, what: str, *, is_folder: bool = False) -> Option:
    """Where a file goes, or files into a folder: looked at before the work begins."""

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, metavar=metavar, help=what)
        parser.set_defaults(check_output=partial(check_place, is_folder=is_folder))

    return add


def one_of(*options: Option) -> Option:
    """Options of which exactly one must be given."""

    def add(parser: argparse.ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group(required=True)
        for add_option in options:
            add_option(group)  # type: ignore[arg-type]  # it has add_argument, too

    return add


def parse_slice(text: str) -> tuple[int, int]:
    """Part and number of parts of ``I/N``; raises ConfigError if the text has another form."""
    part, _, n_parts = text.partition("/")
    if re.fullmatch("[0-9]{1,4}/[0-9]{1,4}", text) and 1 <= int(part) <= int(n_parts):
        return int(part), int(n_parts)
    raise ConfigError(f"--slice {shown(text)}: expected I/N with 1 <= I <= N <= 9999, e.g. 3/16")


def as_argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Type of an option from a parser that raises ValueError."""

    def parse_argument(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument


def as_key(name: str) -> Callable[[str], Any]:
    """Type of an option with the meaning and range of an attribute of the configuration."""
    return as_argument(lambda text: parse_value(name, text))


def as_key_text(name: str) -> Callable[[str], str]:
    """As `as_key`, but returns the text, for a configuration."""
    parse = as_key(name)

    def check(text: str) -> str:
        parse(text)
        return text

    return check


# option: key of the configuration
_GIVEN = {
    "obsids": "observation_ids",
    "redshift": "redshift",
    "nH": "hydrogen_column_density",
    "abundance": "abundance",
    "signal_to_noise": "signal_to_noise_threshold",
}


def given_texts(arguments: argparse.Namespace) -> dict[str, str]:
    """Texts of the configuration's keys that are given as options."""
    texts = {key: getattr(arguments, name, None) for name, key in _GIVEN.items()}
    return {key: text for key, text in texts.items() if text is not None}


def place_on_sky(name: str, text: str) -> tuple[float, float]:
    """RA, Dec [deg] of an option's text; raises ConfigError with the option's name if it is no position."""
    from pyxt_hpc.chandra.sky.position import parse_position

    try:
        return parse_position(text)
    except ValueError as error:
        raise ConfigError(f"{name} {quoted(text)} is not a position on the sky: {error}") from None


def whole_number(low: int, high: int) -> Callable[[str], Any]:
    """Type of an option that is an integer in a range."""
    return as_argument(Integer(low, high))


def number_option(name: str, low: int, high: int, default: int, what: str) -> Option:
    """An option with an integer in a range."""
    how = {"type": whole_number(low, high), "default": default, "metavar": "N"}
    return option(name, help=f"{what} (default {default})", **how)


def range_option(name: str, what: str, ends: tuple[str, str] = ("FROM", "TO"), **how: Any) -> Option:
    """An option with the two ends of a range."""
    return option(name, nargs=2, metavar=ends, help=what, **{"type": float, **how})


def engine_option(what: str) -> Option:
    """The option for the engine: the fast one or Sherpa."""
    return option("--engine", choices=("fast", "sherpa"), default="fast", help=what)


def config_file_option(what: str, *, required: bool = False) -> Option:
    """The option for the configuration of a cluster, with its help."""
    flags = "-c", "--config-file"
    return option(*flags, dest="config", metavar="CONFIG", type=Path, required=required, help=what)


_CONFIG = "the cluster's INI file, from init-cluster"
config_option = config_file_option(_CONFIG, required=True)

config_or_sample_option = one_of(
    config_file_option(_CONFIG),
    option("--sample", metavar="CSV", type=Path, help="instead, a table of clusters: `pyxt-hpc help sample`"),
)

json_option = option("--json", action="store_true", help="print only the numbers on standard output, as JSON")

cpus_option = option(
    "--num-cpus",
    type=as_key("num_cpus"),
    metavar="N",
    help="number of processes on this machine (default: num_cpus of the configuration, 0 = all cores); "
    "omit it under mpirun",
)


def resolution_option(default: int | None, what: str) -> Option:
    """The option for the pixels that have a region; `what` is its meaning or default."""
    return option(
        "--resolution",
        type=whole_number(1, 3),
        choices=sorted(RESOLUTION_STEP),
        default=default,
        help=f"a region at 1: every 5th pixel, 2: every 3rd, 3: every pixel; {what}",
    )


def yes_option(what: str) -> Option:
    """The option that agrees to `what` in advance."""
    return option(*YES, action="store_true", help=f"{what} without asking")


def map_options(parser: argparse.ArgumentParser) -> None:
    """Options for the painting of fitted regions."""
    config_option(parser)
    resolution_option(None, "default: that of the fits")(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--paint",
        choices=("block", "interpolate"),
        default="block",
        help="block: every pixel has the value of its block's region; interpolate: mean of regions, "
        "weighted by the common area of circles (default block)",
    )
    how.add_argument(
        "--average",
        action="store_true",
        help="every pixel has the error-weighted mean of all circles that contain it",
    )


def picture_options(parser: argparse.ArgumentParser) -> None:
    """Options for the pictures of maps."""
    group = parser.add_argument_group("pictures")
    add = group.add_argument
    add(
        "--vmin",
        type=_number,
        metavar="V",
        help="lower end of the colour scale, in the map's unit; only with a single quantity",
    )
    add("--vmax", type=_number, metavar="V", help="upper end of the colour scale")
    add("--cmap", metavar="NAME", help="colour map, by its name in matplotlib, e.g. viridis")
    add(
        "--scale",
        choices=("auto", "linear", "log"),
        default="auto",
        help="colour scale; auto: log for positive values that span more than a factor of 3 (default auto)",
    )
    add("--dpi", type=whole_number(30, 2400), metavar="N", default=150, help="dots per inch (default 150)")
    add("--format", metavar="LIST", default="png", help="png, pdf, svg, comma-separated (default png)")
    add("--center", metavar="'RA DEC'", help="centre of the pictures, e.g. '10:00:06 +20:01:00'")
    add("--zoom", type=_number, default=1.0, metavar="F", help="show a field F times smaller (default 1)")
    add("--no-contours", action="store_true", help="draw no contours of the surface brightness")
    add(
        "--regions",
        action="store_true",
        help="write DS9 files of the regions even if they are larger than 1 MB",
    )


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


# option: placeholder of its value; its name is that of a key of [hpc]
_JOB_KEYS = {
    ("--nodes",): "N",
    ("--ranks-per-node",): "R",
    ("--time",): "HH:MM:SS",
    ("--partition", "--queue"): "NAME",
    ("--account",): "NAME",
    ("--memory",): "M",
    ("--venv",): "PATH",
    ("--launcher",): "COMMAND",
    ("--mail",): "ADDRESS",
    ("--stop-margin", "--warning"): "SECONDS",
    ("--max-requeues",): "N",
}


def job_options(parser: argparse.ArgumentParser) -> None:
    """Options of the batch system, which are named like the keys of ``[hpc]``, and those of the job."""
    add = parser.add_argument
    add("--site", metavar="NAME", help="profile of a computing centre: its name, or your own file")
    add("--scheduler", choices=SCHEDULERS, help="batch system, if not given by a site")
    add("--requeue", choices=REQUEUES, help=HPC_KEYS["requeue"].meaning)
    for flags, metavar in _JOB_KEYS.items():
        add(*flags, metavar=metavar, help=HPC_KEYS[flags[0][2:].replace("-", "_")].meaning)
    add("--module", dest="modules", action="append", metavar="NAME", help="module to load; repeatable")
    add(
        "--directive",
        dest="directives",
        action="append",
        metavar="OPTION",
        help="another option of the batch system, e.g. --directive=--qos=debug; repeatable",
    )
    add(
        "--stages",
        choices=("5", "6", "5,6"),
        metavar="S",
        help="5, 6 or 5,6 (default 5,6; for a job array 6)",
    )
    resolution_option(2, "default 2")(parser)
    add(
        "--array",
        type=whole_number(0, 9999),
        default=0,
        metavar="N",
        help="job array of N tasks without MPI, to be followed by `results merge`",
    )
    output_option("F", "file of the script (default: <name>/<name>_job.sh)")(parser)
    yes_option("replace another script")(parser)
