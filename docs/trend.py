"""Draws docs/img/trend.png: what `gemel.plot` shows of one bearing of the steam hall.

    .venv/bin/python docs/trend.py

Three days of the simulated hall are replayed through the path that live telemetry takes. The faults
of the instrument are put into the file: two spikes, hours without a sample, a reading that sticks.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE)]

from drawing import png, style  # noqa: E402

import gemel  # noqa: E402
from gemel.clock import SECOND, ManualClock, format_instant  # noqa: E402
from gemel.flow.fleet import load_plan  # noqa: E402
from gemel.flow.host import Host  # noqa: E402
from gemel.graph.plantfile import SourceSpec  # noqa: E402
from gemel.plant.simulator import history  # noqa: E402
from gemel.plant.truth import START  # noqa: E402

TWIN, SIGNAL = "st1-b3", "metal_temperature"


def at(hours: float) -> str:
    """An instant before the end of the history, as the file has it."""
    return format_instant(START - int(hours * 3600) * SECOND)


def between(one: float, other: float) -> pl.Expr:
    """From so many hours before the end to so many."""
    return pl.col("time").is_between(pl.lit(at(one)), pl.lit(at(other)))


def spoil(path: Path) -> None:
    """The faults of an instrument."""
    rows, own = pl.read_csv(path), pl.col("twin") == TWIN
    time, value = pl.col("time"), pl.col(SIGNAL)
    spike = own & time.is_in([at(19), at(18.5)])
    gone = own & between(15, 13)
    stuck = own & between(11, 3)
    held = rows.filter(own & (time == at(11)))[SIGNAL][0]
    value = pl.when(spike).then(value + 200).when(gone).then(None).when(stuck).then(held)
    rows.with_columns(value.otherwise(SIGNAL).alias(SIGNAL)).write_csv(path)


def main() -> None:
    style()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "history.csv"
        history(path, 3.0, every=300.0)
        spoil(path)
        plan = load_plan(HERE.parent / "examples" / "steam" / "plant.toml")
        source = SourceSpec("history", "csv", {"path": str(path)})
        past = replace(plan.plant, sources={"history": source}, clock={"kind": "data"}, triggers=[])
        data = Path(folder) / "hall.gemel"
        with Host(replace(plan, plant=past), data, clock=ManualClock()) as host:
            host.wait()
        figure = gemel.plot(gemel.open(data), TWIN, SIGNAL, start=at(24), end=at(0))
        (HERE / "img" / "trend.png").write_bytes(png(figure))


if __name__ == "__main__":
    main()
