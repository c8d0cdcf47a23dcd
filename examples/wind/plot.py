"""One week after the fit of one turbine: measured and expected, and what is left over.

    python examples/wind/plot.py        # writes docs/img/wind-bearing.png

Expected is open loop: the twin is given wind, power, speeds and two air temperatures, never the
bearing's own sensor. The band holds 90 % of the residuals before July 2016; grey is standstill,
which is not judged.
"""

import io
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from gemel.clock import SECOND, parse_instant
from gemel.flow.accuracy import EVERY, read_turbines
from gemel.insight.lifecycle import History, runs, windows
from gemel.kernels.fit import simulate
from gemel.kernels.library.generator_bearing import GeneratorBearing

HERE = Path(__file__).parent
OUT = HERE.parent.parent / "docs" / "img" / "wind-bearing.png"
TURBINE, BINDING = "R80721", "generator-bearing-1"
START, DAYS = "2017-04-14T00:00:00Z", 7  # the week of most power among those after the fit
SPLIT = "2016-07-01T00:00:00Z"

INK, MUTED, EXPECTED, MEASURED = "#1f2933", "#7b8794", "#c2410c", "#1f2933"


def expected(turbine, values):
    """Open loop over every unbroken run: (T,), NaN where there is none."""
    kernel = GeneratorBearing()
    inputs = np.stack([turbine.signals[name] for name in kernel.layout.inputs], axis=1)
    reading = turbine.signals[BINDING][:, None]
    history = History(turbine.instant, inputs, reading, np.ones_like(reading))
    out = np.full(len(reading), np.nan)
    for start, end in runs(history, EVERY):
        span = slice(start, end)
        part = History(*(getattr(history, f)[span] for f in History.__dataclass_fields__))
        lane = windows([part], EVERY, warm=0, judged=end - start, least=1)
        if len(lane.asset):
            out[span] = simulate(kernel, lane, values[None])[:, 0, 0]
    return np.where(turbine.settled, out, np.nan)


def main():
    turbine = next(t for t in read_turbines(HERE) if t.name == TURBINE)
    fitted = json.loads((HERE / "fitted.json").read_text(encoding="utf-8"))[BINDING][TURBINE]
    values = np.array([fitted["values"][n] for n in GeneratorBearing.layout.parameters])
    foreseen, reading = expected(turbine, values), turbine.signals[BINDING]
    split, start = parse_instant(SPLIT), parse_instant(START)
    before = turbine.running(BINDING) & (turbine.instant < split)
    low, high = np.nanquantile((reading - foreseen)[before], [0.05, 0.95])
    week = (turbine.instant >= start) & (turbine.instant < start + DAYS * 86_400 * SECOND)
    draw(turbine, week, reading, foreseen, low, high)


def draw(turbine, week, reading, foreseen, low, high):
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK})
    time = turbine.instant[week].astype("datetime64[ns]")
    measured, middle = reading[week], foreseen[week]
    left = measured - middle
    figure, (top, strip, load) = plt.subplots(
        3, 1, figsize=(10, 5.4), sharex=True, height_ratios=[5, 1.5, 1.2], layout="constrained"
    )
    top.fill_between(
        time, middle + low, middle + high, color=EXPECTED, alpha=0.16, lw=0, label="90 % band"
    )
    top.plot(time, middle, color=EXPECTED, lw=1.6, label="expected by the twin, from inputs alone")
    top.plot(time, measured, color=MEASURED, lw=1.1, label="measured")
    top.set_ylabel("generator\nbearing, °C")
    top.legend(loc="lower left", frameon=False, ncols=3, bbox_to_anchor=(-0.005, 0.99))
    running = turbine.running(BINDING)[week]
    inside = np.mean((left >= low) & (left <= high), where=running) * 100
    error = np.sqrt(np.mean(left**2, where=running))
    top.set_title(
        f"rms error {error:.1f} °C, {inside:.0f} % inside", loc="right", fontsize=10, color=MUTED
    )
    strip.axhspan(low, high, color=EXPECTED, alpha=0.16, lw=0)
    strip.axhline(0, color=EXPECTED, lw=1)
    strip.plot(time, left, color=MEASURED, lw=0.9)
    strip.set_ylabel("residual\n°C")
    reach = max(4.0, 1.1 * np.nanmax(np.abs(left)))
    strip.set_ylim(-reach, reach)
    load.fill_between(
        time, np.maximum(turbine.signals["power"][week], 0) / 1000, color="#94a3b8", lw=0
    )
    load.set_ylabel("power\nMW")
    load.set_ylim(0, 2.1)
    load.xaxis.set_major_locator(mdates.DayLocator())
    load.xaxis.set_major_formatter(mdates.DateFormatter("%a %-d %b %Y"))
    for axes in (top, strip):
        still = {"where": ~running, "transform": axes.get_xaxis_transform()}
        axes.fill_between(time, 0, 1, color="#cbd2d9", alpha=0.35, lw=0, **still)
    for axes in (top, strip, load):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#cbd2d9")
        axes.tick_params(color="#cbd2d9", labelcolor=INK)
        axes.grid(axis="x", color="#e4e7eb", lw=0.8)
        axes.yaxis.label.set(rotation=0, ha="right", va="center")
        axes.set_axisbelow(True)
    load.set_xlim(time[0], time[-1])
    figure.suptitle(
        f"Wind turbine {TURBINE}, La Haute Borne: a week nine months after the fit",
        x=0.01, ha="left", fontweight="bold", fontsize=12,
    )  # fmt: skip
    figure.align_ylabels()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    page = io.BytesIO()
    figure.savefig(page, dpi=130)
    Image.open(page).convert("RGB").quantize(96, method=Image.Quantize.MEDIANCUT).save(
        OUT, optimize=True
    )
    print(f"{OUT.name}: rms error {error:.2f} degC, {inside:.0f} % inside the 90 % band")


if __name__ == "__main__":
    main()
