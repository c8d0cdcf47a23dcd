"""Series for a chart: what was measured, believed and left over, by name, in few points.

Owns    the names of series, reading them from history, and what is told of their quality.
Never   makes up a point: a thinned line is some of its points, and says that it is thinned.

    TWIN:SIGNAL                         telemetry, what is not bad; what is not good as spans
    TWIN:BINDING/STATE                  an estimate, with its std
    TWIN:BINDING/SENSOR.foreseen        what a sensor should read, before it did
    TWIN:BINDING/SENSOR.residual        measured less foreseen, with the std of what was foreseen
    TWIN:BINDING/health.MODE            a health index
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gemel.clock import SECOND
from gemel.errors import Invalid, NotFound
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.track import residuals
from gemel.records import BAD, Floats, Instants
from gemel.store.lake import Lake
from gemel.store.rollups import aggregate
from gemel.store.series import minmax
from gemel.store.wanted import Wanted

MILLI = 1_000_000  # ns
FACTS = 1_000_000  # rows of the lake that one request takes into memory
BREAK = 5.0  # usual steps without a sample are told as a gap
MOST = 200  # spans of a series
GRADES = ("good", "uncertain", "bad")


@dataclass(frozen=True)
class Series:
    """What a name means. kind: telemetry, belief or residual; binding: "" of telemetry."""

    name: str
    kind: str
    twin: str
    subject: str
    unit: str
    binding: str = ""


@dataclass(frozen=True)
class Window:
    """start ≤ instant < end, as known at tick `known`, in about `points` points."""

    start: int
    end: int
    points: int
    known: int | None = None


def find(plan: Plan, name: str) -> Series:
    """What a series' name means. `series.unknown` where there is no such thing."""
    twin, _, rest = name.partition(":")
    held = plan.plant.twins.get(twin)
    if held is None:
        raise _unknown(name, f"there is no twin '{twin[:64]}'")
    signal = plan.plant.interfaces[held.interface].telemetry.get(rest)
    if signal is not None:
        return Series(name, "telemetry", twin, rest, signal.unit)
    binding, _, subject = rest.partition("/")
    fleet = plan.fleets.get(binding)
    if fleet is None or twin not in fleet.row:
        raise _unknown(name, f"{twin} has no signal '{rest[:64]}'")
    unit = _unit(fleet, subject)
    if unit is None:
        raise _unknown(name, f"binding {binding} knows no '{subject[:64]}'")
    kind = "residual" if subject.endswith(".residual") else "belief"
    return Series(name, kind, twin, subject, unit, binding)


def _unit(fleet: Fleet, subject: str) -> str | None:
    layout = fleet.kernel.layout
    sensor, _, what = subject.rpartition(".")
    if what in ("foreseen", "residual") and sensor in layout.outputs:
        return layout.outputs[sensor].unit
    if subject.startswith("health."):
        return "1"
    return layout.states[subject].unit if subject in layout.states else None


def _unknown(name: str, what: str) -> NotFound:
    return NotFound(
        "series.unknown",
        what,
        where=name[:130],
        mend="write TWIN:SIGNAL, or TWIN:BINDING/STATE, …/SENSOR.foreseen, …/SENSOR.residual,"
        " …/health.MODE; GET /api/v1/plant lists them",
    )


def read(plan: Plan, lake: Lake, names: Iterable[str], window: Window) -> list[dict[str, Any]]:
    """The series of these names, each in about `window.points` points, in the order of names."""
    wanted = [find(plan, name) for name in names]
    told: dict[str, dict[str, Any]] = {}
    for kind, reader in (("telemetry", _telemetry), ("belief", _belief), ("residual", _residual)):
        some = [one for one in wanted if one.kind == kind]
        if some:
            told |= reader(plan, lake, some, window)
    return [told[one.name] for one in wanted]


# ---- measured ---------------------------------------------------------------------------------


def _telemetry(
    plan: Plan, lake: Lake, some: list[Series], window: Window
) -> dict[str, dict[str, Any]]:
    among = {"twin": sorted({s.twin for s in some}), "signal": sorted({s.subject for s in some})}
    if lake.count("telemetry", among, window.start, window.end, window.known) > FACTS:
        return {one.name: _rolled(lake, one, window) for one in some}
    table = lake.telemetry(
        among["twin"], among["signal"], window.start, window.end, window.known
    ).select(["twin", "signal", "instant", "value", "quality", "reason"])
    return {one.name: _measured(plan, one, _of(table, one, "signal"), window) for one in some}


def _measured(plan: Plan, one: Series, rows: pa.Table, window: Window) -> dict[str, Any]:
    instant, value = rows["instant"].to_numpy(), rows["value"].to_numpy()
    quality = rows["quality"].to_numpy()
    sound = np.flatnonzero(quality < BAD)
    kept = sound[minmax(instant[sound], value[sound], window.points)]
    interface = plan.plant.interfaces[plan.plant.twins[one.twin].interface]
    due = interface.telemetry[one.subject]
    longest = due.gap * due.every if np.isfinite(due.every) else np.nan
    return {
        **_head(one, instant[kept], value[kept], len(sound)),
        "spans": _spans(instant, quality, rows["reason"].to_pylist(), longest, window),
    }


def _rolled(lake: Lake, one: Series, window: Window) -> dict[str, Any]:
    """Too many samples to look at each: the mean of each span, with its least and greatest."""
    width = _width((window.end - window.start) // window.points)
    wanted = Wanted(
        {"twin": [one.twin], "signal": [one.subject]}, window.start, window.end, known=window.known
    )
    rows = aggregate(lake, wanted, width, ["twin", "signal"])
    instant = rows["instant"].to_numpy() + width // 2
    told = _head(one, instant, rows["mean"].to_numpy(), pc.sum(rows["count"]).as_py() or 0)
    least, most = rows["min"].to_pylist(), rows["max"].to_pylist()
    return {**told, "width": width / SECOND, "low": least, "high": most}


def _width(least: int) -> int:
    """The shortest of the widths that a roll-up may have, at least so wide."""
    minute = 60 * SECOND
    usual = (1, 5, 10, 15, 30, 60, 120, 360, 720, 1440)
    return next((k * minute for k in usual if k * minute >= least), -(-least // 86_400 // SECOND))


def _spans(
    instant: Instants, quality: NDArray[np.int8], reason: list[str], longest: float, window: Window
) -> list[dict[str, Any]]:
    """Where samples were not good, and where there were none: [{start, end, kind, reason}]."""
    if len(instant) == 0:
        return []
    step = np.diff(instant)
    usual = float(np.median(step)) if len(step) else float(SECOND)
    limit = longest * SECOND if np.isfinite(longest) else BREAK * usual
    gaps = np.flatnonzero(step > limit)
    spans = [_span(instant[k], instant[k + 1], "gap", "", 0) for k in gaps]
    faulty = np.flatnonzero(quality)
    near = (window.end - window.start) // MOST
    last: dict[str, Any] | None = None
    for k in faulty[: 50 * MOST].tolist():
        end = instant[k] + (min(step[k], usual) if k < len(step) else usual)
        word, grade = reason[k], GRADES[quality[k]]
        if last and (last["kind"], last["reason"]) == (grade, word):
            if instant[k] - last["end"] <= max(near, 2 * usual):
                last.update(end=int(end), samples=last["samples"] + 1)
                continue
        last = _span(instant[k], end, grade, word, 1)
        spans.append(last)
    spans = sorted(spans, key=lambda span: span["start"] - span["end"])[:MOST]
    return [
        {**span, "start": span["start"] // MILLI, "end": span["end"] // MILLI}
        for span in sorted(spans, key=lambda span: span["start"])
    ]


def _span(start: Any, end: Any, kind: str, reason: str, samples: int) -> dict[str, Any]:
    return {
        "start": int(start),
        "end": int(end),
        "kind": kind,
        "reason": reason,
        "samples": samples,
    }


# ---- believed ---------------------------------------------------------------------------------


def _belief(
    plan: Plan, lake: Lake, some: list[Series], window: Window
) -> dict[str, dict[str, Any]]:
    twins, names = sorted({s.twin for s in some}), sorted({s.subject for s in some})
    bindings = sorted({s.binding for s in some})
    _few(lake, {"twin": twins, "name": names, "binding": bindings}, window)
    table = lake.estimates(twins, names, window.start, window.end, window.known, bindings)
    told = {}
    for one in some:
        rows = _of(table.filter(pc.field("binding") == one.binding), one, "name")
        rows = rows.filter(pc.is_finite(rows["mean"]))
        instant, mean, std = (rows[name].to_numpy() for name in ("instant", "mean", "std"))
        told[one.name] = _doubted(one, instant, mean, std, window)
    return told


def _residual(
    plan: Plan, lake: Lake, some: list[Series], window: Window
) -> dict[str, dict[str, Any]]:
    told = {}
    for binding in {one.binding for one in some}:
        own = [one for one in some if one.binding == binding]
        fleet = plan.fleets[binding]
        rows = sorted({fleet.row[one.twin] for one in own})
        names = [f"{sensor}.foreseen" for sensor in fleet.kernel.layout.outputs]
        twins = [fleet.twins[row] for row in rows]
        _few(lake, {"twin": twins, "name": names, "binding": [binding]}, window)
        seen = residuals(plan, fleet, lake, window.start, window.end, rows, window.known)
        for one in own:
            sensor = names.index(one.subject.removesuffix("residual") + "foreseen")
            k = (seen.row == fleet.row[one.twin]) & (seen.sensor == sensor)
            off, z = seen.off[k], seen.z[k]
            std = np.divide(off, z, out=np.full(len(z), np.nan), where=z != 0)
            told[one.name] = _doubted(one, seen.instant[k], off, std, window)
    return told


def _doubted(
    one: Series, instant: Instants, mean: Floats, std: Floats, window: Window
) -> dict[str, Any]:
    kept = minmax(instant, mean, window.points)
    return {
        **_head(one, instant[kept], mean[kept], len(instant)),
        "stds": [s if np.isfinite(s) else None for s in std[kept].tolist()],
    }


def _few(lake: Lake, among: dict[str, list[str]], window: Window) -> None:
    if lake.count("estimates", among, window.start, window.end, window.known) > FACTS:
        raise Invalid(
            "history.too_many",
            f"more than {FACTS} rows lie in that window",
            where="valid",
            mend="ask for a shorter window, or for fewer series at once",
        )


# ---- both -------------------------------------------------------------------------------------


def _of(table: pa.Table, one: Series, column: str) -> pa.Table:
    own = (pc.field("twin") == one.twin) & (pc.field(column) == one.subject)
    return table.filter(own).sort_by("instant")


def _head(one: Series, instant: Instants, value: Floats, count: int) -> dict[str, Any]:
    """What every series has; `times` are ms since 1970, UTC."""
    return {
        "name": one.name,
        "kind": one.kind,
        "twin": one.twin,
        "binding": one.binding,
        "subject": one.subject,
        "unit": one.unit,
        "count": count,
        "thinned": len(instant) < count,
        "width": None,
        "times": (instant // MILLI).tolist(),
        "values": value.tolist(),
        "stds": None,
        "low": None,
        "high": None,
        "spans": [],
    }


def table(plan: Plan, lake: Lake, names: Iterable[str], window: Window) -> pl.DataFrame:
    """Every point of these series: series, instant, value, std, unit, quality, reason."""
    whole = Window(window.start, window.end, FACTS, window.known)
    return pl.concat([_whole(plan, lake, find(plan, name), whole) for name in names])


def _whole(plan: Plan, lake: Lake, one: Series, window: Window) -> pl.DataFrame:
    if one.kind == "telemetry":
        rows = lake.telemetry(
            [one.twin], [one.subject], window.start, window.end, window.known
        ).select(["instant", "value", "quality", "reason"])
        frame = pl.DataFrame(pl.from_arrow(rows)).with_columns(
            pl.lit(None, pl.Float64).alias("std"),
            pl.col("quality").replace_strict([0, 1, 2], list(GRADES), return_dtype=pl.String),
        )
    else:
        told = read(plan, lake, [one.name], window)[0]
        frame = pl.DataFrame(
            {"value": told["values"], "std": told["stds"], "instant": told["times"]},
            schema_overrides={"value": pl.Float64, "std": pl.Float64, "instant": pl.Int64},
        ).with_columns(
            pl.col("instant") * MILLI,
            pl.lit(None, pl.String).alias("quality"),
            pl.lit(None, pl.String).alias("reason"),
        )
    return frame.sort("instant").select(
        pl.lit(one.name).alias("series"),
        pl.col("instant").cast(pl.Datetime("ns", "UTC")),
        pl.col("value"),
        pl.col("std"),
        pl.lit(one.unit).alias("unit"),
        pl.col("quality"),
        pl.col("reason").cast(pl.String),
    )
