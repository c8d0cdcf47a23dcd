"""The accuracy table: how well physics foresees a wind turbine's bearings, against the old ways.

Owns    the rules of the comparison (which rows, which inputs, fitted before, judged after), the
        baselines it is held against, and the bars.
Never   lets a kernel see what it is judged by: no judged row is fitted to, no sensor is an input.

    line     GE's: slope · speed + intercept, per turbine
    ridge    static ridge on load, speed, ambient and nacelle, per turbine
    ours     the physics kernel, fitted per turbine, open loop from the start of each unbroken run
    spread   standard deviation of the readings: what knowing nothing but their mean would give
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from gemel.clock import SECOND, parse_instant
from gemel.connect.files import read_table
from gemel.connect.tables import TableFile
from gemel.errors import NotFound
from gemel.insight.lifecycle import History, runs, windows
from gemel.kernels.base import Kernel
from gemel.kernels.fit import Fit, Loss, Prior, Windows, fit, natural, pooled, prior_of, simulate
from gemel.kernels.library.expected_temperature import ExpectedTemperature
from gemel.kernels.library.generator_bearing import GeneratorBearing
from gemel.kernels.library.rotor_bearing import RotorBearing
from gemel.records import Batch, Bools, Floats, Instants

EVERY = 600.0  # s
SETTLED = 72  # rows of unbroken history before a row counts: 12 h
YEAR = 365.25 * 86_400 * SECOND
ENOUGH = 1_000  # running rows from which a turbine is fitted on its own prior
LOSS = Loss(bend=2.0, sigma=1.5, fresh=30.0)  # degC; 30 rows, 5 h, are one fresh reading

# What may be used, and the farm's name of it. No other temperature, never the sensor itself.
INPUTS = {
    "wind_speed": "Ws",
    "ambient": "Ot",
    "power": "P",
    "pitch": "Ba",
    "rotor_speed": "Rs",
    "generator_speed": "DCs",
    "torque": "Cm",
    "nacelle": "Yt",
}


@dataclass(frozen=True)
class Target:
    """One sensor: its kernel, the line's speed, how its history is cut, and its bars."""

    binding: str
    column: str  # the farm's name of the sensor
    kernel: type[Kernel]
    speed: str
    warm: int
    judged: int
    bar: float  # degC
    bar_ratio: float  # of the line's error


TARGETS = (
    Target("rotor-bearing", "Rbt", RotorBearing, "rotor_speed", 144, 288, 2.0, 0.5),
    Target("generator-bearing-1", "Db1t", GeneratorBearing, "generator_speed", 72, 144, 2.0, 0.5),
    Target("generator-bearing-2", "Db2t", GeneratorBearing, "generator_speed", 72, 144, 2.4, 0.65),
)
COLUMNS = INPUTS | {target.binding: target.column for target in TARGETS}


@dataclass(frozen=True)
class Rules:
    """Fitted before `split`, judged from `judge_from` until `judge_to`, ns UTC."""

    split: int
    judge_from: int
    judge_to: int


@dataclass(frozen=True)
class Turbine:
    """instant (T,) · signals: name → (T,), NaN where missing · settled (T,) after 12 h unbroken"""

    name: str
    instant: Instants
    signals: dict[str, Floats]
    settled: Bools

    def running(self, sensor: str) -> Bools:
        """Rows that count for a sensor; the rest are standstills and sensor faults."""
        reading = self.signals[sensor]
        with np.errstate(invalid="ignore"):
            sound = (self.signals["raw_ambient"] < 45.0) & (reading < 120.0)
            return np.asarray(self.settled & (self.signals["generator_speed"] > 540.0) & sound)


@dataclass(frozen=True)
class Learned:
    """What a fleet learned of one target: values, stds (A,P); note (A,) where it leaned."""

    values: Floats
    stds: Floats
    notes: list[str]
    rows: list[int]


def accuracy_table(
    folder: Path,
    *,
    split: str = "2016-07-01T00:00:00Z",
    judge_from: str = "",
    judge_to: str = "",
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Fit before `split`, judge after; every sensor of every turbine in a folder of 10-minute data.

    Returns {"rules", "turbines": [row…], "pooled": [row with bars…], "parameters"}, errors in degC.
    `parameters` is {binding: {turbine: {values, stds, version}}}, as a plant file loads it.
    """
    at = parse_instant(split)
    end = parse_instant(judge_to) if judge_to else 2**62
    rules = Rules(at, max(at, parse_instant(judge_from)) if judge_from else at, end)
    turbines = read_turbines(folder)
    rows: list[dict[str, Any]] = []
    totals: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {}
    for target in TARGETS:
        if tell:
            tell(f"fitting {target.binding} of {len(turbines)} turbines")
        learned = _learn(target, turbines, rules)
        errors = _errors(target, turbines, rules, learned.values)
        for k, turbine in enumerate(turbines):
            rows.append(_row(target, turbine, errors[k], learned.rows[k], learned.notes[k]))
        totals.append(_pooled_row(target, errors))
        parameters[target.binding] = _as_parameters(target, turbines, learned, split)
    dates = {"split": split, "judge_from": judge_from or split, "judge_to": judge_to or "the end"}
    return {"rules": dates, "turbines": rows, "pooled": totals, "parameters": parameters}


def write_fitted(table: dict[str, Any], folder: Path) -> Path:
    """Write the table's parameters as `fitted.json` beside a plant file."""
    path = folder / "fitted.json"
    text = json.dumps(table["parameters"], indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def print_table(table: dict[str, Any], console: Console | None = None) -> None:
    """The table for people."""
    console = console or Console()
    split = table["rules"]["split"][:10]
    title = f"Root mean square error, degC: fitted before {split}, judged after"
    shown = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("sensor", no_wrap=True)
    for head in ("rows", "spread", "line", "ridge", "ours", "ratio"):
        shown.add_column(head, justify="right", no_wrap=True)
    shown.add_column("bar")
    for total in table["pooled"]:
        bar = f"≤ {total['bar']:.1f}, {total['bar_ratio']:.2f} "
        says = "[green]holds[/]" if total["holds"] else "[bold red]MISSED[/]"
        shown.add_row(total["sensor"], *_cells(total), bar + says, style="bold")
        for row in (row for row in table["turbines"] if row["sensor"] == total["sensor"]):
            shown.add_row(f"  {row['turbine']}", *_cells(row), row["note"])
        shown.add_section()
    console.print(shown)
    console.print("line: slope · speed + intercept; ratio: ours / line; bold: pooled over turbines")


def read_turbines(folder: Path) -> list[Turbine]:
    """Every turbine of a folder (or file) of Parquet or CSV with the farm's column names.

    Raises `accuracy.no_data`, or what `gemel.connect` says of a file it cannot read.
    """
    rows = Batch.joined([read_table(path, **_how(path)) for path in _files(folder)])
    turbines = []
    for name in sorted(rows.twin.compact().words):
        own = rows.part(rows.twin.are(name))
        moments = np.unique(own.instant)
        signals = {}
        for meaning in COLUMNS:
            here = own.signal.are(meaning)
            signals[meaning] = np.full(len(moments), np.nan)
            signals[meaning][np.searchsorted(moments, own.instant[here])] = own.value[here]
        turbines.append(_turbine(name, moments, signals))
    return turbines


def _files(folder: Path) -> list[Path]:
    found = [folder] if folder.is_file() else []
    for place in (folder, folder / "data"):
        for pattern in ("*.parquet", "*.csv"):
            found = found or sorted(place.glob(pattern))
    if not found:
        raise NotFound(
            "accuracy.no_data",
            "there is no Parquet or CSV file of 10-minute turbine data",
            where=folder.name,
            mend="give the folder of the data, for example examples/wind",
        )
    return found


def _how(path: Path) -> dict[str, Any]:
    """How to read a file: our names of its columns, with or without the source's `_avg`."""
    mean = "_avg" if "Ws_avg" in TableFile(path).header else ""
    columns = {meaning: column + mean for meaning, column in COLUMNS.items()}
    return {"columns": {"twin": "turbine"} | columns, "signals": list(COLUMNS)}


def _turbine(name: str, instant: Instants, signals: dict[str, Floats]) -> Turbine:
    """Mark unbroken history. An impossible ambient is a sensor fault: the last sound one holds."""
    signals["raw_ambient"] = signals["ambient"]
    sound = ~(signals["ambient"] >= 45.0)
    last = np.maximum.accumulate(np.where(sound, np.arange(len(sound)), 0))
    signals["ambient"] = signals["ambient"][last]
    inputs = np.stack([signals[meaning] for meaning in INPUTS], axis=1)
    broken = ~np.isfinite(inputs).all(axis=1)
    for meaning in INPUTS:
        signals[meaning] = np.where(broken, np.nan, signals[meaning])
    settled = np.zeros(len(instant), np.bool_)
    empty = np.zeros((len(instant), 0))
    for start, end in runs(History(instant, inputs, empty, empty), EVERY):
        settled[start + SETTLED : end] = True
    return Turbine(name, instant, signals, settled)


def _learn(target: Target, turbines: list[Turbine], rules: Rules) -> Learned:
    """Fit turbine by turbine; one with little history leans on its sisters, one with none is them.

    Recent readings count more (e-fold a year): grease is renewed, levels drift.
    """
    kernel = target.kernel()
    counts, histories = [], []
    for turbine in turbines:
        rows = turbine.running(target.binding) & (turbine.instant < rules.split)
        counts.append(int(rows.sum()))
        newest = turbine.instant[rows].max() if rows.any() else rules.split
        weight = rows.astype(float) * np.exp(np.minimum(turbine.instant - newest, 0) / YEAR)
        histories.append(_history(target, turbine, weight))
    cut = windows(
        histories, EVERY, warm=target.warm, judged=target.judged, first=min(target.warm, SETTLED)
    )
    usable = np.bincount(cut.asset, minlength=len(turbines)) > 0
    number = np.array(counts)
    rich, poor = (
        np.flatnonzero(usable & (number >= ENOUGH)),
        np.flatnonzero(usable & (number < ENOUGH)),
    )
    prior = prior_of(kernel)
    values = np.tile(natural(kernel, prior.centre), (len(turbines), 1))
    stds = np.tile(prior.spread, (len(turbines), 1))
    notes = ["" for _ in turbines]
    if len(rich):
        own = _fit(kernel, cut, rich)
        values[rich], stds[rich] = own.values, own.stds
        prior = pooled(kernel, own.values)
    values[~usable], stds[~usable] = natural(kernel, prior.centre), prior.spread
    if len(poor):
        lean = _fit(kernel, cut, poor, prior)
        values[poor], stds[poor] = lean.values, lean.stds
    source = f"{len(rich)} other turbines" if len(rich) else "typical values"
    for k in np.flatnonzero(~usable):
        notes[k] = f"no history: {source}"
    for k in poor:
        notes[k] = f"little history: leans on {source}"
    return Learned(values, stds, notes, counts)


def _fit(kernel: Kernel, cut: Windows, assets: Any, prior: Prior | None = None) -> Fit:
    return fit(kernel, cut.only(assets), loss=LOSS, prior=prior)


def _history(target: Target, turbine: Turbine, weight: Floats) -> History:
    inputs = np.stack([turbine.signals[n] for n in target.kernel.layout.inputs], axis=1)
    readings = turbine.signals[target.binding][:, None]
    return History(turbine.instant, inputs, readings, weight[:, None])


def _errors(
    target: Target, turbines: list[Turbine], rules: Rules, values: Floats
) -> list[dict[str, Floats]]:
    """Residuals on the judged rows of every turbine, by way: spread, line, ridge, ours."""
    before, judged = [], []
    for turbine in turbines:
        rows = turbine.running(target.binding)
        before.append(rows & (turbine.instant < rules.split))
        after = (turbine.instant >= rules.judge_from) & (turbine.instant < rules.judge_to)
        judged.append(rows & after)
    ours = _open_loop(target, turbines, judged, values)
    everyone = [k for k in range(len(turbines)) if before[k].any()]
    out = []
    for k, turbine in enumerate(turbines):
        reading = turbine.signals[target.binding][judged[k]]
        taught = [k] if before[k].sum() > len(INPUTS) else everyone
        told = [(turbines[j], before[j]) for j in taught]
        mean = reading.mean() if len(reading) else 0.0
        out.append(
            {
                "spread": reading - mean,
                "ge": reading - _line(target, told, turbine, judged[k]),
                "ridge": reading - _ridge(target, told, turbine, judged[k]),
                "ours": ours[k],
            }
        )
    return out


def _open_loop(
    target: Target, turbines: list[Turbine], judged: list[Bools], values: Floats
) -> list[Floats]:
    """Residuals of the kernel run from the start of each unbroken run, never corrected."""
    histories = [
        _history(target, turbine, rows.astype(float))
        for turbine, rows in zip(turbines, judged, strict=True)
    ]
    longest = max(
        (end - start for h in histories for start, end in runs(h, EVERY)), default=SETTLED
    )
    whole = windows(histories, EVERY, warm=SETTLED, judged=longest, least=1)
    read = simulate(target.kernel(), whole, values)
    lanes_of = [np.flatnonzero(whole.asset == k) for k in range(len(turbines))]
    residual = (whole.readings - read)[..., 0]
    return [residual[:, own][whole.mask[:, own, 0]] for own in lanes_of]


Taught = list[tuple[Turbine, Bools]]


def _line(target: Target, told: Taught, turbine: Turbine, rows: Bools) -> Floats:
    """GE's line by least squares; its typical values where nobody has any history."""
    speed = turbine.signals[target.speed][rows]
    if not told:
        slope, intercept = ExpectedTemperature.typical()
        return np.asarray(slope * speed + intercept)
    x = np.concatenate([t.signals[target.speed][r] for t, r in told])
    y = np.concatenate([t.signals[target.binding][r] for t, r in told])
    slope, intercept = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y, rcond=None)[0]
    return np.asarray(slope * speed + intercept)


def _ridge(target: Target, told: Taught, turbine: Turbine, rows: Bools) -> Floats:
    """Ridge on scaled features, the intercept free; NaN where nobody has any history."""
    features = _features(turbine, rows)
    if not told:
        return np.full(len(features), np.nan)
    x = np.concatenate([_features(t, r) for t, r in told])
    y = np.concatenate([t.signals[target.binding][r] for t, r in told])
    scale = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    x = x / scale
    penalty = 10.0 * np.eye(x.shape[1])
    penalty[0, 0] = 0.0
    return np.asarray(features / scale @ np.linalg.solve(x.T @ x + penalty, x.T @ y))


def _features(turbine: Turbine, rows: Bools) -> Floats:
    s = {name: turbine.signals[name][rows] for name in INPUTS}
    load, speed = s["power"] / 1000.0, s["generator_speed"] / 1000.0
    plain = [s["ambient"], s["nacelle"], s["wind_speed"], s["torque"] / 5000.0]
    return np.stack([np.ones_like(load), load, load**2, speed, speed**2, *plain], axis=1)


def _row(
    target: Target, turbine: Turbine, errors: dict[str, Floats], fitted: int, note: str
) -> dict[str, Any]:
    ours = errors["ours"]
    row = {"sensor": target.binding, "turbine": turbine.name, "fitted_rows": fitted}
    row |= _scores(errors) | {"bias": float(ours.mean()) if len(ours) else None}
    return row | {"note": note or ("" if len(ours) else "no running row to judge by")}


def _pooled_row(target: Target, errors: list[dict[str, Floats]]) -> dict[str, Any]:
    """All judged rows together, against the bars; `spread` about each turbine's own mean."""
    together = {way: np.concatenate([e[way] for e in errors]) for way in errors[0]}
    row = {"sensor": target.binding, "turbine": "pooled"} | _scores(together)
    held = (
        row["ours"] is not None and row["ours"] <= target.bar and row["ratio"] <= target.bar_ratio
    )
    return row | {"bar": target.bar, "bar_ratio": target.bar_ratio, "holds": held}


def _scores(errors: dict[str, Floats]) -> dict[str, Any]:
    """Rows and root mean squares; None where there is nothing to judge."""
    row: dict[str, Any] = {"rows": len(errors["ours"])}
    for way, error in errors.items():
        value = float(np.sqrt(np.mean(error**2))) if len(error) else float("nan")
        row[way] = value if np.isfinite(value) else None
    row["ratio"] = row["ours"] / row["ge"] if row["ours"] is not None and row["ge"] else None
    return row


def _as_parameters(
    target: Target, turbines: list[Turbine], learned: Learned, split: str
) -> dict[str, Any]:
    names = list(target.kernel.layout.parameters)
    version = f"{target.kernel.version} fitted before {split[:10]}"
    return {
        turbine.name: {
            "values": {n: _short(v) for n, v in zip(names, learned.values[k], strict=True)},
            "stds": {n: _short(v) for n, v in zip(names, learned.stds[k], strict=True)},
            "version": version,
        }
        for k, turbine in enumerate(turbines)
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _cells(row: dict[str, Any]) -> list[str]:
    figures = [row[way] for way in ("spread", "ge", "ridge", "ours", "ratio")]
    return [str(row["rows"]), *("–" if f is None else f"{f:.2f}" for f in figures)]
