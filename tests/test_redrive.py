"""What was late or refused is not lost: it is found, and taken in once more when a person says."""

import json
from pathlib import Path
from typing import Any

import httpx

import gemel
from gemel.clock import SECOND, PacedClock, format_instant, parse_instant
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.server.app import serve

START = parse_instant("2024-05-01T12:00:00Z")
PLANT = """
[plant]
name = "line"
lateness = "60s"
[interface.Oven]
telemetry = {{ temperature = {{ unit = "degC", range = [-50, 400] }} }}
[[source]]
name = "hall"
kind = "http"
[[source]]
name = "yard"
kind = "http"
{twins}
"""
TWIN = '[[twin]]\nid = "{}"\ninterface = "Oven"\n'


def plant(folder: Path, clock: PacedClock, *twins: str) -> Host:
    path = folder / "plant.toml"
    path.write_text(PLANT.format(twins="".join(map(TWIN.format, twins))))
    return Host(load_plan(path), folder / "data", clock=clock)


def line(twin: str, seconds: float, value: float) -> bytes:
    time = format_instant(START + int(seconds * SECOND))
    return json.dumps({"twin": twin, "time": time, "values": {"temperature": value}}).encode()


def asked(host: Host, **how: Any) -> dict[str, Any]:
    server = serve(host, 0)
    try:
        head = {"Authorization": f"Bearer {host.token}"}
        with httpx.Client(base_url=f"{server.url}/api/v1/", headers=head, timeout=60) as http:
            told: dict[str, Any] = http.request(**how).raise_for_status().json()
            return told
    finally:
        server.stop()


def test_late_and_refused_samples_are_taken_in_once_more(tmp_path: Path) -> None:
    clock = PacedClock(START + 600 * SECOND, 1.0)
    with plant(tmp_path, clock, "oven-1") as host:
        host.ingest(line("oven-1", 590.0, 200.0), source="hall")
        host.submit("beat", {}, "clock")
        host.ingest(line("oven-1", 100.0, 180.0), source="hall")  # late by eight minutes
        host.ingest(line("oven-9", 590.0, 90.0), source="hall")  # nobody knows it yet
        host.ingest(b'{"twin": "oven-1", "ti', source="hall")
        host.submit("beat", {}, "clock")
        found = host.ledger.dead_letters(text="oven-9")
        assert [letter["code"] for letter in found] == ["sample.unknown_twin"]
        assert [f["fate"] for f in host.ledger.dead_letters(code="message.json")] == ["dead"]
        assert asked(host, method="GET", url="dead-letters?fate=dead")["items"][0]["source"] == (
            "hall"
        )
        assert host.ledger.dead_letters(text="100%") == []
    with plant(tmp_path, clock, "oven-1", "oven-9") as host:
        body = {"by": "ada", "why": "oven-9 is in the plant file now"}
        told = asked(host, method="POST", url="redrive", json=body)
        assert told == {"late": {"hall": 1}, "rejected": {"hall": 1}}
        last = host.ledger.last()
        assert last is not None
        book = last.books["hall"]
        assert (book["stored"], book["late"], book["rejected"], book["dead"]) == (3, 1, 1, 1)
        assert book["received"] == 6
    with plant(tmp_path, clock, "oven-1", "oven-9") as host:
        told = asked(host, method="POST", url="redrive", json={"by": "ada", "why": "again"})
        assert told == {"late": {}, "rejected": {}}
    kept = gemel.open(tmp_path / "data").history().polars()
    kept = kept.filter(kept["quality"] == 0)
    rows = sorted(zip(kept["twin"], kept["value"], strict=True))
    assert rows == [("oven-1", 180.0), ("oven-1", 200.0), ("oven-9", 90.0)]


def test_only_what_is_asked_for_is_taken_in(tmp_path: Path) -> None:
    clock = PacedClock(START + 600 * SECOND, 1.0)
    with plant(tmp_path, clock, "oven-1") as host:
        host.submit("beat", {}, "clock")  # the clock stands at ten minutes: all of these are late
        for source, at in (("hall", 110.0), ("hall", 210.0), ("yard", 210.0)):
            host.ingest(line("oven-1", at, 181.0), source=source)
        host.submit("beat", {}, "clock")
    with plant(tmp_path, clock, "oven-1") as host:
        start = START + 150 * SECOND
        told = host.redrive("hall", start, None, by="ada", why="the line was down")
        assert told == {"late": {"hall": 1}, "rejected": {}}
        [entry] = host.journal.read(host.journal.last() - 1, 1)
        assert entry.body == {"redrive": {"by": "ada", "why": "the line was down"}}
