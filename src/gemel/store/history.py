"""Rows of history, in the form you like.

Owns    the forms: Arrow, Polars, pandas, and what a notebook shows.
Never   changes a row; instants become timestamps, ns UTC.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from gemel import notebook
from gemel.clock import format_instant
from gemel.errors import Unavailable

ENDS = 8  # rows at either end that a history shows of itself
_UTC = pa.timestamp("ns", "UTC")
_INSTANTS = ("instant", "received_at", "known_at", "closed_at")


class History:
    """Rows of history in the form you like; instants are timestamps, ns UTC.

    >>> rows = pa.table({"twin": ["a"], "signal": ["speed"], "instant": [0], "value": [2.0]})
    >>> History(rows)
    History: 1 row, 1 twin, 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z
      columns: twin, signal, instant, value
      as: .arrow() .polars() .pandas()
    """

    def __init__(self, rows: pa.Table, notes: Sequence[str] = ()) -> None:
        self.notes = list(notes)  # what was dropped or erased where this was asked for
        for name in _INSTANTS:
            if name in rows.column_names:
                column = rows.column_names.index(name)
                rows = rows.set_column(column, name, rows.column(name).cast(_UTC))
        self._rows = rows

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def arrow(self) -> pa.Table:
        """As a PyArrow table."""
        return self._rows

    def polars(self) -> pl.DataFrame:
        """As a Polars frame."""
        return pl.DataFrame(pl.from_arrow(self._rows))

    def pandas(self) -> Any:
        """As a pandas frame; pandas is an extra."""
        try:
            importlib.import_module("pandas")
        except ImportError as problem:
            raise Unavailable(
                "extra.missing",
                "pandas is not installed",
                mend="pip install 'gemel[pandas]', or use .polars() or .arrow()",
            ) from problem
        return self._rows.to_pandas()

    def __repr__(self) -> str:
        notes = "".join(f"\n  note: {note}" for note in self.notes)
        return (
            f"{self._summary()}\n  columns: {', '.join(self._rows.column_names)}"
            f"\n  as: .arrow() .polars() .pandas(){notes}"
        )

    def _summary(self) -> str:
        rows = f"History: {len(self):,} row{'' if len(self) == 1 else 's'}"
        if len(self) and "twin" in self._rows.column_names:
            twins = len(self._rows.column("twin").unique())
            rows += f", {twins:,} twin{'' if twins == 1 else 's'}"
        if len(self) and "instant" in self._rows.column_names:
            ends = pc.min_max(self._rows.column("instant").cast(pa.int64())).as_py()
            rows += f", {format_instant(ends['min'])} to {format_instant(ends['max'])}"
        return rows

    def _repr_html_(self) -> str:
        names = [name for name in self._rows.column_names if name not in ("tick", "row")]
        judged = {"quality", "reason"} <= set(names)
        heads = [name for name in names if not (judged and name == "reason")]
        cells = [[_cell(row, name, judged) for name in heads] for row in _ends(self._rows)]
        right = "".join("r" if _is_number(self._rows, name) else "l" for name in heads)
        titles = [f"{name}, UTC" if name in _INSTANTS else name for name in heads]
        parts = [notebook.table(titles, cells, right), *(f"note: {note}" for note in self.notes)]
        more = "the first and the last rows" if len(self) > 2 * ENDS else ""
        return notebook.card("History", self._summary().partition(": ")[2], *parts, more)


def _ends(rows: pa.Table) -> list[dict[str, Any]]:
    """The first and the last rows, as people read instants."""
    if len(rows) > 2 * ENDS:
        rows = pa.concat_tables([rows.slice(0, ENDS), rows.slice(len(rows) - ENDS)])
    for name in _INSTANTS:
        if name in rows.column_names:
            told = [notebook.when(ns) for ns in rows[name].cast(pa.int64()).to_pylist()]
            place = rows.column_names.index(name)
            rows = rows.set_column(place, name, pa.array(told, pa.string()))
    return list(rows.to_pylist())


def _cell(row: dict[str, Any], name: str, judged: bool) -> notebook.Cell:
    value = row[name]
    if judged and name == "quality":
        return notebook.quality(value, row["reason"])
    if value is None:
        return "–"
    return notebook.number(value) if isinstance(value, float) else str(value)


def _is_number(rows: pa.Table, name: str) -> bool:
    kind = rows.schema.field(name).type if name != "quality" else pa.string()
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
