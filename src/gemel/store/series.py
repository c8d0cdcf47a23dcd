"""Lines for a picture or a calculation: a span in few points, and many signals on one time line.

Owns    reading a line back over what retention has dropped, thinning it, and the as-of join.
Never   makes up a value: a thinned line is some of its points, a joined one what was there last.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.records import Floats, Instants
from gemel.store.lake import Lake
from gemel.store.rollups import aggregate, tiers, usable
from gemel.store.wanted import Wanted

LINE = ["twin", "signal", "instant", "value"]


def lttb(instant: Instants, value: Floats, points: int) -> NDArray[np.int64]:
    """The points of a line that keep its look: indices (at most `points`,), the ends among them.

    Largest triangle, three buckets: of each of points − 2 equal shares, the point that spans the
    largest triangle with the one taken before it and the mean of the share after it.

    instant (N,) ns, sorted · value (N,)   Source: S. Steinarsson, Downsampling Time Series for
    Visual Representation, 2013, §4.2.

    >>> lttb(np.arange(7), np.array([0.0, 0, 0, 9, 0, 0, 0]), 3).tolist()
    [0, 3, 6]
    """
    count = len(instant)
    if count <= max(points, 3):
        return np.arange(count)
    x = (instant - instant[0]) / SECOND
    edges = 1 + np.arange(points - 1) * (count - 2) // (points - 2)
    sizes = np.diff(edges)
    mean_x = np.append(np.add.reduceat(x[:-1], edges[:-1]) / sizes, x[-1])
    mean_y = np.append(np.add.reduceat(value[:-1], edges[:-1]) / sizes, value[-1])
    taken = np.zeros(points, np.int64)
    taken[-1] = count - 1
    for k in range(points - 2):
        a, b = edges[k], edges[k + 1]
        from_x, from_y = x[taken[k]], value[taken[k]]
        area = (from_x - mean_x[k + 1]) * (value[a:b] - from_y)
        area -= (from_x - x[a:b]) * (mean_y[k + 1] - from_y)
        taken[k + 1] = a + np.argmax(np.abs(area))
    return taken


def minmax(instant: Instants, value: Floats, points: int) -> NDArray[np.int64]:
    """The points between which a line swings: indices (about `points`,), the ends among them.

    Of each of points // 2 equal spans of time the least and the greatest: no peak is lost, however
    short, and what is drawn on as many pixels looks like the whole line.

    instant (N,) ns, sorted · value (N,)

    >>> minmax(np.arange(9), np.array([0.0, 0, 7, 0, 0, -7, 0, 0, 0]), 4).tolist()
    [0, 2, 5, 8]
    """
    count = len(instant)
    if count <= max(points, 4):
        return np.arange(count)
    spans = points // 2
    span = (instant - instant[0]) * spans // (instant[-1] - instant[0] + 1)
    order = np.lexsort((value, span))
    ends = np.flatnonzero(np.diff(span[order], prepend=-1, append=spans))
    kept = np.concatenate([order[ends[:-1]], order[ends[1:] - 1], [0, count - 1]])
    return np.unique(kept)


Thinning = Callable[[Instants, Floats, int], NDArray[np.int64]]


def thin(rows: pa.Table, points: int, how: Thinning = lttb) -> pa.Table:
    """Each line (twin, signal) of rows in order of twin, signal and instant, in `points` points."""
    if not len(rows):
        return rows
    line = pc.rank(rows["twin"], tiebreaker="dense").to_numpy().astype(np.int64)
    signal = pc.rank(rows["signal"], tiebreaker="dense").to_numpy()
    line = line * (int(signal.max()) + 1) + signal.astype(np.int64)
    edges = [0, *(1 + np.flatnonzero(np.diff(line))).tolist(), len(line)]
    instant, value = rows["instant"].to_numpy(), rows["value"].to_numpy()
    kept = [
        a + how(instant[a:b], value[a:b], points)
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    return rows.take(pa.array(np.concatenate(kept)))


def line(lake: Lake, wanted: Wanted) -> pa.Table:
    """LINE of the wanted facts that are not bad, in order of twin, signal, instant.

    From before what retention keeps, the means of the narrowest roll-up at the start of each.
    """
    rows = usable(lake, wanted)
    kept, there = lake.kept_from(), tiers(lake)
    if kept < 0 or not there or (wanted.start is not None and wanted.start >= kept):
        return rows
    until = kept if wanted.end is None else min(kept, wanted.end)
    old = aggregate(lake, replace(wanted, end=until), there[-1].width, ["twin", "signal"])
    means = old.rename_columns({"mean": "value"}).select(LINE)
    joined = pa.concat_tables([means, rows.filter(pc.field("instant") >= kept)])
    return joined.sort_by([(name, "ascending") for name in LINE[:3]])


def asof(
    rows: pa.Table,
    signals: Sequence[str],
    every: int | None = None,
    on: str | None = None,
    tolerance: int | None = None,
) -> pa.Table:
    """Signals on one time line: twin, instant, then a column a signal, null where there is none.

    At each instant the last value at or before it, and no older than `tolerance` ns. The time line
    of a twin: the instants of signal `on`, or every `every` ns, or wherever any signal has one.
    """
    frame = pl.DataFrame(pl.from_arrow(rows)).select(LINE).sort("instant", maintain_order=True)
    if every is not None:
        made = _grid(frame, every)
    else:
        there = frame if on is None else frame.filter(pl.col("signal") == on)
        made = there.select("twin", "instant").unique().sort("instant")
    for signal in signals:
        one = frame.filter(pl.col("signal") == signal).select(
            "twin", "instant", pl.col("value").alias(signal)
        )
        how: dict[str, Any] = {"on": "instant", "by": "twin", "check_sortedness": False}
        made = made.join_asof(one, **how, tolerance=tolerance, strategy="backward")
    return made.sort("twin", "instant").to_arrow().cast(_wide(signals))


def _grid(frame: pl.DataFrame, every: int) -> pl.DataFrame:
    """Whole multiples of `every` from a twin's first value to its last."""
    ends = frame.group_by("twin").agg(
        ((pl.col("instant").min() + every - 1) // every * every).alias("first"),
        (pl.col("instant").max() + 1).alias("last"),
    )
    spread = pl.int_ranges("first", "last", every).alias("instant")
    return ends.select("twin", spread).explode("instant").drop_nulls().sort("instant")


def _wide(signals: Sequence[str]) -> pa.Schema:
    columns = [("twin", pa.string()), ("instant", pa.int64())]
    return pa.schema([*columns, *((signal, pa.float64()) for signal in signals)])
