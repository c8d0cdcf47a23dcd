"""A table of samples in memory, asked like a lake.

Owns    the rows of a file, a database or a broker, once they are read.
Never   knows when a sample came to be known, or how good it is.
"""

from typing import Any

import polars as pl
import pyarrow as pa

from gemel.errors import Invalid
from gemel.records import Batch
from gemel.store.wanted import Wanted


class Samples:
    """A batch: twin, signal, instant, value, unit."""

    def __init__(self, batch: Batch) -> None:
        self.rows = pl.DataFrame(
            {
                "twin": pl.Series(batch.twin.tolist(), dtype=pl.String),
                "signal": pl.Series(batch.signal.tolist(), dtype=pl.String),
                "instant": batch.instant,
                "value": batch.value,
                "unit": pl.Series(batch.unit.tolist(), dtype=pl.String),
            }
        ).sort("twin", "signal", "instant", maintain_order=True)

    def tick(self, known: Any) -> None:
        """Nothing is known of what was known."""
        if known is not None:
            raise Invalid(
                "dataset.no_known_time",
                "a table of samples does not remember when it came to know them",
                mend="leave as_known_at out, or open the data directory of a plant",
            )

    def names(self, twin: str | None) -> tuple[list[str], list[str]]:
        """Twins, and signals (of one twin), sorted."""
        rows = self.rows if twin is None else self.rows.filter(pl.col("twin") == twin)
        return rows["twin"].unique().sort().to_list(), rows["signal"].unique().sort().to_list()

    def history(self, wanted: Wanted) -> pa.Table:
        """The wanted rows, in order of twin, signal, instant."""
        return _arrow(self._among(wanted))

    line = history

    def latest(self, wanted: Wanted) -> pa.Table:
        """The newest row of each signal of each twin."""
        rows = self._among(wanted)
        return _arrow(rows.unique(["twin", "signal"], keep="last", maintain_order=True))

    def aggregate(self, wanted: Wanted, every: int, by: list[str]) -> pa.Table:
        """count, min, max and mean per `by` and `every` ns."""
        value, begin = pl.col("value"), pl.col("instant") // every * every
        sums = [value.len().cast(pl.Int64).alias("count"), value.min().alias("min")]
        sums += [value.max().alias("max"), value.mean().alias("mean")]
        frame = self._among(wanted).group_by(*by, begin).agg(*sums).sort(*by, "instant")
        numbers = [(name, pa.float64()) for name in ("min", "max", "mean")]
        words = [(name, pa.string()) for name in by]
        whole = [("instant", pa.int64()), ("count", pa.int64())]
        return frame.to_arrow().cast(pa.schema([*words, *whole, *numbers]))

    def notes(self, wanted: Wanted) -> list[str]:
        """Nothing is dropped or erased here."""
        return []

    def _among(self, wanted: Wanted) -> pl.DataFrame:
        tests = [pl.lit(True)]
        for column, names in wanted.among.items():
            tests += [] if names is None else [pl.col(column).is_in(list(names))]
        tests += [] if wanted.start is None else [pl.col("instant") >= wanted.start]
        tests += [] if wanted.end is None else [pl.col("instant") < wanted.end]
        return self.rows.filter(*tests)


def _arrow(rows: pl.DataFrame) -> pa.Table:
    words = [(name, pa.string()) for name in ("twin", "signal")]
    numbers = [("instant", pa.int64()), ("value", pa.float64()), ("unit", pa.string())]
    return rows.to_arrow().cast(pa.schema([*words, *numbers]))
