"""Series over HTTP: what a chart is drawn from, how it is thinned, and the life of an asset."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel.clock import SECOND, PacedClock, format_instant, parse_instant
from gemel.errors import NotFound
from gemel.flow import series
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.server.app import serve
from gemel.server.client import Client
from gemel.store.series import minmax

START = parse_instant("2024-05-01T00:00:00Z")
STEP = 10 * SECOND
COUNT = 360
PLANT = """
[plant]
name = "bearings"
lateness = "10s"
[interface.Site]
[interface.Machine]
relationships = { part_of = "Site" }
[interface.Machine.telemetry]
speed = { unit = "1" }
load = { unit = "1" }
oil_temperature = { unit = "degC", range = [-20, 120] }
vibration = { unit = "mm/s" }
[[twin]]
id = "works"
interface = "Site"
[[twin]]
id = "m1"
interface = "Machine"
links = { part_of = "works" }
[[twin]]
id = "m2"
interface = "Machine"
links = { part_of = "works" }
[[binding]]
name = "bearing"
kernel = "benchmarks.reference:ReferenceBearing"
interface = "Machine"
every = "10s"
"""
FORESEEN = [0.5 * float(np.sin(k / 9)) + 49 for k in range(COUNT)]


class Machines:
    """An hour of two machines in history, with a fault, a gap and beliefs; server and client."""

    def __init__(self, folder: Path) -> None:
        (folder / "plant.toml").write_text(PLANT)
        clock = PacedClock(START + (COUNT + 60) * STEP, 1.0)
        self.host = Host(load_plan(folder / "plant.toml"), folder / "data", clock=clock).start()
        self.host.lake.append("telemetry", pa.Table.from_pylist(self._samples()), 1)
        self.host.lake.append("estimates", pa.Table.from_pylist(self._beliefs()), 1)
        self.server = serve(self.host, 0)
        self.client = Client(self.host.data)

    def _samples(self) -> list[dict[str, Any]]:
        rows = []
        for k in range(COUNT):
            if 100 <= k < 160:
                continue  # a gap
            bad = 200 <= k < 205
            fault = {"quality": 2, "reason": "range"} if bad else {"quality": 0, "reason": ""}
            value = 500.0 if bad else FORESEEN[k] + 0.25
            row = {"twin": "m1", "signal": "oil_temperature", "value": value, "source": "hall"}
            when = {"instant": START + k * STEP, "received_at": START + k * STEP, "tick": 1}
            rows.append({**row, **fault, **when, "fate": "stored"})
        return rows

    def _beliefs(self) -> list[dict[str, Any]]:
        names = {"oil_temperature.foreseen": 0.2, "health.worn out": 0.01}
        return [
            {"twin": "m1", "binding": "bearing", "name": name, "std": std, "mean": FORESEEN[k]}
            | {"instant": START + k * STEP, "known_at": START + k * STEP, "tick": 1}
            for name, std in names.items()
            for k in range(COUNT)
        ]

    def series(self, *names: str, **more: Any) -> list[dict[str, Any]]:
        valid = f"{format_instant(START)}/{format_instant(START + COUNT * STEP)}"
        told = self.client.get("series", s=list(names), valid=valid, **more)
        items: list[dict[str, Any]] = told["items"]
        return items


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    made = Machines(tmp_path_factory.mktemp("machines"))
    yield made
    made.client.close()
    made.server.stop()
    made.host.stop()


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(-1e6, 1e6)), min_size=1, max_size=300),
    st.integers(4, 60),
)
def test_a_thinned_line_keeps_its_ends_and_its_extremes(
    steps: list[tuple[int, float]], points: int
) -> None:
    instant = np.cumsum([step for step, _ in steps]).astype(np.int64)
    value = np.array([v for _, v in steps])
    kept = minmax(instant, value, points)
    assert kept[0] == 0 and kept[-1] == len(value) - 1
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= points + 2
    assert value[kept].min() == value.min() and value[kept].max() == value.max()


def test_a_measured_line_leaves_out_what_is_bad_and_says_where_and_why(machines: Machines) -> None:
    (line,) = machines.series("m1:oil_temperature")
    assert (line["kind"], line["unit"], line["thinned"]) == ("telemetry", "degC", False)
    assert line["count"] == len(line["times"]) == COUNT - 65
    assert max(line["values"]) < 51
    bad = next(span for span in line["spans"] if span["kind"] == "bad")
    gap = next(span for span in line["spans"] if span["kind"] == "gap")
    assert (bad["reason"], bad["samples"]) == ("range", 5)
    assert bad["start"] == (START + 200 * STEP) // series.MILLI
    assert (gap["start"], gap["end"]) == tuple(
        (START + k * STEP) // series.MILLI for k in (99, 160)
    )
    assert len(line["spans"]) == 2


def test_a_belief_is_told_with_its_doubt_and_what_is_left_over_with_that_of_the_forecast(
    machines: Machines,
) -> None:
    foreseen, left, health = machines.series(
        "m1:bearing/oil_temperature.foreseen",
        "m1:bearing/oil_temperature.residual",
        "m1:bearing/health.worn out",
    )
    assert foreseen["values"] == pytest.approx(FORESEEN) and set(foreseen["stds"]) == {0.2}
    assert left["values"] == pytest.approx([0.25] * len(left["values"]))
    assert left["stds"] == pytest.approx([0.2] * len(left["values"]))
    assert left["count"] == COUNT - 65
    assert (left["unit"], health["unit"]) == ("degC", "1")


def test_a_line_of_too_many_points_is_thinned_to_those_it_swings_between(
    machines: Machines,
) -> None:
    (line,) = machines.series("m1:bearing/oil_temperature.foreseen", points=40)
    assert line["thinned"] and line["count"] == COUNT
    assert len(line["values"]) == len(line["stds"]) <= 42
    assert (min(line["values"]), max(line["values"])) == (min(FORESEEN), max(FORESEEN))


def test_more_samples_than_a_request_may_read_are_told_by_their_spans(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "FACTS", 50)
    (line,) = machines.series("m1:oil_temperature", points=60)
    assert line["width"] == 60 and line["count"] == COUNT - 65
    for low, mean, high in zip(line["low"], line["values"], line["high"], strict=True):
        assert low <= mean <= high


def test_what_was_not_known_then_is_not_told(machines: Machines) -> None:
    (line,) = machines.series("m1:oil_temperature", known_at=format_instant(START - SECOND))
    assert line["times"] == [] and line["spans"] == []


@pytest.mark.parametrize(
    "name", ["m9:speed", "m1:sped", "m1:bearing/x", "m1:bearing/x.foreseen", "works:speed", "m1"]
)
def test_a_series_that_is_not_there_is_named(machines: Machines, name: str) -> None:
    with pytest.raises(NotFound, match="knows|no ") as caught:
        machines.series(name)
    assert caught.value.code == "series.unknown"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_has_every_point_with_its_quality(machines: Machines, form: str) -> None:
    valid = f"{format_instant(START)}/{format_instant(START + COUNT * STEP)}"
    query = {
        "s": ["m1:oil_temperature", "m1:bearing/oil_temperature.residual"],
        "valid": valid,
        "format": form,
    }
    headers = {"Authorization": f"Bearer {machines.host.token}"}
    url = f"{machines.server.url}/api/v1/series/export"
    answer = httpx.get(url, params=query, headers=headers, trust_env=False)
    assert f"series.{form}" in answer.headers["content-disposition"]
    body = io.BytesIO(answer.content)
    frame = pl.read_csv(body, try_parse_dates=True) if form == "csv" else pl.read_parquet(body)
    assert frame.columns == ["series", "instant", "value", "std", "unit", "quality", "reason"]
    assert frame["series"].value_counts().sort("series")["count"].to_list() == [295, 300]
    bad = frame.filter(pl.col("quality") == "bad")
    assert bad["reason"].to_list() == ["range"] * 5 and bad["value"].to_list() == [500.0] * 5
    first = frame["instant"].dt.epoch("ns")[0]
    assert first == START


def test_the_life_of_an_asset_has_its_repairs_with_who_and_why(machines: Machines) -> None:
    machines.host.maintain("m1", ["wear"], by="M. Keller", why="new bearing")
    told = machines.client.get("twins/m1/life")["items"]
    assert [(e["kind"], e["by"], e["why"]) for e in told] == [
        ("repair", "M. Keller", "new bearing")
    ]
    assert "wear" in told[0]["detail"]
    assert machines.client.get("twins/m2/life")["items"] == []
    past = f"{format_instant(START)}/{format_instant(START + SECOND)}"
    assert machines.client.get("twins/m1/life", valid=past)["items"] == []


def test_the_neighbours_of_a_twin_are_those_beside_above_and_below_it(machines: Machines) -> None:
    def ids(twin: str, side: str) -> list[tuple[str, str]]:
        told = machines.client.get(f"twins/{twin}/neighbours")[side]
        assert told["total"] == len(told["items"])
        return [(one["relation"], one["row"]["id"]) for one in told["items"]]

    assert ids("m1", "parents") == [("part_of", "works")]
    assert ids("m1", "siblings") == [("part_of", "m2")]
    assert ids("works", "children") == [("part_of", "m1"), ("part_of", "m2")]
    assert ids("works", "parents") == ids("works", "siblings") == []
    with pytest.raises(NotFound):
        machines.client.get("twins/nobody/neighbours")
