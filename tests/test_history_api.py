"""History over HTTP and by hand: pictures, sums, the newest values, and an erasure to its end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from gemel import cli, dataset
from gemel.clock import SECOND, PacedClock, format_instant, parse_instant
from gemel.errors import NotFound
from gemel.flow import loop
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.server.app import serve
from gemel.server.client import Client

START = parse_instant("2024-05-01T00:00:00Z")
MINUTE = 60 * SECOND
PLANT = """
[plant]
name = "tanks"
lateness = "10s"
[history]
rollup = ["1min"]
[interface.Tank]
telemetry = { level = { unit = "m" }, flow = { unit = "L/min" } }
[[twin]]
id = "t1"
interface = "Tank"
[[twin]]
id = "t2"
interface = "Tank"
"""


class Tanks:
    """Two tanks, ten minutes of a sample a second in history, a server and a client."""

    def __init__(self, folder: Path) -> None:
        (folder / "plant.toml").write_text(PLANT)
        self.data = folder / "tanks.gemel"
        self.host = Host(
            load_plan(folder / "plant.toml"), self.data, clock=PacedClock(START + 20 * MINUTE, 20.0)
        ).start()
        rows = [
            {"twin": twin, "signal": signal, "instant": START + k * SECOND, "value": float(k % 60)}
            | {"source": "hall", "quality": 0, "reason": "", "fate": "stored"}
            | {"received_at": START, "tick": 1}
            for twin in ("t1", "t2")
            for signal, step in (("level", 1), ("flow", 7))
            for k in range(0, 600, step)
        ]
        self.host.event("price", {"value": 40.0})
        self.host.lake.append("telemetry", pa.Table.from_pylist(rows), 1)
        self.server = serve(self.host, 0)
        self.client = Client(self.data)

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self.host.stop()


@pytest.fixture
def tanks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tanks]:
    monkeypatch.setattr(loop, "KEEP_EVERY", 0.1)
    made = Tanks(tmp_path)
    yield made
    made.close()


def test_history_is_told_thinned_summed_and_on_one_time_line(tanks: Tanks) -> None:
    ask, span = tanks.client.get, f"{format_instant(START)}/.."
    told = ask("telemetry", twin="t1", valid=span, downsample=20)
    assert [row["signal"] for row in told["items"]] == ["flow"] * 20 + ["level"] * 20
    assert told["items"][0]["instant"] == format_instant(START) and told["notes"] == []
    few = ask("telemetry", twin="t1", signal="level", valid=span, downsample=6, thin="minmax")
    assert {0.0, 59.0} <= {row["value"] for row in few["items"]} and len(few["items"]) <= 8
    sums = ask("telemetry/fleet", every="1min", signal="level", valid=span)["items"]
    assert [row["count"] for row in sums] == [120] * 10 and sums[0]["mean"] == 29.5
    each = ask("telemetry/fleet", every="5min", by="twin", signal="level", valid=span)["items"]
    assert [(row["twin"], row["count"]) for row in each] == [("t1", 300)] * 2 + [("t2", 300)] * 2
    line = ask("telemetry/asof", twin="t1", signal=["level", "flow"], on="flow", valid=span)
    assert all(row["level"] == row["flow"] for row in line["items"])
    known = format_instant(tanks.host.clock.now())
    newest = ask("telemetry/latest", known_at=known, twin="t1")["items"]
    assert [(row["signal"], row["value"]) for row in newest] == [("flow", 55.0), ("level", 59.0)]
    tanks.client.post("telemetry", {"twin": "t2", "time": known, "values": {"level": 3.5}})
    until = time.monotonic() + 60
    while not (now := ask("telemetry/latest", signal="level")["items"]):
        assert time.monotonic() < until
    assert [(row["twin"], row["value"], row["unit"]) for row in now] == [("t2", 3.5, "m")]


def test_an_erasure_is_recorded_carried_out_and_told_where_one_looks(tanks: Tanks) -> None:
    until, why = format_instant(START + 5 * MINUTE), "the works test"
    assert tanks.host.loop is not None
    keep = tanks.host.loop.upkeep
    list(keep.round(START + 20 * MINUTE))
    body = {"twin": "t1", "before": until, "by": "me", "why": why}
    words = [word for name, value in body.items() for word in (f"--{name}", value)]
    done = CliRunner().invoke(cli.app, ["erase", *words, "--data", str(tanks.data)])
    assert done.exit_code == 0 and until in done.output
    waiting = time.monotonic() + 20
    while not tanks.host.lake.erasures():
        tanks.host.event("price", {"value": 41.0})  # a tick, so that history is written
        assert time.monotonic() < waiting
    assert not tanks.client.get("erasures")["items"][0]["done"]
    while not (told := tanks.client.get("erasures")["items"])[0]["done"]:
        tanks.host.event("price", {"value": 41.0})
        list(keep.round(START + 20 * MINUTE))
        assert time.monotonic() < waiting
    assert {name: told[0][name] for name in body} == body
    assert told[0]["receipt"]["journal"]["how"] and told[0]["receipt"]["before"] == until
    audited = tanks.host.ledger.audits()
    assert any(row["action"] == "erasure" and row["detail"]["why"] == why for row in audited)
    plant = dataset.open(tanks.data)
    left = plant.history("t1", "level")
    assert len(left) == 300 and len(plant.history("t2", "level")) == 600
    assert len(plant.history("t1", "level", as_known_at=1)) == 300
    assert why in left.notes[0] and why in repr(left) and plant.history("t2").notes == []
    counts = plant.fleet("1min", "level").polars()["count"].to_list()
    assert counts == [60] * 5 + [120] * 5
    assert plant.erasures()[0]["by"] == "me"
    assert any(
        why in note for note in tanks.client.get("telemetry", twin="t1", valid="../..")["notes"]
    )


def test_an_erasure_of_nobody_is_refused(tanks: Tanks) -> None:
    with pytest.raises(NotFound) as told:
        tanks.client.post(
            "erasures", {"twin": "t9", "before": "2024-05-01T00:00:00Z", "by": "me", "why": "x"}
        )
    assert told.value.code == "twin.unknown"
