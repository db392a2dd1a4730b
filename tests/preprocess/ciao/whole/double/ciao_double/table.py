"""CIAO's parameter tables, and whether a value is right by them."""

import json
from pathlib import Path

TABLE = json.loads(Path(__file__).with_name("parameters.json").read_text())
# required ones without a default that may stay empty (the tables cannot tell)
_MAY_BE_EMPTY = {
    ("find_chandra_obsid", "dec"),
    ("chandra_repro", "outdir"),
    ("mkpsfmap", "spectrum"),
    ("mkpsfmap", "energy"),
}


def parameters(tool):
    return {p["name"]: p for p in (*TABLE[tool]["required"], *TABLE[tool]["optional"])}


def defaults(tool):
    return {name: p["default"] for name, p in parameters(tool).items()}


def checked(tool, name, value):
    """The value as the tool gets it; ValueError says what is wrong."""
    p = parameters(tool)[name]
    kind = p["type"]
    if isinstance(value, (list, tuple)):
        if kind in "bir":
            raise ValueError(f"The {tool}.{name} value can not be set to an array (sent {value})")
        if any(mark in str(one) for one in value for mark in " ,\t"):
            raise ValueError(f"{tool}.{name}: an element of a stack holds a blank or a comma: {value}")
        value = ",".join(map(str, value))
    if kind == "b":
        value = _boolean(tool, name, value)
    elif kind in "ir":
        value = _number(tool, name, value, int if kind == "i" else float)
    elif value is not None and not isinstance(value, str):
        raise ValueError(f"The {tool}.{name} parameter is text, sent {value!r}")
    elif value == "":
        value = None
    if isinstance(value, str) and ("\n" in value or value != value.strip()):
        raise ValueError(f"{tool}.{name}: blanks or line ends around or in {value!r}")
    for limit, wrong, sign in (("min", lambda v, m: v < m, ">="), ("max", lambda v, m: v > m, "<=")):
        bound = p.get(limit)
        if isinstance(bound, (int, float)) and isinstance(value, (int, float)) and wrong(value, bound):
            raise ValueError(f"{tool}.{name} must be {sign} {bound} but set to {value}")
    if "choices" in p and value not in p["choices"]:
        raise ValueError(
            f"The parameter {name} was set to {value} when it must be one of:\n  {' '.join(p['choices'])}"
        )
    return value


def check_required(tool, settings):
    for p in TABLE[tool]["required"]:
        if settings[p["name"]] is None and (tool, p["name"]) not in _MAY_BE_EMPTY:
            raise ValueError(f"{tool}.{p['name']} is required, and has no value")


def _boolean(tool, name, value):
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text in ("no", "false", "off", "0"):
        return False
    if text in ("yes", "true", "on", "1"):
        return True
    raise ValueError(f"The {tool}.{name} value should be a boolean, not '{value}'")


def _number(tool, name, value, kind):
    if value in (None, "INDEF"):
        return None
    if isinstance(value, bool):
        raise ValueError(f"The {tool}.{name} parameter must be a number, sent {value}")
    try:
        number = kind(value)
    except (TypeError, ValueError):
        raise ValueError(f"The {tool}.{name} parameter must be a number, sent {value!r}") from None
    if kind is int and float(value) != number:
        raise ValueError(f"The {tool}.{name} parameter must be an integer, sent {value!r}")
    return number
