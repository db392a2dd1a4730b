"""The tools, each a function of an object with all its parameters.

They give the files written, and the parameters changed.
"""

from importlib import import_module

_MODULES = {
    "archive": ("find_chandra_obsid",),
    "reprocessing": ("chandra_repro",),
    "background": ("blanksky",),
    "copying": ("dmcopy",),
    "flares": ("dmextract", "deflare"),
    "images": ("fluximage", "merge_obs", "wavdetect"),
    "products": ("specextract",),
}


def tool_of(name):
    """The function that does the work of a tool; importing it takes a while."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise ValueError(f"the double of CIAO cannot do {name}")
