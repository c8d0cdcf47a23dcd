"""How fast history is read once there is much of it: 100 million rows on the disk.

Owns    the figures `telemetry.history_*` of `make bench`.
Never   reads what a plant would not have: the rows come in appends as they do live, corrections
        among them, and upkeep has been over them.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.runner import figure
from gemel import dataset
from gemel.clock import SECOND
from gemel.graph.plantfile import Keeping
from gemel.store.lake import Lake
from gemel.store.rollups import aggregate
from gemel.store.upkeep import Upkeep
from gemel.store.wanted import Wanted

TWINS, SIGNALS, INSTANTS = 5_000, 4, 5_000  # of ten minutes each: five weeks
STEP, HOUR, DAY = 600 * SECOND, 3600 * SECOND, 86_400 * SECOND
BEGIN = 20_000 * DAY
TOGETHER = 25  # instants of one append
WRONG = 50  # corrections in each


def build(folder: Path) -> Lake:
    """A lake as it is before upkeep: every append has the rows of some instants, in their order."""
    lake, rng = Lake(folder), np.random.default_rng(0)
    twins = pa.array([f"machine-{k:05d}" for k in range(TWINS)])
    signals = pa.array([f"signal_{k}" for k in range(SIGNALS)])
    rows = TWINS * SIGNALS
    usual, swing = rng.normal(50, 10, rows), rng.normal(5, 1, rows)
    twin = np.tile(np.repeat(np.arange(TWINS, dtype=np.int32), SIGNALS), TOGETHER)
    signal = np.tile(np.arange(SIGNALS, dtype=np.int32), TWINS * TOGETHER)
    for first in range(0, INSTANTS, TOGETHER):
        number = np.repeat(np.arange(first, first + TOGETHER), rows)
        day = np.sin(2 * np.pi * number * STEP / DAY)
        value = np.tile(usual, TOGETHER) + np.tile(swing, TOGETHER) * day
        value = np.round(value + rng.normal(0, 1, len(value)), 2)
        again = rng.choice(len(value), WRONG, replace=False)
        at = np.append(np.arange(len(value)), again)
        corrected = np.append(np.zeros(len(value), np.int32), np.ones(WRONG, np.int32))
        facts = {
            "twin": _words(twin[at], twins),
            "signal": _words(signal[at], signals),
            "instant": BEGIN + number[at] * STEP,
            "value": np.append(value, value[again] + 1),
            "quality": pa.array(np.zeros(len(at), np.int8)),
            "reason": _words(np.zeros(len(at), np.int32), pa.array([""])),
            "fate": _words(corrected, pa.array(["stored", "correction"])),
            "source": _words(np.zeros(len(at), np.int32), pa.array(["hall"])),
            "received_at": BEGIN + number[at] * STEP + SECOND,
            "tick": np.append(number, np.full(WRONG, number[-1])) + 1,
        }
        lake.append("telemetry", pa.table(facts), first + TOGETHER)
    return lake


def _words(code: Any, words: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(code, words)


@figure(
    "telemetry.history",
    unit={
        "telemetry.history_latest": "ms",
        "telemetry.history_month": "ms",
        "telemetry.history_fleet_raw": "s",
        "telemetry.history_fleet_rollup": "s",
        "telemetry.history_fleet_equal": "1",
        "telemetry.history_upkeep": "M/s",
        "telemetry.history_disk": "B/row",
    },
    kind="bench",
)
def history() -> dict[str, float]:
    """The last value of 5,000 twins, one twin's month in 500 points, the fleet by the hour; upkeep
    in rows a CPU second. By the wall, the best of several: what the reader keeps open is open."""
    folder = Path(tempfile.mkdtemp(prefix="gemel-history-"))
    try:
        lake = build(folder / "lake")
        began = time.process_time()
        upkeep = Upkeep(lake, Keeping(rollup={3600.0: float("inf")}))
        for _ in upkeep.round(BEGIN + INSTANTS * STEP):
            pass
        worked = time.process_time() - began
        upkeep.vacuum(hours=0)
        size = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
        return {
            **_read(folder),
            "telemetry.history_upkeep": TWINS * SIGNALS * INSTANTS / worked / 1e6,
            "telemetry.history_disk": size / (TWINS * SIGNALS * INSTANTS),
        }
    finally:
        shutil.rmtree(folder)


def _read(folder: Path) -> dict[str, float]:
    plant = dataset.open(folder)
    latest, newest = _best(plant.latest)
    month, line = _best(lambda: plant.downsample("machine-02500", "signal_2", points=500))
    raw, facts = _best(
        lambda: aggregate(Lake(folder / "lake"), Wanted(), HOUR, ["signal"], rolled=False), 3
    )
    rolled, sums = _best(lambda: plant.fleet("1h").arrow())
    assert len(newest) == TWINS * SIGNALS and len(line) == 500
    same = all(
        facts[name].to_pylist() == sums[name].to_pylist() for name in ("count", "min", "max")
    ) and np.allclose(facts["mean"].to_numpy(), sums["mean"].to_numpy(), rtol=1e-12, atol=0)
    return {
        "telemetry.history_latest": 1000 * latest,
        "telemetry.history_month": 1000 * month,
        "telemetry.history_fleet_raw": raw,
        "telemetry.history_fleet_rollup": rolled,
        "telemetry.history_fleet_equal": float(same),
    }


def _best(ask: Callable[[], Any], times: int = 15) -> tuple[float, Any]:
    """The least seconds of several, and the answer."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        told = ask()
        took.append(time.perf_counter() - began)
    return min(took), told
