"""What the values say: limits for the quality stage, and what follows what.

Owns    the first kernel's target, inputs and constants; which samples speak of a signal's limits.
Never   hides how good a guess is: the noise it gives the kernel is what its line leaves.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gemel.clock import SECOND
from gemel.intake.limits import Limits, propose
from gemel.records import Floats
from gemel.starter.sheet import plain_id
from gemel.starter.story import Signal, Story

NICE = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
INPUTS = 4  # of the first kernel, at most


def story_of(
    path: Path, tidy: pl.DataFrame, signals: list[Signal], shape: str, warnings: list[str]
) -> Story:
    whole = tidy["time"].to_physical()
    gaps = tidy.select(pl.col("time").diff().over("twin").dt.total_nanoseconds()).to_series()
    gap = float(gaps.filter(gaps > 0).median() or SECOND) / SECOND  # type: ignore[arg-type]
    every = float(min(NICE, key=lambda nice: abs(np.log(nice / max(gap, 1e-3)))))
    name = plain_id(path.stem)[:40].lower() or "plant"
    twins = tidy["twin"].unique(maintain_order=True).to_list()
    start, end = int(whole[0]), int(whole[-1])
    samples = sum(len(tidy) - tidy[s.name].null_count() for s in signals)
    story = Story(
        name, path.name, len(tidy), samples, shape, twins, signals, start, end, every, 2 * every
    )
    story.warnings = warnings
    for signal in signals:
        signal.limits = limits_of(tidy, signal.name, signal.unit)
    return story


def limits_of(tidy: pl.DataFrame, name: str, unit: str) -> Limits:
    """The limits of one signal of a tidy table (twin, time, one column a signal)."""
    part = tidy.select(pl.col("twin").rank("dense"), "time", pl.col(name).alias("v"))
    part = part.drop_nulls().sort("twin", "time", maintain_order=True)
    asset, instant = part["twin"].to_numpy().astype(np.int64), part["time"].to_physical().to_numpy()
    return propose(asset, instant, part["v"].to_numpy(), floor=unit != "degC")


def learn(story: Story, tidy: pl.DataFrame) -> None:
    """What follows what: a target, its inputs, a lag, and a line through the data.

    target(t) ≈ offset + Σ gain · mean of the input over the lag before t, by ridge regression, for
    a ladder of lags; the lag that leaves the least.
    """
    story.target = _target(story)
    names = [s.name for s in story.signals if s.name != story.target]
    names = [n for n in names if tidy[n].drop_nulls().n_unique() > 2]
    part = tidy.filter(pl.col("twin") == _fullest(story, tidy)).select(story.target, *names)
    part = part.with_columns(pl.col(names).forward_fill()).drop_nulls().tail(20_000)
    target = story.signal(story.target)
    if len(part) < 20:
        names, part = [], tidy.select(story.target).drop_nulls().tail(20_000)
    y = part[story.target].to_numpy()
    inputs = part.select(names).to_numpy() if names else np.zeros((len(y), 0))
    best: tuple[float, float, Any] | None = None
    for steps in (1.0, 3.0, 10.0, 30.0):
        smooth = _lagged(inputs, steps)
        found = _line(smooth, y)
        if best is None or found[2] < 0.98 * best[0]:
            best = found[2], steps, found
    assert best is not None
    left, steps, (offset, gains, _) = best
    weight = np.abs(gains) * (inputs.std(axis=0) if names else np.zeros(0))
    chosen = [int(k) for k in np.argsort(-weight)[:INPUTS] if weight[k] > 0.02 * (y.std() or 1.0)]
    if chosen:
        offset, gains, left = _line(_lagged(inputs[:, chosen], steps), y)
    else:
        offset, gains, left = float(y.mean()), np.zeros(0), float(y.std())
    story.inputs = [names[k] for k in chosen]
    story.gains = {name: float(g) for name, g in zip(story.inputs, gains, strict=True)}
    story.lag, story.offset = steps * story.every, float(offset)
    story.noise = max(
        target.said.change / 1.4, 0.05 * left, 1e-3 * (abs(target.said.middle) or 1.0)
    )
    story.wander = max(left, story.noise) * float(np.sqrt(2 / story.lag))
    for name, gain in story.gains.items():
        story.spreads[name] = max(0.3 * abs(gain), 1e-9)


def _target(story: Story) -> str:
    """What a person would watch first: a part's temperature, a vibration, a pressure."""
    ambient = re.compile(r"ambient|outdoor|outside|inlet|room|nacelle|air|_in\b")
    for wanted in (r"bearing", r"temp|thermo", r"vib", r"press"):
        for signal in story.signals:
            if re.search(wanted, signal.name) and not ambient.search(signal.name):
                return signal.name
    return story.signals[-1].name


def _fullest(story: Story, tidy: pl.DataFrame) -> str:
    counts = tidy.group_by("twin", maintain_order=True).agg(pl.col(story.target).count())
    return str(counts.sort(story.target, descending=True, maintain_order=True)["twin"][0])


def _lagged(inputs: Floats, steps: float) -> Floats:
    """Each column through a first-order lag of that many samples."""
    keep = float(np.exp(-1.0 / steps))
    out = np.empty_like(inputs)
    level = inputs[0] if len(inputs) else 0.0
    for k, row in enumerate(inputs):
        level = keep * level + (1 - keep) * row
        out[k] = level
    return out


def _line(inputs: Floats, y: Floats) -> tuple[float, Floats, float]:
    """offset, gains (U,), root mean square left; a light ridge on standardised inputs."""
    mean, std = inputs.mean(axis=0), inputs.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    z = (inputs - mean) / std
    ridge = 1e-3 * len(y) * np.eye(z.shape[1])
    gains = np.linalg.solve(z.T @ z + ridge, z.T @ (y - y.mean())) if z.shape[1] else np.zeros(0)
    left = y - y.mean() - z @ gains
    gains = gains / std
    return float(y.mean() - mean @ gains), gains, float(np.sqrt((left**2).mean()))
