"""Figures, and what stands in a figure's place when it would mean nothing."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Meaningless(Exception):
    """A figure would mean nothing (refused requests, lost calls); the message says why, and stands in its place."""


class Missing(str):
    """Why there is no figure: one sentence for the table."""

    __slots__ = ()


Figure = float | Missing


def attempt(measure: Callable[[], T]) -> T | Missing:
    """What the measurement gives, or why it gives nothing: one that fails must not take the others with it."""
    try:
        return measure()
    except Meaningless as error:
        return Missing(error)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return Missing(f"{type(error).__name__}: {error}".partition("\n")[0])


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that `share` of all values do not exceed."""
    if not values:
        raise Meaningless("there are no values")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


class Spread(NamedTuple):
    """Where most values lie, in the unit of the values; what never came is infinite, `never` is its share."""

    p50: float
    p99: float
    most: float
    least: float
    never: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of some values; raises Meaningless when there are none."""
        never = sum(map(math.isinf, values)) / max(1, len(values))
        return cls(percentile(values, 0.5), percentile(values, 0.99), max(values), min(values), never)
