"""Pages of one look: the report of a cluster, and the page about a sample."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

TEMPLATES = files("pyxt_hpc.report") / "templates"


def rendered(folder: Traversable, name: str, context: dict[str, Any]) -> str:
    """Text of a page.

    Parameters
    ----------
    folder
        Folder of the template, as `importlib.resources.files` has it.
    name
        Stem of the template ``.html`` and of its own style ``.css``, which follows the common ``base.css``.
    context
        Values of the template. They are escaped, unless they are markup.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template, *styles = (
        one.read_text(encoding="utf-8")
        for one in (folder / f"{name}.html", TEMPLATES / "base.css", folder / f"{name}.css")
    )
    return environment.from_string(template).render(**context, style=Markup("".join(styles)))
