"""The picture of an instant that is past: what history gives back is what was shown then."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.test_overview import SIGNALS, START, plant

from gemel.clock import SECOND, PacedClock, format_instant
from gemel.flow import loop, past
from gemel.flow.fleet import Plan
from gemel.flow.host import Host
from gemel.flow.loop import entries_of, iter_rows
from gemel.flow.memory import begin
from gemel.flow.overview import Asked, overview
from gemel.flow.tick import tick
from gemel.flow.view import View, look
from gemel.server.answers import as_json
from gemel.server.app import serve
from gemel.server.client import Client

BEFORE = 20  # batches until a fit is promoted, and as many after it


class Line:
    """Three machines for some minutes, of which one is repaired and one gets other parameters."""

    def __init__(self, folder: Path) -> None:
        self.plan = plant(3)
        self.host = Host(self.plan, folder / "line.gemel", clock=PacedClock(START, 300.0)).start()
        self.host.event("price", {"value": 40.0})
        layout = self.plan.fleets["bearing"].kernel.layout.parameters
        cov = [[0.04 * (a == b) for a in layout] for b in layout]
        fit = {"binding": "bearing", "twin": "m00", "parameters": {"loss": 1.7}, "cov": cov}
        fit |= {"stds": dict.fromkeys(layout, 0.2), "kernel": "", "version": "R-1", "by": "eva"}
        self._speak(0)
        typical = self.plan.fleets["bearing"].kernel.typical().tolist()
        fit["parameters"] = {**dict(zip(layout, typical, strict=True)), "loss": 1.7}
        self.host.submit("promotion", {**fit, "why": "better", "over": "typical"}, "runs")
        repair = {"twin": "m01", "resets": [], "by": "eva", "why": "new shells"}
        self.host.submit("maintenance", repair)
        self._speak(40)
        self.last = self.host.ledger.last().tick  # type: ignore[union-attr]
        while self.host.lake.known("estimates") < self.last:
            self.host.event("price", {"value": 40.0})
            time.sleep(0.1)

    def _speak(self, hotter: float) -> None:
        for k in range(BEFORE):
            at = format_instant(self.host.clock.now())
            rows = [
                {
                    "twin": f"m{n:02d}",
                    "time": at,
                    "values": {**SIGNALS, "vibration": 2 + n + hotter},
                }
                for n in range(2 + (k > BEFORE // 2))  # the third begins later
            ]
            self.host.ingest(json.dumps(rows).encode(), {"content-type": "application/json"})
            self.host.event("price", {"value": 40.0})  # it waits for the tick

    def views(self) -> Iterator[View]:
        """The picture after every tick, run again from the journal."""
        memory = begin(self.plan)
        for row in iter_rows(self.host.ledger, 0):
            tick(self.plan, memory, entries_of(self.host.journal, row))
            if row.tick <= self.last:
                yield look(self.plan, memory, row.tick, row.epoch)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "KEEP_EVERY", 0.1)
        made = Line(tmp_path_factory.mktemp("line"))
        yield made
        made.host.stop()


def known(plan: Plan, shown: dict[str, Any]) -> dict[str, Any]:
    """What of a twin's picture history can give back."""
    row = shown["fleets"].get("bearing")
    if row is None or row["instant"] == 0:
        return {"latest": shown["latest"]}
    states, sensors = row["states"].items(), row["sensors"].items()
    told = {name: row[name] for name in ("version", "instant", "kernel")}
    return {
        **told,
        "latest": shown["latest"],
        "findings": sorted(shown["findings"]),
        "states": {name: (one["mean"], pytest.approx(one["std"])) for name, one in states},
        "foreseen": {name: (one["foreseen"], pytest.approx(one["std"])) for name, one in sensors},
        "health": row["health"],
        "loss": row["parameters"]["loss"]["value"],
    }


def test_a_picture_out_of_history_is_the_one_that_was_shown(line: Line) -> None:
    compared, settled, until = 0, 0, 0
    for live in line.views():
        held = live.columns["bearing"]
        if held.settled != settled:  # set by hand: history has it from the next frame on
            settled, until = held.settled, int(held.instant.max())
        if held.instant.max() > until and live.at > START + 60 * SECOND and live.tick % 2 == 0:
            then = line.host.past(live.at, live.tick)
            assert (then.at, then.tick, then.past) == (live.at, live.tick, True)
            for twin in ("m00", "m01", "m02"):
                was, again = live.twin(twin), then.twin(twin)
                assert was is not None and again is not None
                assert known(line.plan, again) == known(line.plan, was), (twin, live.tick)
                assert again["fleets"]["bearing"]["in_step"] is None
                compared += bool(again["fleets"]["bearing"]["instant"])
    assert compared > 10


def test_the_version_that_spoke_then_is_told(line: Line) -> None:
    last = list(line.views())[-1]
    for twin, version in (("m00", "R-1"), ("m01", "typical")):
        shown = line.host.past(last.at, last.tick).twin(twin)
        assert shown is not None and shown["fleets"]["bearing"]["version"] == version
    early = next(view for view in line.views() if view.at > START + 30 * SECOND)
    shown = line.host.past(early.at).twin("m00")
    assert shown is not None and shown["fleets"]["bearing"]["version"] == "typical"


def test_a_large_plant_reads_the_samples_of_those_alone_who_are_looked_at(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = list(line.views())[-1]
    whole = line.host.past(last.at, last.tick)
    monkeypatch.setattr(past, "FEW", 0)
    part = past.past(line.host, last.at, last.tick)
    assert not part.heard_from and not part.instant.any()
    assert as_json(part.twin("m01")) == as_json(whole.twin("m01"))
    assert set(part.filled) == {part.plan.seats.number["m01"]}
    rows = overview(part).page(Asked(sort="id"), 0, 2)["items"]
    assert rows == overview(whole).page(Asked(sort="id"), 0, 2)["items"]


def test_before_its_first_sample_a_plant_knows_nothing(line: Line) -> None:
    then = line.host.past(START - 3600 * SECOND)
    rows = overview(then).page(Asked(interface="Machine"), 0, 10)["items"]
    assert {(row["status"], row["age"]) for row in rows} == {("silent", None)}
    shown = then.twin("m00")
    assert shown is not None and shown["latest"] == {} and shown["fleets"]["bearing"]["rul"] == []


def test_every_route_takes_an_instant_and_what_was_known_then(line: Line) -> None:
    middle = next(view for view in line.views() if view.tick == line.last // 2)
    then = format_instant(middle.at)
    with serve(line.host, 0), Client(line.host.data) as client:
        for noun in ("overview", "overview/tiles", "twins", "twins/m00", "twins/m00/why", "fleets"):
            for how in ({"valid": then}, {"known_at": then}, {"valid": then, "known_at": then}):
                told = client.get(noun, **how)
                assert told["at"] == then, (noun, how)
        row = client.get("twins/m00", valid=then, known_at=then)["fleets"]["bearing"]
        was = middle.twin("m00")
        assert was is not None
        assert row["states"]["wear"]["mean"] == was["fleets"]["bearing"]["states"]["wear"]["mean"]
        ahead = client.get("overview", valid="2099-01-01T00:00:00Z")
        assert then < ahead["at"] < format_instant(line.host.clock.now())
        for noun in ("proposals", "invocations"):
            assert client.get(noun, valid=then, known_at=then)["items"] == []
        told = client.get("findings", valid=then, known_at=then)["items"]
        assert sorted(f["id"] for f in told) == sorted(sum(middle.open_.values(), []))
        for one in client.get("findings")["items"]:
            after = client.get("findings", valid=one["instant"], status="open")["items"]
            assert one["id"] in {row["id"] for row in after}
