"""Figures, and the reasons that replace them."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Meaningless(Exception):
    """The figure would mean nothing, for example after refused requests. The table shows the message in its place."""


class Missing(str):
    """The reason for a missing figure, as one sentence for the table."""

    __slots__ = ()


Figure = float | Missing


def attempt(measure: Callable[[], T]) -> T | Missing:
    """Return the result of a measurement, or the reason why it failed. So one failure does not end the run."""
    try:
        return measure()
    except Meaningless as error:
        return Missing(error)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return Missing(f"{type(error).__name__}: {error}".partition("\n")[0])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: the smallest value that `share` of all values do not exceed."""
    if not values:
        raise Meaningless("there are no values")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


class Spread(NamedTuple):
    """The percentiles of some values, in their unit. A value that never came is infinite, and `never` is the share."""

    p50: float
    p99: float
    most: float
    least: float
    never: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Compute the spread. Raises Meaningless if there are no values."""
        never = sum(map(math.isinf, values)) / max(1, len(values))
        return cls(percentile(values, 0.5), percentile(values, 0.99), max(values), min(values), never)
