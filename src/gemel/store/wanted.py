"""What a question to the lake is about: which files it can be in, and its condition as SQL.

Owns    the filter of a read, by the bounds of a file and by its rows.
Never   puts a value into the text of a query: every one is a parameter.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FEW = 64  # names that a condition lists; more are joined


@dataclass(frozen=True)
class Part:
    """One file of a table: its rows, bytes, and the least and greatest of each column."""

    path: str
    rows: int
    size: int
    low: dict[str, Any]
    high: dict[str, Any]

    @property
    def deck(self) -> str:
        """What it was called when it was written: files of one name were cut from one sort."""
        return self.path[: -len("-00000000-0000-0000-0000-000000000000.parquet")]


@dataclass(frozen=True)
class Wanted:
    """start ≤ instant < end · after < tick ≤ known · each column of `among` one of its values.

    None leaves a side open.

    >>> wanted = Wanted({"twin": ["b"]}, start=5)
    >>> wanted.reaches(Part("f", 9, 0, {"twin": "a", "instant": 0}, {"twin": "c", "instant": 4}))
    False
    >>> wanted.condition("f")
    ('twin IN ($f_twin_0) AND instant >= $f_start', {'f_twin_0': 'b', 'f_start': 5})
    """

    among: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    start: int | None = None
    end: int | None = None
    after: int | None = None
    known: int | None = None

    def reaches(self, part: Part) -> bool:
        """Whether a file may hold a row that is wanted."""
        low, high = part.low, part.high
        return (
            (self.start is None or high["instant"] >= self.start)
            and (self.end is None or low["instant"] < self.end)
            and (self.after is None or high["tick"] > self.after)
            and (self.known is None or low["tick"] <= self.known)
            and all(
                _between(sorted(values), low[column], high[column])
                for column, values in self.among.items()
                if values is not None
            )
        )

    def asked(self) -> tuple[Any, Any, int | None, int | None, int | None]:
        """twins, signals, start, end, known: what `Lake.telemetry` is asked by."""
        return self.among["twin"], self.among["signal"], self.start, self.end, self.known

    def condition(self, name: str) -> tuple[str, dict[str, Any]]:
        """The condition on a row, and its parameters, each called `name`_…"""
        told: list[str] = []
        values: dict[str, Any] = {}
        for column, names in self.among.items():
            if names is None:
                continue
            if len(names) <= FEW:
                keys = {f"{name}_{column}_{k}": one for k, one in enumerate(names)}
                listed = ", ".join(f"${key}" for key in keys)
                told.append(f"{column} IN ({listed})" if keys else "false")
                values |= keys
            else:
                told.append(f"{column} IN (SELECT unnest(${name}_{column}))")
                values[f"{name}_{column}"] = list(names)
        for side, test in (
            ("start", "instant >="),
            ("end", "instant <"),
            ("after", "tick >"),
            ("known", "tick <="),
        ):
            if (value := getattr(self, side)) is not None:
                told.append(f"{test} ${name}_{side}")
                values[f"{name}_{side}"] = value
        return " AND ".join(told) or "true", values


def _between(names: list[str], low: str, high: str) -> bool:
    """Whether one of the sorted names lies between the bounds."""
    place = bisect_left(names, low)
    return place < len(names) and names[place] <= high
