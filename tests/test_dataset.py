"""One read API over a plant, a file, a database, a Delta table."""

import importlib
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from gemel import dataset
from gemel.clock import parse_instant
from gemel.errors import GemelError
from gemel.records import Batch, LedgerRow
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger

TEXT = """twin,time,speed,metal
b1,2026-03-01T12:00:00Z,3000,61.5
b2,2026-03-01T12:00:00Z,,62
b1,2026-03-01T12:01:00Z,2990,61.75
"""
NOON = parse_instant("2026-03-01T12:00:00Z")


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """Two ticks: a sample and an open finding, then a correction and its close."""
    lake, ledger = Lake(tmp_path / "lake"), Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    epoch = ledger.claim()
    for tick, value, status in ((1, 61.5, "open"), (2, 60.0, "closed")):
        sample = {"twin": "b1", "signal": "metal", "reason": "", "fate": "stored", "source": "s"}
        sample |= {"instant": NOON, "received_at": NOON + tick, "tick": tick}
        lake.append(
            "telemetry", pa.Table.from_pylist([sample | {"value": value, "quality": 0}]), tick
        )
        known = {"twin": "b1", "binding": "bearing", "name": "wear", "instant": NOON}
        known |= {"mean": value / 100, "std": 0.1, "known_at": NOON, "tick": tick}
        lake.append("estimates", pa.Table.from_pylist([known]), tick)
        event = {"name": "price", "instant": NOON, "body": json.dumps({"value": 40.0})}
        lake.append("events", pa.Table.from_pylist([event | {"tick": tick}]), tick)
        found = [{"id": "f", "status": status, "twin": "b1", "instant": NOON}]
        parts: list[Any] = [{}, 1, 1, {}, found, [], [], [], [], "", {}]
        ledger.commit(LedgerRow(0, tick, epoch, NOON + tick * 10**9, *parts))
    ledger.close()
    return tmp_path


def values(history: dataset.History) -> list[float]:
    return history.polars()["value"].to_list()


def test_a_plant_answers_what_it_knows_and_what_it_knew(plant: Path) -> None:
    data = dataset.open(plant)
    assert data.twins() == ["b1"] and data.signals("b1") == ["metal"] and data.signals("b2") == []
    assert values(data.history()) == [60.0]
    assert values(data.history(as_known_at=1)) == [61.5]
    assert values(data.history(as_known_at="2026-03-01T12:00:01.5Z")) == [61.5]
    assert values(data.history(as_known_at="2026-03-01T12:00:00Z")) == []
    assert data.estimates("b1", "wear").polars()["mean"].to_list() == [0.6]
    assert data.estimates(as_known_at=1).polars()["mean"].to_list() == [0.615]
    assert data.findings()[0]["status"] == "closed"
    assert data.findings(as_known_at=1)[0]["status"] == "open"
    assert len(data.events("price")) == 2 and len(data.events("price", as_known_at=1)) == 1
    assert "twins:   b1" in repr(data) and ".findings()" in data._repr_html_()


def test_files_databases_and_delta_tables_give_the_same_history(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(TEXT)
    wide = pl.read_csv(path)
    write_deltalake(tmp_path / "delta", wide.to_arrow())
    wide.with_columns(pl.col("time").str.to_datetime(time_zone="UTC")).write_parquet(
        tmp_path / "data.parquet"
    )
    base = sqlite3.connect(tmp_path / "x.db")
    base.execute("CREATE TABLE t (twin TEXT, time TEXT, speed REAL, metal)")
    base.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", wide.rows())
    base.commit()
    base.close()
    targets = [path, tmp_path / "data.parquet", tmp_path / "delta"]
    read = [dataset.open(target) for target in targets]
    read.append(dataset.open(f"sqlite:///{tmp_path / 'x.db'}?table=t"))
    for data in read:
        assert data.twins() == ["b1", "b2"] and data.signals("b2") == ["metal"], data.target
        assert data.history().arrow() == read[0].history().arrow(), data.target
        assert values(data.history("b1", ["metal"])) == [61.5, 61.75]


def test_the_lake_of_a_plant_opens_as_a_plain_delta_table(plant: Path) -> None:
    data = dataset.open(plant / "lake" / "telemetry")
    assert sorted(values(data.history())) == [60.0, 61.5]


def test_a_span_is_half_open_and_given_in_any_form(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(TEXT)
    data = dataset.open(str(path))
    minute = datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
    for end in (minute, NOON + 60 * 10**9, "2026-03-01T13:01:00+01:00"):
        assert len(data.history(end=end)) == 3 and len(data.history(start=end)) == 2


def test_instants_come_out_as_timestamps_in_utc_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(TEXT.replace("12:00:00Z", "12:00:00.000000001Z"))
    history = dataset.open(path).history("b1")
    assert history.arrow().schema.field("instant").type == pa.timestamp("ns", "UTC")
    assert history.polars()["instant"].dtype == pl.Datetime("ns", "UTC")
    assert history.pandas()["instant"].iloc[0].nanosecond == 1
    assert "History: 4 rows, 1 twin, 2026-03-01T12:00:00.000000001Z to" in repr(history)
    assert "<table" in history._repr_html_()


def test_a_missing_pandas_names_the_extra(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "data.csv"
    path.write_text(TEXT)

    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(GemelError) as told:
        dataset.open(path).history().pandas()
    assert told.value.code == "extra.missing" and "gemel[pandas]" in told.value.mend


def test_a_broker_is_listened_to_for_the_seconds_of_the_url(monkeypatch) -> None:
    asked: list[Any] = []

    def listen(url: str, seconds: float) -> Batch:
        asked.append((url, seconds))
        return Batch.of([("b1", "metal", NOON, 61.5, "")])

    monkeypatch.setattr(dataset, "listen", listen)
    data = dataset.open("mqtt://u:secret@localhost:1883/hall/+/telemetry?seconds=2.5")
    assert asked == [("mqtt://u:secret@localhost:1883/hall/+/telemetry", 2.5)]
    assert values(data.history()) == [61.5] and "secret" not in repr(data)


def test_what_cannot_be_answered_is_said_with_a_mend(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(TEXT)
    base = f"sqlite:///{tmp_path / 'x.db'}"
    sqlite3.connect(tmp_path / "x.db").close()
    (tmp_path / "x.db").touch()
    data = dataset.open(path)
    for ask, code in (
        (lambda: data.findings(), "dataset.not_a_plant"),
        (lambda: data.estimates(), "dataset.not_a_plant"),
        (lambda: data.history(as_known_at=3), "dataset.no_known_time"),
        (lambda: data.history(start="yesterday"), "time.unreadable"),
        (lambda: dataset.open(tmp_path), "dataset.unknown"),
        (lambda: dataset.open(tmp_path / "none.csv"), "file.missing"),
        (lambda: dataset.open(base), "dataset.table"),
        (lambda: dataset.open(f"{base}?table=t"), "dataset.no_table"),
        (lambda: dataset.open(f"sqlite:///{tmp_path}/none.db?table=t"), "database.missing"),
        (lambda: dataset.open("odd://x?table=t"), "database.url"),
        (lambda: dataset.open("mqtt://localhost/t?seconds=soon"), "dataset.seconds"),
    ):
        with pytest.raises(GemelError) as told:
            ask()
        assert told.value.code == code and told.value.mend


def test_a_line_keeps_its_ends_and_its_peaks_in_few_points(tmp_path: Path) -> None:
    path, count = tmp_path / "data.parquet", 3000
    peaks = {700: 90.0, 2100: -40.0}
    table = pl.DataFrame(
        {
            "twin": ["b1"] * count,
            "time": pl.from_epoch(pl.Series(range(count)), "s").dt.replace_time_zone("UTC"),
            "metal": [peaks.get(k, float(k % 5)) for k in range(count)],
        }
    )
    table.write_parquet(path)
    data = dataset.open(path)
    line = data.downsample("b1", "metal", points=50).polars()
    every = data.history("b1", "metal").polars()
    assert len(line) == 50 and line.row(0) == every.row(0) and line.row(-1) == every.row(-1)
    assert set(peaks.values()) <= set(line["value"]) and line["instant"].is_sorted()
    assert line.join(every, on=["instant", "value"], how="semi").equals(line)
    assert len(data.downsample(points=5000)) == count


def test_signals_come_on_one_time_line_as_of_each_instant(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(
        "twin,time,speed,metal\nb1,2026-03-01T12:00:00Z,3000,\nb1,2026-03-01T12:00:30Z,,61\n"
        "b1,2026-03-01T12:02:00Z,2990,\nb2,2026-03-01T12:01:00Z,,50\n"
    )
    data, both = dataset.open(path), ["speed", "metal"]
    told = data.asof(both).polars()
    assert told.select("twin", *both).rows() == [
        ("b1", 3000.0, None),
        ("b1", 3000.0, 61.0),
        ("b1", 2990.0, 61.0),
        ("b2", None, 50.0),
    ]
    assert data.asof(both, "b1", on="speed", tolerance="1min").polars().select(both).rows() == [
        (3000.0, None),
        (2990.0, None),
    ]
    grid = data.asof(both, every="1min").polars()
    assert grid.filter(twin="b1").select(both).rows() == [
        (3000.0, None),
        (3000.0, 61.0),
        (2990.0, 61.0),
    ]
    assert data.asof(both, "nobody").polars().is_empty()


def test_any_target_is_summed_and_tells_its_newest_samples(tmp_path: Path, plant: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(TEXT)
    data = dataset.open(path)
    fleet = data.fleet("1min", "metal").polars().drop("instant").rows()
    assert fleet == [("metal", 2, 61.5, 62.0, 61.75), ("metal", 1, 61.75, 61.75, 61.75)]
    assert data.rollup("1h", "b1", "speed").polars()["mean"].to_list() == [2995.0]
    assert values(data.latest(signals="metal")) == [61.75, 62.0]
    kept = dataset.open(plant)
    assert values(kept.latest()) == [60.0] and values(kept.latest(as_known_at=1)) == [61.5]
    assert kept.fleet("1h", as_known_at=1).polars()["mean"].to_list() == [61.5]
    assert kept.erasures() == [] and kept.history().notes == []
    for every in (0, "0s", -1):
        with pytest.raises(GemelError) as told:
            data.fleet(every)
        assert told.value.code == "dataset.every"
