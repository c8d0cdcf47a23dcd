"""One plotting function: a trend with its band, its quality, its limits and what happened.

Owns    how a trend becomes a matplotlib figure.
Never   reads or computes: the trend has all that is drawn.
"""

import importlib
import io
from typing import Any

import numpy as np

from gemel import notebook
from gemel.clock import SECOND
from gemel.dataset import Dataset
from gemel.errors import Invalid, Unavailable
from gemel.store.trend import Trend

TONES = {False: ("#1f2933", "#7b8794", "#ffffff"), True: ("#e6e9ec", "#8b949e", "#14181d")}
TOLD = 6  # marks whose words stand below
BAD, DOUBT, TWIN = notebook.BAD, notebook.DOUBT, notebook.TWIN


def plot(
    what: Trend | Dataset,
    twin: str = "",
    signal: str = "",
    *,
    dark: bool = False,
    size: tuple[float, float] = (10.0, 4.6),
    **span: Any,
) -> Any:
    """A trend, or one of a dataset (twin, signal, and the span as `Dataset.trend` takes it).

    Above: measured, its samples that are not good shaded (amber uncertain, red bad); expected one
    frame ahead with its band; limits; numbered marks of findings, commands, repairs, promotions.
    Below: measured less expected over the width of the band. Instants are UTC.

    dark: for a dark page · size: inches. Returns a matplotlib Figure: it shows itself in a
    notebook, and `.savefig(path)` writes it. Needs matplotlib: pip install 'gemel[plot]'.
    Raises `extra.missing`, `plot.what`, and what `Dataset.trend` raises.
    """
    if isinstance(what, Dataset):
        what = what.trend(twin, signal, **span)
    elif twin or signal or span:
        raise Invalid(
            "plot.what",
            "twin, signal and span are asked of a dataset, and this is a trend already",
            mend="plot(trend), or plot(dataset, twin, signal, start=…, end=…)",
        )
    page = _shown(size)
    ink, quiet, paper = TONES[dark]
    page.patch.set_facecolor(paper)
    at, left, half = what.residual()
    parts = 2 if len(at) else 1
    shape = {"height_ratios": [4, 1][:parts], "sharex": True, "squeeze": False}
    axes = page.subplots(parts, 1, **shape)[:, 0]
    _measured(axes[0], what, ink)
    _marks(axes[0], what, ink)
    if len(at):
        axes[1].fill_between(_time(at), -half, half, color=TWIN, alpha=0.22, lw=0)
        axes[1].axhline(0.0, color=TWIN, lw=1.0)
        axes[1].plot(*_broken(at, left), color=ink, lw=0.8)
        axes[1].set_ylabel("measured −\nexpected", color=quiet, fontsize=8)
    for one in axes:
        _quiet(one, quiet, paper)
    axes[0].set_xlim(*_time(np.array([what.start, what.end])))
    _words(axes, what, ink, quiet)
    return page


def _words(axes: Any, what: Trend, ink: str, quiet: str) -> None:
    """Title and span above, instants and what happened below."""
    at = notebook.hours(what.start, what.end)
    step = at[1] - at[0] if len(at) > 1 else SECOND
    axes[-1].set_xticks(_time(np.array(at)), [notebook.day(one, step) for one in at])
    told = [f"{k + 1}  {mark.kind}: {mark.text}" for k, mark in enumerate(what.marks[:TOLD])]
    more = [f"and {len(what.marks) - TOLD} more"] if len(what.marks) > TOLD else []
    below = "\n".join(told + more)
    axes[-1].set_xlabel(below, color=quiet, fontsize=7.5, loc="left", labelpad=8)
    begin, end = (notebook.when(instant)[:16] for instant in (what.start, what.end))
    place = axes[0].transAxes
    axes[0].text(0.0, 1.06, f"{begin} to {end} UTC", transform=place, fontsize=8, color=quiet)
    axes[0].set_title(f"{what.twin} · {what.signal}", loc="left", fontsize=10, color=ink, pad=26)


def _measured(axes: Any, what: Trend, ink: str) -> None:
    """The samples, their quality, what was expected, and the limits."""
    good, half = what.quality == 0, what.half
    for first, last, worst, _ in what.spoiled():
        tone = BAD if worst == 2 else DOUBT
        axes.axvspan(*_time(np.array([first, last])), color=tone, alpha=0.22, lw=2)
    axes.plot(*_broken(what.instant, what.value), color=ink, lw=0.9, label="measured")
    low, high = what.mean - half, what.mean + half
    if len(what.at):
        inside, count = what.covered()
        share = f", {inside / count:.0%} inside" if count else ""
        axes.fill_between(
            *_broken(what.at, low), _broken(what.at, high)[1], color=TWIN, alpha=0.22, lw=0
        )
        told = f"expected, {what.level:.0%} band{share}"
        axes.plot(*_broken(what.at, what.mean), color=TWIN, lw=1.5, label=told)
    least, most = notebook.extent(what.value, good, low, high, what.limits)
    for limit in what.limits:
        if least <= limit <= most:
            axes.axhline(limit, color=BAD, lw=1.1, ls=(0, (5, 3)), label=f"limit {limit:g}")
    axes.set_ylim(least, most)
    for grade, tone, word in ((1, DOUBT, "uncertain"), (2, BAD, "bad")):
        if count := int((what.quality == grade).sum()):
            axes.plot([], [], color=tone, lw=6, alpha=0.4, label=f"{count} {word}")
    unit = notebook.label(what.unit)
    axes.annotate(
        unit, (0.0, 1.0), xycoords="axes fraction", xytext=(-6, 6), textcoords="offset points",
        fontsize=8, ha="right", color=ink,
    )  # fmt: skip
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.03), ncols=6, frameon=False, fontsize=8,
        labelcolor=ink,
    )  # fmt: skip


def _marks(axes: Any, what: Trend, ink: str) -> None:
    """A numbered line at each; what they are is told below."""
    for number, mark in enumerate(what.marks):
        x = _time(np.array([mark.instant]))[0]
        axes.axvline(x, color=ink, lw=0.8, ls=":", alpha=0.7)
        axes.annotate(
            str(number + 1), (x, 1.0), xycoords=("data", "axes fraction"), ha="center",
            va="center", fontsize=7, color="white", annotation_clip=False,
            bbox={"boxstyle": "circle,pad=0.25", "fc": TWIN, "ec": "none"},
        )  # fmt: skip


def _broken(instant: Any, value: Any) -> tuple[Any, Any]:
    """A line with a gap where nothing came: a NaN before each point that ends one."""
    where = notebook.gaps(instant)
    return _time(np.insert(instant, where, instant[where] - 1)), np.insert(value, where, np.nan)


def _time(instant: Any) -> Any:
    return np.asarray(instant).astype("datetime64[ns]")


def _quiet(axes: Any, quiet: str, paper: str) -> None:
    axes.set_facecolor(paper)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(quiet)
    axes.grid(axis="y", color=quiet, alpha=0.25, lw=0.6)
    axes.tick_params(colors=quiet, labelsize=8)
    axes.yaxis.label.set_color(quiet)


def _shown(size: tuple[float, float]) -> Any:
    """An empty figure that shows itself in a notebook, once, without pyplot."""

    class Picture(_matplotlib("figure").Figure):  # type: ignore[misc]
        def _repr_png_(self) -> bytes:
            out = io.BytesIO()
            self.savefig(out, dpi=120)
            return out.getvalue()

    return Picture(size, layout="constrained")


def _matplotlib(part: str) -> Any:
    try:
        return importlib.import_module(f"matplotlib.{part}")
    except ImportError as problem:
        raise Unavailable(
            "extra.missing",
            "matplotlib is not installed",
            mend="pip install 'gemel[plot]'; in a notebook a trend shows itself without it",
        ) from problem
