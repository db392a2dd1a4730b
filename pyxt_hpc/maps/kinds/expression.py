"""Expressions of maps, such as ``fractional_error > 0.3 or flags``, evaluated pixel by pixel.

Python's own parser parses them, but only the nodes in `_worked_out` are allowed: numbers, names of maps,
comparisons, ``and``, ``or``, ``not``, and + - * /. There are no calls, attributes or indices, and nothing is
executed as Python code.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted

_MAX_LENGTH = 500

_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Expression:
    """A parsed expression: its ``text`` as written by Python, and the ``names`` of maps in it."""

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    @classmethod
    def of(cls, text: str) -> "Expression":
        """Parse an expression.

        Raises
        ------
        ConfigError
            If the text is not an expression, is too long, has no name, or has other parts than names, numbers
            and the allowed operators.
        """
        if len(text) > _MAX_LENGTH:
            raise ConfigError(f"the mask has {len(text)} characters, expected {_MAX_LENGTH} at most")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            names = dict.fromkeys(n.id for n in ast.walk(tree) if isinstance(n, ast.Name))
            # An evaluation with one pixel per map finds parts that are not allowed.
            _worked_out(tree, {name: np.ones(1) for name in names})
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            what = error.args[0] if isinstance(error, _Unknown) else "it cannot be read"
            raise ConfigError(
                f"mask {quoted(text)}: {what}; expected comparisons of maps, joined by and, or, not, such as "
                "'fractional_error > 0.3 or flags'"
            ) from None
        if not names:
            raise ConfigError(f"mask {quoted(text)}: there is no map in it, such as fractional_error")
        # The text as written by Python is one line, as a FITS header needs.
        return cls(ast.unparse(tree), tuple(names), tree)

    def true(self, maps: Mapping[str, NDArray]) -> NDArray[np.bool_]:
        """Mask of the pixels where the expression is true or a map in it is NaN; ``maps`` has all names."""
        with np.errstate(all="ignore"):
            found = np.asarray(_worked_out(self._tree, maps)).astype(bool)
        for name in self.names:
            found = found | np.isnan(maps[name])
        return found


class _Unknown(ValueError):
    pass


def _worked_out(node: ast.AST, maps: Mapping[str, NDArray]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return _finite(value)
        case ast.Name(id=name):
            return maps[name]
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return ~_truth(_worked_out(part, maps))
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return -_number(_worked_out(part, maps))
        case ast.BoolOp(op=op, values=parts):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return join.reduce(np.broadcast_arrays(*(_truth(_worked_out(part, maps)) for part in parts)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            pair = (_number(_worked_out(part, maps)) for part in (left, right))
            with np.errstate(all="ignore"):
                return _ARITHMETIC[type(op)](*pair)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            values = [_worked_out(part, maps) for part in (left, *others)]
            found = [
                _COMPARISONS[type(op)](one, other)
                for one, op, other in zip(values[:-1], ops, values[1:], strict=True)
            ]
            return np.logical_and.reduce(np.broadcast_arrays(*found))
    raise _Unknown(f"{quoted(ast.unparse(node)[:40])} is not allowed")


def _finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _Unknown("a number is larger than any that can be compared")
    return number


def _number(value: Any) -> Any:
    return np.asarray(value, float)


def _truth(value: Any) -> NDArray[np.bool_]:
    return np.asarray(value).astype(bool)
