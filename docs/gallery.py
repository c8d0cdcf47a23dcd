"""Writes the gallery of the kernel library: docs/gallery.md and docs/img/gallery-*.png.

    .venv/bin/python docs/gallery.py                # all of it
    .venv/bin/python docs/gallery.py tank pump      # only the plots whose names hold one of these

The text is the kernels' own: their docstrings and declarations. A plot's left half shows the
physics, its right half the twin: what the filter learns of one asset from noisy readings.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from gemel.clock import SECOND, parse_instant
from gemel.flow.accuracy import EVERY, read_turbines
from gemel.insight.lifecycle import History, runs, windows
from gemel.kernels import estimate, lanes
from gemel.kernels.base import Kernel, Values
from gemel.kernels.fit import simulate
from gemel.kernels.library import (
    arrhenius,
    battery,
    bearing_life,
    defect_frequencies,
    electrochemistry,
    paris_crack,
    petroff,
    pump,
    tank,
    thermal_zone,
)
from gemel.kernels.library.expected_temperature import ExpectedTemperature
from gemel.kernels.library.generator_bearing import GeneratorBearing
from gemel.kernels.library.journal_bearing import JournalBearing
from gemel.kernels.library.rotor_bearing import RotorBearing
from gemel.records import Estimate

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from drawing import FAINT, INK, MUTED, SLATE, STEEL, TWIN, png, style  # noqa: E402

PAGE, IMAGES, WIND = HERE / "gallery.md", HERE / "img", HERE.parent / "examples" / "wind"

DAY, NINETY = 86_400.0, 1.645  # s; standard deviations either side of 90 %

Floats = np.ndarray[Any, np.dtype[np.float64]]

# --- one asset and its twin ----------------------------------------------------------------------


@dataclass(frozen=True)
class Track:
    """time (T,) s · truth, mean, std: state → (T,) · readings: sensor → (T,) · the last belief"""

    time: Floats
    truth: dict[str, Floats]
    mean: dict[str, Floats]
    std: dict[str, Floats]
    readings: dict[str, Floats]
    belief: Estimate

    def thin(self, step: int) -> "Track":
        """Every `step`-th row: a plot needs no more."""
        columns = (self.truth, self.mean, self.std, self.readings)
        thinned = ({key: part[::step] for key, part in column.items()} for column in columns)
        return Track(self.time[::step], *thinned, self.belief)


def follow(
    kernel: type[Kernel], dt: float, told: dict[str, Any], *, seed: int = 3,
    own: dict[str, float] | None = None, events: dict[int, dict[str, float]] | None = None,
    every: dict[str, int] | None = None,
) -> Track:  # fmt: skip
    """A true asset, shaken as its kernel says and struck by `events`; and the filter beside it.

    told: inputs, each (T,) or one number · own: parameters · events: step → states set by force
    every: sensors that are read only every so many steps
    """
    asset, layout, rng = kernel(), kernel.layout, np.random.default_rng(seed)
    steps = max(np.size(v) for v in told.values())
    inputs = np.stack(
        [np.broadcast_to(np.asarray(told[n], float), steps) for n in layout.inputs], 1
    )
    typical = {name: item.typical for name, item in layout.parameters.items()}
    p = np.array([list((typical | (own or {})).values())])
    shake = [item.noise * np.sqrt(dt) for item in layout.states.values()]
    noise = np.array([item.noise for item in layout.outputs.values()])
    belief, x, yes = estimate.blank(kernel, 1), [], np.ones(1, bool)
    found: list[tuple[Any, ...]] = []
    for k in range(steps):
        u = inputs[k][None]
        columns = lanes.columns(u), lanes.columns(p)
        x = lanes.advance(asset, x, *columns, dt) if k else lanes.initial(asset, *columns, 1)
        if k:
            x = [a + s * rng.standard_normal(1) for a, s in zip(x, shake, strict=True)]
        struck = (events or {}).get(k, {})
        x = [
            np.array([struck[n]]) if n in struck else a
            for n, a in zip(layout.states, x, strict=True)
        ]
        y = lanes.dense(lanes.sense(asset, x, *columns), 1) + noise * rng.standard_normal(
            len(noise)
        )
        seen = np.array([[k % (every or {}).get(name, 1) == 0 for name in layout.outputs]])
        instant = int((1 + k * dt) * 1e9)
        belief = estimate.update(asset, belief, instant, u, yes, ~yes, y, seen, p)
        std = np.sqrt(np.diagonal(belief.cov[0]))
        found.append((lanes.dense(x, 1)[0], belief.mean[0], std, np.where(seen, y, np.nan)[0]))
    truth, mean, std, readings = (np.array(column) for column in zip(*found, strict=True))
    states, sensors = list(layout.states), list(layout.outputs)
    return Track(
        dt * np.arange(steps),
        *({n: v[:, k] for k, n in enumerate(states)} for v in (truth, mean, std)),
        {n: readings[:, k] for k, n in enumerate(sensors)},
        belief,
    )  # fmt: skip


def course(
    kernel: type[Kernel], seconds: Floats, told: dict[str, float], *,
    own: dict[str, float] | None = None, start: dict[str, float] | None = None,
) -> dict[str, Floats]:  # fmt: skip
    """The kernel alone, never corrected: states and readings at `seconds`, each (T,)."""
    asset, layout = kernel(), kernel.layout
    typical = {name: item.typical for name, item in layout.parameters.items()}
    p = [np.array([v]) for v in (typical | (own or {})).values()]
    u = [np.array([told[name]]) for name in layout.inputs]
    x = lanes.initial(asset, u, p, 1)
    x = [np.array([(start or {}).get(n, a[0])]) for n, a in zip(layout.states, x, strict=True)]
    rows = []
    for k, step in enumerate(np.diff(seconds, prepend=seconds[0])):
        x = lanes.advance(asset, x, u, p, float(step)) if k else x
        rows.append(
            np.concatenate([lanes.dense(x, 1)[0], lanes.dense(lanes.sense(asset, x, u, p), 1)[0]])
        )
    names = [*layout.states, *layout.outputs]
    return {name: column for name, column in zip(names, np.array(rows).T, strict=True)}


# --- how a plot looks ----------------------------------------------------------------------------


def panels() -> tuple[Figure, Axes, Axes]:
    """A figure of two panels, plain and light."""
    figure = Figure(figsize=(9.2, 3.1), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        plain(axes)
    return figure, left, right


def plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK, which="both")
    axes.grid(color="#eceff2", lw=0.8)
    axes.set_axisbelow(True)


def name(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, pad=8)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def ticks(axis: Axis, *places: float) -> None:
    """Plain numbers on a logarithmic axis."""
    axis.set_major_locator(FixedLocator(places))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def legend(axes: Axes, where: str = "best", **more: Any) -> None:
    axes.legend(loc=where, frameon=False, fontsize=8.5, handlelength=1.6, **more)


def learned(axes: Axes, time: Floats, track: Track, state: str, truth: str = "true") -> None:
    """What is true, and what the twin believes with 90 % of its doubt."""
    mean, reach = track.mean[state], NINETY * track.std[state]
    axes.fill_between(
        time, mean - reach, mean + reach, color=TWIN, alpha=0.16, lw=0, label="90 % band"
    )
    axes.plot(time, mean, color=TWIN, lw=1.6, label="learned by the twin")
    axes.plot(time, track.truth[state], color=INK, lw=1.3, ls=(0, (4, 2)), label=truth)


# --- bearings on real turbines -------------------------------------------------------------------

SPLIT, WEEK = parse_instant("2016-07-01T00:00:00Z"), parse_instant("2017-04-14T00:00:00Z")
SHOWN = 4 * 144  # rows of ten minutes


class Wind(NamedTuple):
    """One sensor of one turbine: what was measured, what the kernel foresees, and its errors."""

    days: Floats
    measured: Floats
    foreseen: Floats
    low: float
    high: float
    speed: Floats  # of all running rows before the split, and their readings
    reading: Floats
    speed_shown: Floats


def wind(kernel: type[Kernel], binding: str, turbine: str, speed: str) -> Wind:
    """Open loop over every unbroken run: fitted before July 2016, shown nine months later."""
    told = next(t for t in read_turbines(WIND) if t.name == turbine)
    fitted = json.loads((WIND / "fitted.json").read_text(encoding="utf-8"))[binding][turbine]
    p = np.array([fitted["values"][n] for n in kernel.layout.parameters])
    inputs = np.stack([told.signals[n] for n in kernel.layout.inputs], axis=1)
    reading = told.signals[binding]
    history = History(told.instant, inputs, reading[:, None], np.ones((len(reading), 1)))
    foreseen = np.full(len(reading), np.nan)
    for start, end in runs(history, EVERY):
        part = History(*(getattr(history, f)[start:end] for f in History.__dataclass_fields__))
        lane = windows([part], EVERY, warm=0, judged=end - start, least=1)
        if len(lane.asset):
            foreseen[start:end] = simulate(kernel(), lane, p[None])[:, 0, 0]
    before = told.running(binding) & (told.instant < SPLIT) & np.isfinite(foreseen)
    low, high = np.quantile((reading - foreseen)[before], [0.05, 0.95])
    first = int(np.searchsorted(told.instant, WEEK))
    rows = slice(first, first + SHOWN)
    days = (told.instant[rows] - WEEK) / SECOND / DAY
    return Wind(
        days, reading[rows], foreseen[rows], low, high,
        told.signals[speed][before], reading[before], told.signals[speed][rows],
    )  # fmt: skip


def week(axes: Axes, w: Wind, title: str) -> None:
    axes.fill_between(w.days, w.foreseen + w.low, w.foreseen + w.high, color=TWIN, alpha=0.16, lw=0,
                      label="90 % band")  # fmt: skip
    axes.plot(w.days, w.foreseen, color=TWIN, lw=1.5, label="foreseen, from inputs alone")
    axes.plot(w.days, w.measured, color=INK, lw=1.0, label="measured")
    name(axes, title, "days from 14 April 2017", "bearing, °C")


def expected_temperature() -> Figure:
    figure, left, right = panels()
    w = wind(GeneratorBearing, "generator-bearing-1", "R80721", "generator_speed")
    slope, intercept = np.polyfit(w.speed, w.reading, 1)
    some = np.random.default_rng(1).choice(len(w.speed), 260, replace=False)
    left.plot(
        w.speed[some], w.reading[some], ".", color=SLATE, ms=3.5, label="three years of readings"
    )
    at = np.array([w.speed.min(), w.speed.max()])
    left.plot(at, slope * at + intercept, color=STEEL, lw=2, label="the line through them")
    name(left, "What a bearing's temperature should be", "generator speed, rpm", "bearing, °C")
    legend(left, "upper left")
    line = slope * w.speed_shown + intercept
    turning = np.where(w.speed_shown > 540, line, np.nan)
    right.plot(w.days, turning, color=STEEL, lw=1.3, label="the line")
    right.plot(w.days, w.foreseen, color=TWIN, lw=1.5, label="physics: GeneratorBearing")
    right.plot(w.days, w.measured, color=INK, lw=1.0, label="measured")
    name(right, "Four days: the line, and the physics", "days from 14 April 2017", "bearing, °C")
    right.set_ylim(top=right.get_ylim()[1] + 9)
    legend(right, "upper left", ncols=2)
    return figure


def rotor_bearing() -> Figure:
    figure, left, right = panels()
    hours = np.linspace(0, 48, 97)
    told = {"ambient": 10.0, "nacelle": 20.0}
    for power, colour in ((300.0, SLATE), (1000.0, STEEL), (2000.0, TWIN)):
        run = course(RotorBearing, hours * 3600, told | {"rotor_speed": 16.0, "power": power},
                     start={"bearing": 17.0})  # fmt: skip
        left.plot(hours, run["temperature"], color=colour, lw=1.8, label=f"{power:.0f} kW")
    name(left, "It takes half a day to warm up", "hours after a start", "bearing, °C")
    legend(left, "lower right")
    week(right, wind(RotorBearing, "rotor-bearing", "R80711", "rotor_speed"),
         "Nine months after the fit, turbine R80711")  # fmt: skip
    right.set_ylim(top=right.get_ylim()[1] + 4)
    legend(right, "upper left", ncols=2)
    return figure


def generator_bearing() -> Figure:
    figure, left, right = panels()
    bearing = GeneratorBearing()
    p = Values({k: v.typical for k, v in bearing.layout.parameters.items()})
    over = np.linspace(0, 20, 101)
    for stator, colour in ((50.0, SLATE), (57.0, STEEL), (65.0, TWIN)):
        duty = bearing.gate((p.fan_at - over) / p.fan_width) * bearing.gate(
            (stator - p.thermostat) / 2
        )
        left.plot(over, duty, color=colour, lw=1.8, label=f"stator at {stator:.0f} °C")
    name(left, "The fan that nobody reports", "nacelle over ambient, K", "fan duty")
    legend(left, "upper right")
    week(right, wind(GeneratorBearing, "generator-bearing-2", "R80711", "generator_speed"),
         "Nine months after the fit, turbine R80711")  # fmt: skip
    right.set_ylim(top=right.get_ylim()[1] + 9)
    legend(right, "upper left", ncols=2)
    return figure


def journal_bearing() -> Figure:
    figure, left, right = panels()
    flows = np.linspace(20, 60, 41)
    told = {"speed": 3000.0, "load": 90.0, "ambient": 25.0, "oil_inlet": 45.0}
    seconds = np.arange(0, 40) * 600.0
    for wear, colour in ((0.0, SLATE), (0.3, STEEL), (0.6, TWIN)):
        settled = [
            course(JournalBearing, seconds, told | {"oil_flow": q}, start={"wear": wear})
            ["temperature"][-1] for q in flows
        ]  # fmt: skip
        left.plot(flows, settled, color=colour, lw=1.8, label=f"wear {wear:.1f}")
    name(left, "Wear heats, oil cools", "oil flow, L/min", "metal, °C")
    legend(left)
    steps = 12 * 144
    k = np.arange(steps)
    inputs = told | {"load": 90 + 4 * np.sin(k / 11), "oil_flow": 35.0}
    track = follow(JournalBearing, 600.0, inputs, events={4 * 144: {"pace": 8.0}})
    thin = track.thin(8)
    learned(right, thin.time / DAY, thin, "pace")
    right.set_ylim(-3, 12)
    name(right, "A fault on day 4: its pace is learned", "days", "pace of wear, × ordinary")
    legend(right, "upper left")
    return figure


# --- bearings, cracks, insulation ----------------------------------------------------------------


def petroff_bearing() -> Figure:
    figure, left, right = panels()
    number = np.geomspace(0.005, 10, 121)
    left.loglog(
        number,
        2 * np.pi**2 * number,
        color=SLATE,
        lw=1.6,
        ls=(0, (4, 2)),
        label="Petroff, unloaded",
    )
    left.loglog(number, 2 * np.pi**2 * number * petroff.loaded(number), color=STEEL, lw=2,
                label="Raimondi–Boyd, l = 2r")  # fmt: skip
    left.plot([0.135], [3.50], "o", color=TWIN, ms=6, label="Shigley's example: 3.50")
    name(left, "Friction, and what load adds", "Sommerfeld number S", "friction  (r/c) f")
    legend(left, "upper left")
    k = np.arange(360)
    told = {"speed": np.where(k % 60 < 50, 3000.0, 30.0), "load": 15 + 5 * np.sin(k / 20),
            "oil_inlet": 45 + 2 * np.sin(k / 50)}  # fmt: skip
    track = follow(petroff.PetroffBearing, 120.0, told, own={"wear_rate": 4e-3}, seed=2)
    learned(right, track.time / 3600, track, "worn")
    name(right, "Each stop wears the gap; torque and heat tell", "hours", "clearance worn away, µm")
    legend(right, "upper left")
    return figure


def rolling_bearing() -> Figure:
    figure, left, right = panels()
    ratio = np.geomspace(0.1, 4, 121)
    for dirt, colour in ((0.02, FAINT), (0.05, SLATE), (0.1, STEEL), (0.3, TWIN)):
        left.loglog(
            ratio,
            bearing_life.life_factor_iso(ratio, dirt),
            color=colour,
            lw=1.8,
            label=f"{dirt:g}",
        )
    name(left, "Film and dirt: ISO 281's life factor", "viscosity ratio κ", "a_ISO")
    ticks(left.xaxis, 0.1, 0.2, 0.5, 1, 2, 4)
    ticks(left.yaxis, 0.1, 1, 10, 50)
    legend(left, "upper left", title="cleanliness e·Cᵤ/P", title_fontsize=8.5)
    k = np.arange(360)
    told = {"speed": 1500.0, "load": 2 + 0.5 * np.sin(k / 9), "temperature": 70 + 5 * np.sin(k / 7)}
    own = {"own_life": 1.5, "growth": 1.8, "quiet": 0.8}
    track = follow(bearing_life.RollingBearing, DAY, told, own=own, every={"vibration": 6})
    heard = np.log(track.readings["vibration"] / own["quiet"]) / own["growth"]
    right.plot(track.time / DAY, heard, ".", color=SLATE, ms=4, label="vibration says")
    learned(right, track.time / DAY, track, "damage")
    right.axhline(1.0, color=INK, lw=0.8)
    right.annotate("spalled", (4, 1.0), xytext=(0, 3), textcoords="offset points", fontsize=8.5)
    name(right, "Life used, learned from vibration", "days", "damage")
    right.set_ylim(-0.2, 1.15)
    legend(right, "center left", bbox_to_anchor=(0, 0.68))
    return figure


def bearing_defects() -> Figure:
    figure, left, right = panels()
    ratio, f = 0.20338, 25.0
    outer, inner = (
        g(9, ratio, 0.0) * f
        for g in (defect_frequencies.outer_frequency, defect_frequencies.inner_frequency)
    )
    cage, ball = (
        g(ratio, 0.0) * f
        for g in (defect_frequencies.cage_frequency, defect_frequencies.ball_frequency)
    )
    lines = {"cage FTF": (cage, 0.5, FAINT), "ball BSF": (ball, 1.0, SLATE),
             "outer ring BPFO": (outer, 2.4, TWIN),
             "inner ring BPFI": (inner, 1.4, STEEL)}  # fmt: skip
    rng = np.random.default_rng(4)
    at = np.linspace(0, 320, 321)
    left.plot(at, 0.12 + 0.05 * np.abs(rng.standard_normal(321)), color=FAINT, lw=0.8)
    for label, (line, level, colour) in lines.items():
        some = np.arange(1, int(320 / line) + 1)[:3]
        left.vlines(
            some * line, 0, level / some, color=colour, lw=2.2, label=f"{label}, {line:.1f} Hz"
        )
    name(left, "Each fault at its own line: 6205, 1500 rpm", "frequency, Hz", "envelope, m/s²")
    left.set_ylim(0, 3.4)
    legend(left, "upper right", ncols=2)
    k = np.arange(360)
    track = follow(defect_frequencies.BearingDefects, 3600.0, {"speed": 1500 + 200 * np.sin(k / 9)},
                   events={0: {"outer": 0.05, "inner": 0.0, "ball": 0.0}}, seed=8)  # fmt: skip
    days = track.time / DAY
    learned(right, days, track, "outer", "true, outer ring")
    right.plot(days, track.mean["ball"], color=SLATE, lw=1.4, label="ball, as learned")
    right.axhline(defect_frequencies.CRITICAL, color=INK, lw=0.8)
    right.annotate("not to be run with", (14.9, 3), xytext=(0, 4), textcoords="offset points",
                   fontsize=8.5, ha="right")  # fmt: skip
    right.set_ylim(-0.2, 3.6)
    name(right, "A spall on the outer ring grows", "days", "spall, mm")
    legend(right, "center left", bbox_to_anchor=(0, 0.6))
    return figure


def paris() -> Figure:
    figure, left, right = panels()
    kernel = paris_crack.ParisCrack
    driving = np.geomspace(3.0, 54, 100)
    left.loglog(driving, 10 * (driving / 10) ** 3, color=STEEL, lw=2)
    left.vlines([3.0, 54.0], [0.05, 1574], [0.27, 6000], color=SLATE, lw=1.5, ls=(0, (3, 2)))
    left.annotate("threshold", (3.1, 0.07), fontsize=8.5, color=MUTED)
    left.annotate("fracture", (52, 3000), ha="right", fontsize=8.5, color=MUTED)
    name(left, "Paris's law, steel", "range of stress intensity ΔK, MPa√m", "growth, nm a cycle")
    ticks(left.xaxis, 3, 5, 10, 20, 50)
    ticks(left.yaxis, 0.1, 1, 10, 100, 1000)
    steps, dt = 110, 1800.0
    told = {"stress_range": 100.0, "cycle_rate": 1.0}
    track = follow(kernel, dt, told | {"cycle_rate": np.ones(steps)}, every={"length": 4},
                   events={0: {"crack": 1.15, "pace": 0.25}})  # fmt: skip
    days, now = track.time / DAY, track.time[-1] / DAY
    right.plot(days, track.readings["length"], ".", color=SLATE, ms=4.5, label="gauge")
    learned(right, days, track, "crack")
    fan, later = ahead(track, told)
    right.fill_between(now + later / DAY, fan[0], fan[2], color=STEEL, alpha=0.2, lw=0,
                       label="foreseen, 90 %")  # fmt: skip
    right.plot(now + later / DAY, fan[1], color=STEEL, lw=1.6)
    start = {state: part[-1] for state, part in track.truth.items()}
    right.plot(now + later / DAY, course(kernel, later, told, start=start)["crack"],
               color=INK, lw=1.3, ls=(0, (4, 2)))  # fmt: skip
    critical = 1e3 * (60 * 0.9 / 112) ** 2 / np.pi
    right.axhline(critical, color=INK, lw=0.8)
    right.annotate(
        "fracture", (0.0, critical), xytext=(0, -11), textcoords="offset points", fontsize=8.5
    )
    right.set_ylim(0, 1.12 * critical)
    name(right, "One crack: measured, foreseen, and what came", "days", "crack, mm")
    legend(right, "center left")
    return figure


def ahead(track: Track, told: dict[str, float]) -> tuple[Floats, Floats]:
    """The crack on 400 paths from the twin's last belief: 5, 50 and 95 %; and the seconds ahead."""
    kernel, paths = paris_crack.ParisCrack(), 400
    draws = np.random.default_rng(9).standard_normal((paths, 2))
    start = track.belief.mean[0] + draws @ np.linalg.cholesky(track.belief.cov[0]).T
    p = [np.full(paths, item.typical) for item in kernel.layout.parameters.values()]
    u = [np.full(paths, told[n]) for n in kernel.layout.inputs]
    x, rows, later = lanes.columns(start), [], 3600.0 * np.arange(121)
    for _ in later:
        rows.append(np.quantile(x[0], [0.05, 0.5, 0.95]))
        x = lanes.advance(kernel, x, u, p, 3600.0)
    return np.array(rows).T, later


def insulation() -> Figure:
    figure, left, right = panels()
    hot = np.linspace(80, 140, 121)
    life = 180_000 / arrhenius.acceleration(1.2926, 110.0, hot) / 8766
    left.semilogy(hot, life, color=STEEL, lw=2, label="Arrhenius, 1.29 eV")
    known = np.array([100.0, 110.0, 120.0, 130.0])
    factor = np.array([0.3499, 1.0, 2.709, 6.984])
    left.plot(known, 180_000 / factor / 8766, "o", color=TWIN, ms=6, label="IEEE C57.91")
    left.set_yticks([0.5, 1, 5, 20, 100, 500], ["0.5", "1", "5", "20", "100", "500"])
    name(left, "Seven degrees more, half the life", "hot spot, °C", "life, years")
    legend(left, "upper right")
    k = np.arange(14 * 122)
    told = {"ambient": 15 + 10 * np.sin(k * 2 * np.pi / 122), "load": 1.06 + 0.05 * np.sin(k / 3)}
    track = follow(arrhenius.InsulationAgeing, 3 * DAY, told, every={"polymerisation": 61}, seed=5)
    thin, years = track.thin(8), 365.25 * DAY
    mean, reach = thin.mean["aged"], NINETY * thin.std["aged"]
    right.plot(track.time / years, track.readings["polymerisation"], ".", color=SLATE, ms=6,
               label="oil samples")  # fmt: skip
    right.fill_between(thin.time / years, links(mean + reach), links(mean - reach), color=TWIN,
                       alpha=0.16, lw=0, label="90 % band")  # fmt: skip
    right.plot(thin.time / years, links(mean), color=TWIN, lw=1.6, label="learned by the twin")
    right.plot(thin.time / years, links(thin.truth["aged"]), color=INK, lw=1.3, ls=(0, (4, 2)),
               label="true")  # fmt: skip
    right.axhline(arrhenius.BRITTLE, color=INK, lw=0.8)
    right.annotate("brittle", (0.1, 200), xytext=(0, 4), textcoords="offset points", fontsize=8.5)
    right.set_ylim(0, 1150)
    name(right, "A winding at 6 % overload", "years", "degree of polymerisation")
    legend(right, "upper right")
    return figure


def links(aged: Floats) -> Floats:
    """The degree of polymerisation of aged paper."""
    return arrhenius.NEW / (1 + 4 * aged)


# --- cells ---------------------------------------------------------------------------------------


def cell() -> Figure:
    figure, left, right = panels()
    left.plot(100 * battery.CHARGE, battery.OPEN_CIRCUIT, color=INK, lw=1.6, label="at rest")
    for rate, colour in ((0.5, SLATE), (1.0, STEEL), (2.0, TWIN)):
        seconds = np.linspace(0, 3500 / rate, 120)
        run = course(battery.LithiumCell, seconds, {"current": 0.85 * rate, "temperature": 25.0},
                     start={"charge": 1.0})  # fmt: skip
        left.plot(
            100 * run["charge"],
            run["voltage"],
            color=colour,
            lw=1.6,
            label=f"empty in {60 / rate:.0f} min",
        )
    left.set_ylim(2.9, 4.2)
    left.invert_xaxis()
    name(left, "A discharge, slow and fast", "state of charge, %", "voltage, V")
    legend(left, "lower left")
    k = np.arange(600)
    told = {
        "current": np.where(k % 120 < 60, 0.65, -0.6) * (k % 20 > 3),
        "temperature": 25 + 5 * np.sin(k / 40),
    }
    track = follow(battery.LithiumCell, 60.0, told, events={0: {"health": 0.86, "charge": 0.85}})
    thin = track.thin(4)
    learned(right, thin.time / 3600, thin, "health")
    right.set_ylim(0.75, 1.2)
    name(right, "Health, from ordinary use", "hours", "capacity over that as new")
    legend(right, "upper right")
    return figure


def nasa() -> Figure:
    figure, left, right = panels()
    kernel = electrochemistry.Electrochemistry
    for current, colour in ((1.0, SLATE), (2.0, STEEL), (4.0, INK)):
        seconds = np.linspace(0, 7300 / current, 150)
        run = course(kernel, seconds, {"current": current, "temperature": 18.95})
        keep = run["voltage"] > 2.95
        left.plot(
            seconds[keep] / 60, run["voltage"][keep], color=colour, lw=1.7, label=f"{current:.0f} A"
        )
    published = ([0, 100, 200, 300, 3572], [4.1914, 3.8859, 3.8507, 3.8174, 3.0])
    left.plot(
        np.array(published[0]) / 60, published[1], "o", color=TWIN, ms=5, label="ProgPy at 2 A"
    )
    name(left, "Discharge of an 18650", "minutes", "voltage, V")
    legend(left, "upper right")
    k = np.arange(600)
    told = {"current": np.where(k % 100 < 50, 2.0, -1.95) * (k % 20 > 3), "temperature": 18.95}
    told["current"] = np.where(k < 50, 2.0, np.where(k % 100 < 50, -1.95, 1.95)) * (k % 20 > 3)
    track = follow(kernel, 60.0, told, events={0: {"mobile": 7050.0}})
    thin = track.thin(4)
    learned(right, thin.time / 3600, thin, "mobile")
    name(right, "The charge that still moves", "hours", "mobile charge, C")
    legend(right, "upper right")
    return figure


# --- water and air -------------------------------------------------------------------------------


def centrifugal_pump() -> Figure:
    figure, left, right = panels()
    flow = np.linspace(0, 130, 131)
    for speed, colour in ((0.7, FAINT), (0.85, SLATE), (1.0, STEEL)):
        lifted = pump.head(speed, flow, 40.0, 8e-4)
        left.plot(
            flow[lifted > 0],
            lifted[lifted > 0],
            color=colour,
            lw=2,
            label=f"{100 * speed:.0f} % speed",
        )
    left.plot(
        flow,
        pump.head(1.0, flow + 15, 40.0, 8e-4),
        color=TWIN,
        lw=1.8,
        ls=(0, (4, 2)),
        label="full speed, 15 % worn",
    )
    left.plot([100, 85, 70], [32, 32 * 0.85**2, 32 * 0.7**2], "o", color=INK, ms=4.5)
    left.set_ylim(0, 56)
    name(left, "Head, affinity (dots), and wear", "flow, m³/h", "head, m")
    legend(left, "upper right", ncols=2)
    k = np.arange(480)
    told = {
        "speed": 1480 - 150 * (k // 40 % 2),
        "flow_rate": 80 + 20 * np.sin(k / 11),
        "suction": 1.2,
        "temperature": 20.0,
    }
    track = follow(pump.CentrifugalPump, 6 * 3600.0, told, own={"erosion": 1.2e-8}, seed=6)
    days = track.time / DAY
    learned(right, days, track, "wear", "true wear")
    mean, reach = track.mean["drag"], NINETY * track.std["drag"]
    right.fill_between(days, mean - reach, mean + reach, color=STEEL, alpha=0.16, lw=0)
    right.plot(days, mean, color=STEEL, lw=1.4, label="drag, as learned")
    name(right, "Wear told apart from drag", "days", "share of rated flow, of power")
    legend(right, "upper left")
    return figure


def tank_() -> Figure:
    figure, left, right = panels()
    wide = {"area": 1.0, "kv": 36_000 * np.sqrt(2) * 0.01, "height": 4.0}
    seconds = np.arange(0, 75.05, 0.05)
    run = course(
        tank.Tank, seconds, {"inflow": 0.0, "opening": 1.0}, own=wide, start={"level": 2.0}
    )
    empty = tank.drain_time(2.0, 1.0, 0.01)
    left.plot(seconds[::20], run["level"][::20], color=STEEL, lw=2, label="the kernel")
    dots = np.arange(0, 61, 10)
    left.plot(
        dots, 2 * (1 - dots / empty) ** 2, "o", color=INK, ms=4.5, label="Torricelli's closed form"
    )
    left.plot([empty], [0], "o", color=TWIN, ms=6, clip_on=False, label=f"empty at {empty:.1f} s")
    left.set_ylim(0, 2.2)
    name(left, "A tank runs out", "seconds", "level, m")
    legend(left, "upper right")
    k = np.arange(360)
    told = {"inflow": 12 + 6 * np.sin(k / 25), "opening": 0.6 + 0.25 * np.sin(k / 13)}
    dirt = np.where(k < 240, 0.2 * np.clip((k - 80) / 150, 0, 1), 0.01)
    track = follow(tank.Tank, 600.0, told, events={int(j): {"blockage": dirt[j]} for j in k})
    learned(right, track.time / DAY, track, "blockage")
    name(right, "Dirt in the valve, and the flush after", "days", "share of the outlet blocked")
    right.set_ylim(-0.12, 0.26)
    legend(right, "upper left")
    return figure


def zone() -> Figure:
    figure, left, right = panels()
    k = np.arange(4 * 96)
    outdoor = 4 + 5 * np.sin(k * 2 * np.pi / 96 - 2)
    sun = np.maximum(0, 350 * np.sin(k * 2 * np.pi / 96 - 1.6))
    heating = np.where((k % 96 > 22) & (k % 96 < 88), 2.2, 0.9) + 0.4 * (k // 6 % 2)
    told = {"outdoor": outdoor, "sun": sun, "heating": heating}
    track = follow(thermal_zone.ThermalZone, 900.0, told,
                   events={192: {"draught": 60.0}})  # fmt: skip
    days = track.time / DAY
    left.plot(days, track.truth["air"], color=TWIN, lw=1.5, label="air")
    left.plot(days, track.truth["mass"], color=STEEL, lw=1.5, label="walls")
    left.plot(days, outdoor, color=SLATE, lw=1.5, label="outdoors")
    left.axvspan(2, 4, color=FAINT, alpha=0.25, lw=0)
    left.annotate("window left open", (2.06, 25.6), fontsize=8.5, color=MUTED)
    name(left, "Four days of a room", "days", "temperature, °C")
    legend(left, "center left", bbox_to_anchor=(0, 0.55))
    learned(right, days, track, "draught")
    name(right, "The open window, from the heating's work", "days", "draught, W/K")
    legend(right, "upper left")
    return figure


def incubator() -> Figure:
    figure, left, right = panels()
    k = np.arange(240)
    told = {"power": 18.67 * ((k < 48) | (k % 16 < 8)), "room": 21.0}
    lid = {int(j): {"lid": 0.9 if 120 <= j < 152 else 0.0} for j in k}
    track = follow(thermal_zone.Incubator, 15.0, told, events=lid)
    minutes = track.time / 60
    left.plot(minutes, track.truth["heater"], color=SLATE, lw=1.4, label="heater, never measured")
    reach = NINETY * track.std["heater"]
    left.fill_between(
        minutes,
        track.mean["heater"] - reach,
        track.mean["heater"] + reach,
        color=TWIN,
        alpha=0.16,
        lw=0,
    )
    left.plot(minutes, track.mean["heater"], color=TWIN, lw=1.2, label="heater, as learned")
    left.plot(minutes, track.readings["thermometer"], color=INK, lw=1.1, label="box, measured")
    left.axvspan(30, 38, color=FAINT, alpha=0.25, lw=0)
    name(left, "Heater and box", "minutes", "temperature, °C")
    legend(left, "lower right")
    learned(right, minutes, track, "lid")
    name(right, "The lid is opened for eight minutes", "minutes", "heat through the lid, W/K")
    legend(right, "upper left")
    return figure


# --- the page ------------------------------------------------------------------------------------

GALLERY: dict[str, tuple[str, type[Kernel], Callable[[], Figure]]] = {
    "expected-temperature": (
        "Expected bearing temperature", ExpectedTemperature, expected_temperature),
    "rotor-bearing": ("Rotor bearing", RotorBearing, rotor_bearing),
    "generator-bearing": ("Generator bearing", GeneratorBearing, generator_bearing),
    "journal-bearing": ("Journal bearing, worn", JournalBearing, journal_bearing),
    "petroff": ("Journal bearing, on its film", petroff.PetroffBearing, petroff_bearing),
    "bearing-life": ("Rolling bearing life", bearing_life.RollingBearing, rolling_bearing),
    "defects": ("Bearing defects", defect_frequencies.BearingDefects, bearing_defects),
    "crack": ("Fatigue crack", paris_crack.ParisCrack, paris),
    "insulation": ("Ageing by heat", arrhenius.InsulationAgeing, insulation),
    "cell": ("Lithium-ion cell, as a circuit", battery.LithiumCell, cell),
    "electrochemistry": (
        "Lithium-ion cell, from its electrodes", electrochemistry.Electrochemistry, nasa),
    "pump": ("Centrifugal pump", pump.CentrifugalPump, centrifugal_pump),
    "tank": ("Tank and valve", tank.Tank, tank_),
    "zone": ("Thermal zone", thermal_zone.ThermalZone, zone),
    "incubator": ("Incubator", thermal_zone.Incubator, incubator),
}  # fmt: skip

OPENING = """# The kernel library

Written by `docs/gallery.py` from the kernels' own docstrings; do not edit.

A kernel is the physics of one asset, in plain Python; the same lines run for a million. Each of
these comes with its equation, its source, published numbers that it meets and laws that it keeps
(`tests/test_library.py`), and a gold set that an independent solver made. A twin takes one by its
name, for example `kernel = "gemel.kernels.library.pump:CentrifugalPump"`, and fits its constants to
its asset. In the plots, black is the truth or the measurement, orange what the twin learned or
foresaw from noisy readings.
"""


def page() -> str:
    """The text of docs/gallery.md."""
    rows = ["| kernel | from | learns | fails when |", "| --- | --- | --- | --- |"]
    parts = []
    for stem, (title, kernel, _) in GALLERY.items():
        anchor = re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        layout = kernel.layout
        facts = [", ".join(part) or "–" for part in (layout.outputs, layout.states, modes(kernel))]
        rows.append(f"| [{title}](#{anchor}) | {' | '.join(_words(fact) for fact in facts)} |")
        parts.append(section(stem, title, kernel))
    return "\n".join([OPENING, *rows, "", *parts])


def section(stem: str, title: str, kernel: type[Kernel]) -> str:
    """One kernel: plot, equation, words, code that runs, source."""
    module = kernel.__module__
    lines = [f"## {title}", "", f"`{module}:{kernel.__name__}`", ""]
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(kernel.__doc__ or ""))
    lines += [paragraphs[0], "", f"![{title}](img/gallery-{stem}.png)", ""]
    for part in paragraphs[1:]:
        if part.startswith(">>>"):
            lines += ["```python", part, "```", ""]
        elif all(line.startswith("    ") for line in part.splitlines()):
            lines += ["```text", inspect.cleandoc(part), "```", ""]
        elif part.startswith("Source:"):
            lines += [f"*{part.replace('*', '')}*", ""]
        else:
            lines += [part, ""]
    return "\n".join(lines)


@np.errstate(all="ignore")
def modes(kernel: type[Kernel]) -> list[str]:
    """The failure modes that a kernel declares."""
    layout = kernel.layout
    u, p = ([1.0] * len(layout.inputs), [item.typical for item in layout.parameters.values()])
    return list(lanes.limits(kernel(), lanes.begin(kernel(), u, p), u, p))


def _words(text: str) -> str:
    return text.replace("_", " ")


def main() -> None:
    style()
    wanted = sys.argv[1:]
    IMAGES.mkdir(exist_ok=True)
    for stem, (_, _, draw) in GALLERY.items():
        if not wanted or any(word in stem for word in wanted):
            (IMAGES / f"gallery-{stem}.png").write_bytes(png(draw()))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
