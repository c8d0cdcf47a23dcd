"""What Gemel should have made of what the plant sent: the books, the quality, who is silent.

Owns    the expectation, told from the truth kept beside and the plant file's rules.
Never   uses the code that it checks: it reads the contracts (docs/contracts.md §3) its own way, one
        sample after the other, in the order in which they were sent.

What hangs on when a sample arrived is told by when it was sent. A sample so near to a bound of
lateness or skew that `margin` seconds on the way decide its fate is `doubtful`: a test makes sure
that there are none. Within one entry Gemel judges in the order of instants, so of a signal whose
samples are sent out of order the reasons `rate` and `stuck` may differ. `clock_skew`,
`inconsistent` and `drift` are not told here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gemel.clock import SECOND
from gemel.errors import Invalid, NotFound
from gemel.flow.fleet import Plan
from gemel.plant.frames import other_signal, other_twin
from gemel.records import FATES
from gemel.units import convert

ABSURD = 1e12  # no credible reading is as large, whatever its range
AGES = 10 * 365 * 86_400 * SECOND  # a sample so old has a broken clock


@dataclass(frozen=True)
class Expected:
    """The expectation of one source.

    samples, as sent, in order: number twin signal stated value fate quality reason sent done ·
    doubtful: how many of them hang on luck · began: when the first was sent, ns
    """

    samples: pl.DataFrame
    doubtful: int
    plan: Plan

    @property
    def books(self) -> dict[str, int]:
        """By fate, and `received`: the same keys as the ledger's."""
        told = dict(self.samples.group_by("fate").len().iter_rows())
        return {"received": len(self.samples)} | {fate: told.get(fate, 0) for fate in FATES}

    def spans(self) -> list[dict[str, Any]]:
        """Where samples are uncertain or bad: twin signal reason start end samples, in order."""
        marked = self.samples.filter(pl.col("fate").is_in(["stored", "correction", "late"]))
        marked = marked.sort("twin", "signal", "stated", "number").with_columns(
            run=pl.struct("twin", "signal", "reason").rle_id()
        )
        spans = (
            marked.filter(pl.col("reason") != "")
            .group_by("run", maintain_order=True)
            .agg(
                pl.first("twin", "signal", "reason"),
                start=pl.col("stated").min(),
                end=pl.col("stated").max(),
                samples=pl.len(),
            )
        )
        return spans.drop("run").to_dicts()

    def silent(self, at: int) -> dict[str, list[str]]:
        """The signals that are silent at an instant of the plant's clock, by twin."""
        heard = self.samples.filter(
            pl.col("fate").is_in(["stored", "correction", "late"]) & (pl.col("sent") <= at)
        )
        newest = {
            (twin, signal): stated
            for twin, signal, stated in heard.group_by("twin", "signal")
            .agg(pl.col("stated").max())
            .iter_rows()
        }
        began = int(self.samples["sent"].min() or at)  # type: ignore[arg-type]
        told: dict[str, list[str]] = {}
        for twin in self.plan.plant.twins.values():
            for name, signal in self.plan.plant.interfaces[twin.interface].telemetry.items():
                gap = signal.gap * signal.every * SECOND  # for ever, where it has no period
                if at - newest.get((twin.id, name), began) > gap:
                    told.setdefault(twin.id, []).append(name)
        return told


def expect(data: Path, plan: Plan, source: str, *, margin: float = 0.0) -> Expected:
    """What a plant file's `source` should have made of the truth in a plant's data folder.

    margin: s on the plant's clock that a sample may have been on its way
    """
    rows = read_sent(data).filter(pl.col("number").is_not_null()).sort("number")
    rows = _named(rows)
    rows, bad_unit = _declared(rows, plan)
    sends = plan.rules.sends.get(source)
    schema = ~pl.col("signal").is_in(sorted(sends)) if sends is not None else pl.lit(False)
    twins, skew = sorted(plan.plant.twins), plan.rules.skew
    why = (
        pl.when(pl.col("sent_as") == "garbage")
        .then(pl.lit("garbage"))
        .when(~pl.col("twin").is_in(twins))
        .then(pl.lit("unknown_twin"))
        .when(pl.col("declared").is_null())
        .then(pl.lit("unknown_signal"))
        .when(schema)
        .then(pl.lit("schema"))
        .when(bad_unit)
        .then(pl.lit("unit"))
        .when(pl.col("stated") > pl.col("sent") + skew)
        .then(pl.lit("ahead_of_clock"))
        .when(pl.col("stated") < pl.col("sent") - AGES)
        .then(pl.lit("far_past"))
        .when(~pl.col("value").is_finite())
        .then(pl.lit("not_a_number"))
        .otherwise(pl.lit(""))
    )
    reach = max(plan.rules.lateness, plan.rules.rerun)
    late = pl.col("stated") <= pl.col("sent") - reach
    rows = rows.with_columns(reason=why).with_columns(
        fate=pl.when(pl.col("reason") == "garbage")
        .then(pl.lit("dead"))
        .when(pl.col("reason") != "")
        .then(pl.lit("rejected"))
        .when(late)
        .then(pl.lit("late"))
        .otherwise(pl.lit("stored"))
    )
    near = margin * SECOND
    timed = pl.col("reason").is_in(["", "ahead_of_clock"])
    ahead = (pl.col("stated") - pl.col("sent") - skew).is_between(0, near, closed="right")
    aged = (pl.col("stated") - pl.col("sent") + reach).abs() <= near if near else pl.lit(False)
    doubtful = rows.filter(timed & (ahead | aged)).height if near else 0
    return Expected(_judged(_again(rows)), doubtful, plan)


def read_sent(data: Path) -> pl.DataFrame:
    """Every sample of the truth, sent or not; instants in ns. Raises `oracle.no_truth`."""
    folder = data / "truth" / "sent"
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise NotFound(
            "oracle.no_truth",
            "no plant has kept its truth there",
            where=str(folder),
            mend="give the data folder of gemel plant",
        )
    words = [pl.col(name).cast(pl.String) for name in ("twin", "signal", "unit", "sent_as", "done")]
    times = [pl.col(name).dt.epoch("ns") for name in ("instant", "stated", "sent")]
    return pl.concat([pl.read_parquet(file).with_columns(*words, *times) for file in files])


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """With the names that were on the wire."""
    return rows.with_columns(
        twin=pl.when(pl.col("sent_as") == "other twin")
        .then(pl.col("twin").map_elements(other_twin, pl.String))
        .otherwise("twin"),
        signal=pl.when(pl.col("sent_as") == "other signal")
        .then(pl.col("signal").map_elements(other_signal, pl.String))
        .otherwise("signal"),
    )


def _declared(rows: pl.DataFrame, plan: Plan) -> tuple[pl.DataFrame, pl.Expr]:
    """With limits beside, and values in declared units; and which units are of another kind."""
    limits = [
        {
            "twin": twin.id,
            "signal": name,
            "declared": told.unit,
            "low": max(told.low, -ABSURD),
            "high": min(told.high, ABSURD),
            "rate": told.rate,
            "stuck": told.stuck,
        }
        for twin in plan.plant.twins.values()
        for name, told in plan.plant.interfaces[twin.interface].telemetry.items()
    ]
    rows = rows.join(pl.DataFrame(limits), on=["twin", "signal"], how="left", maintain_order="left")
    wrong = pl.lit(False)
    pairs = rows.filter((pl.col("unit") != "") & pl.col("declared").is_not_null())
    for unit, declared in pairs.select("unit", "declared").unique().iter_rows():
        here = (pl.col("unit") == unit) & (pl.col("declared") == declared)
        some = rows.filter(here)["value"].to_numpy().copy()
        try:
            told = pl.Series(convert(some, unit, declared))
        except Invalid:
            wrong = wrong | here
            continue
        place = rows.select(here.arg_true()).to_series()
        rows = rows.with_columns(value=rows["value"].scatter(place, told))
    return rows, wrong


def _again(rows: pl.DataFrame) -> pl.DataFrame:
    """What came before under the same name and instant: equal, or another value."""
    fates = []
    known: dict[tuple[str, str, int], float] = {}
    columns = ("fate", "twin", "signal", "stated", "value")
    for fate, twin, signal, stated, value in rows.select(columns).iter_rows():
        if fate == "stored":
            key = twin, signal, stated
            if key in known:
                fate = "duplicate" if known[key] == value else "correction"
            known[key] = value
        fates.append(fate)
    return rows.with_columns(fate=pl.Series(fates, dtype=pl.String))


def _judged(rows: pl.DataFrame) -> pl.DataFrame:
    """With quality and reason."""
    last: dict[tuple[str, str], tuple[int, float, int]] = {}  # instant, value, since when it stands
    reasons = []
    columns = "fate twin signal stated value reason low high rate stuck".split()
    for fate, twin, signal, stated, value, reason, *limits in rows.select(columns).iter_rows():
        if fate in ("stored", "correction", "late"):
            low, high, rate, stuck = limits
            if not low <= value <= high:
                reason = "range"
            elif fate == "late":
                reason = "late"
            else:
                key = twin, signal
                reason, last[key] = _in_time(last.get(key), stated, value, rate, stuck)
        reasons.append(reason)
    uncertain = pl.col("reason").is_in(["late", "stuck"])
    bad = pl.col("reason").is_in(["range", "rate"])
    return rows.with_columns(reason=pl.Series(reasons, dtype=pl.String)).select(
        "number",
        "twin",
        "signal",
        "stated",
        "value",
        "fate",
        "reason",
        "sent",
        "done",
        quality=pl.when(bad).then(2).when(uncertain).then(1).otherwise(0),
    )


def _in_time(
    before: tuple[int, float, int] | None, stated: int, value: float, rate: float, stuck: float
) -> tuple[str, tuple[int, float, int]]:
    """Why a reading is doubted after those before it; what is remembered of it."""
    if before is None:
        return "", (stated, value, stated)
    at, last, since = before
    if stated < at:
        return "", before  # nothing newer to judge it by
    if stated > at and abs(value - last) > rate * (stated - at) / SECOND:
        return "rate", before
    since = since if value == last else stated
    reason = "stuck" if (stated - since) / SECOND >= stuck else ""
    return reason, (stated, value, since)
