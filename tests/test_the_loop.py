"""The loop closes over real MQTT: degrade, find, propose, approve, command, confirm."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.schemas import fits, routes

from gemel.clock import SECOND, PacedClock, format_instant, parse_instant
from gemel.errors import Conflict, Invalid, NotFound
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.plant.simulator import PlantConfig, Simulator
from gemel.plant.truth import START
from gemel.plant.wires import ToMqtt
from gemel.server.app import create_app, serve
from gemel.server.client import Client

STEAM = Path(__file__).parent.parent / "examples" / "steam" / "plant.toml"
TARGETS = ("st1-b2", "st1")
SPEED = 2400.0  # 1 s here is 40 min there: the eight hours to the fault take 12 s


class Hall:
    """A host and its simulated plant, over the embedded broker."""

    def __init__(self, data: Path, at: int = START) -> None:
        plan = load_plan(STEAM)
        plant = replace(plan.plant, lateness=10_800.0, skew=10_800.0)
        rules = replace(plan.rules, lateness=10_800 * SECOND, skew=10_800 * SECOND)
        self.host = Host(
            replace(plan, plant=plant, rules=rules), data, clock=PacedClock(at, SPEED)
        ).start()
        clock, address = self.host.clock, self.host.broker_address
        assert isinstance(clock, PacedClock) and address is not None
        config = PlantConfig(
            data,
            ToMqtt(address),
            at=clock.start,
            wall=clock.wall,
            speed=SPEED,
            every=120.0,
        )
        self._stop = threading.Event()
        self.plant = threading.Thread(target=Simulator(config).run, args=(self._stop,))
        self.plant.start()

    def until(self, found: Any, seconds: float = 90.0) -> Any:
        """What `found()` returns once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.host.failure is None, self.host.failure
            if answer := found():
                return answer
            time.sleep(0.1)
        raise AssertionError(f"it did not come in {seconds} s: {self.host.view().status}")

    def proposal(self) -> dict[str, Any]:
        found: dict[str, Any] = self.until(lambda: self.host.ledger.proposals(status="open"))[0]
        return found

    def close(self) -> None:
        self._stop.set()
        self.plant.join()
        self.host.stop()


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    made = Hall(tmp_path_factory.mktemp("hall"))
    yield made
    made.close()


def test_the_loop_closes_from_a_degrading_bearing_to_a_confirmed_command(hall: Hall) -> None:
    host = hall.host
    proposal = hall.proposal()
    foreseen = proposal["foreseen"]
    assert proposal["twin"] == "st1-b2"
    assert foreseen["with"]["chance"] < foreseen["without"]["chance"]
    assert {r["mode"] for r in foreseen["without"]["rul"]} == {"overheated", "worn out"}
    assert foreseen["saving"]["low"] <= foreseen["saving"]["mean"] <= foreseen["saving"]["high"]
    assert host.ledger.invocations() == []  # unapproved: nothing was ever sent

    with pytest.raises(NotFound, match="proposal"):
        host.verdict("P-999999", "approved", by="eva", why="yes")
    with pytest.raises(Invalid, match="outside"):
        host.verdict(proposal["id"], "approved", by="eva", why="yes", argument=500.0)
    with pytest.raises(Invalid, match="reason"):
        host.verdict(proposal["id"], "approved", by="eva", why=" ")

    tried = host.trial(proposal["id"], proposal["argument"])
    assert tried["with"]["argument"] == proposal["argument"] and tried["target"] in TARGETS
    assert tried["with"]["chance"] <= tried["without"]["chance"] and tried["with"]["fan"]["health"]
    with pytest.raises(Invalid, match="outside"):
        host.trial(proposal["id"], 500.0)

    answer = host.verdict(proposal["id"], "approved", by="eva", why="before the service")
    assert answer["proposal"]["status"] == "approved"
    assert answer["invocation"]["status"] in ("sending", "acknowledged", "confirmed")

    def confirmed() -> bool:
        return host.ledger.invocations()[0]["status"] == "confirmed"

    hall.until(confirmed)
    shown_by = host.ledger.invocations()[0]["shown"]
    assert shown_by["value"] == pytest.approx(proposal["argument"], abs=1.0)
    assert shown_by["twin"] == answer["invocation"]["target"]
    shown = host.view().twin("st1-b2")
    assert shown is not None
    if proposal["command"] == "set_oil_flow":
        assert shown["latest"]["oil_flow"]["value"] == pytest.approx(proposal["argument"], abs=2.0)
    with pytest.raises(Conflict, match="approved by eva: before the service"):
        host.verdict(proposal["id"], "approved", by="eva", why="again")
    assert len(host.ledger.invocations()) == 1  # once


def test_a_run_is_started_by_the_finding_and_leaves_its_evidence(hall: Hall) -> None:
    host = hall.host

    def done() -> list[dict[str, Any]]:
        runs = host.ledger.runs(status="done")
        return [r for r in runs if r["definition"] == "report"]

    report = hall.until(done)[0]
    text = (host.data / report["result"]["report"]).read_text()
    assert "st1-b2" in text and report["started_by"].startswith("finding F-")


def test_a_run_waits_for_a_person_and_promotes_only_what_beats_the_incumbent(hall: Hall) -> None:
    host = hall.host
    well = format_instant(START + 8 * 3600 * SECOND)  # until the fault begins
    options = {"days": 1 / 3, "until": well, "every": 120.0, "warm": 1.0, "held_out": 0.4}
    run = host.start_run("refit", options, started_by="request eva")

    def ended() -> Any:
        record = host.ledger.run(run["id"])
        return record if record and record["status"] != "running" else None

    waiting = hall.until(ended)
    assert waiting["status"] == "waiting", waiting
    assert all(twin["fleets"]["bearing"]["version"] == "typical"
               for twin in host.view().twins() if "bearing" in twin["fleets"])  # fmt: skip
    host.run_verdict(run["id"], "approved", by="eva", why="the proofs are good")
    record = hall.until(lambda: (r := ended()) and r["status"] != "waiting" and r)
    assert record["status"] == "done", record
    for twin in record["result"]["promoted"]:
        proof = record["result"]["proofs"][twin]
        assert proof["challenger_rmse"] < proof["incumbent_rmse"]
        shown = host.view().twin(twin)
        assert shown is not None and shown["fleets"]["bearing"]["version"] == run["id"]
    assert record["result"]["promoted"]


def test_a_timer_starts_a_run_once_a_day(hall: Hall) -> None:
    def nightly() -> list[dict[str, Any]]:
        return [r for r in hall.host.ledger.runs(status="done") if r["definition"] == "watch"]

    found = hall.until(nightly, 120.0)
    assert len({r["id"] for r in found}) == len(found)
    assert found[0]["started_by"] == "timer nightly" and found[0]["result"]["scores"]


def test_the_books_balance_and_every_reading_is_stored_once(hall: Hall) -> None:
    for book in hall.host.view().books.values():
        assert book["received"] == sum(n for fate, n in book.items() if fate != "received")
    assert hall.host.view().books["hall"]["late"] == 0


def test_every_answer_keeps_to_its_schema(hall: Hall) -> None:
    with serve(hall.host, 0) as server, Client(hall.host.data) as client:
        app = create_app(hall.host)
        run = hall.host.ledger.runs()[0]["id"]
        names = {"id": "st1-b2", "binding": "bearing", "run": run}
        how = {
            "/runs/{id}": {"id": run},
            "/proposals/{id}": {"id": "P-000001"},
            "/invocations/{id}": {"id": "I-000001"},
            "/telemetry": {"twin": "st1-b2"},
            "/telemetry/asof": {"twin": "st1-b2", "signal": "oil_flow"},
        }
        for method, path in routes(app):
            if method == "GET" and path != "/live":
                told = how.get(path, {})
                place = path.format(**{**names, **told})
                fits(app, method, path, client.get(place.strip("/"), **told))
        assert server.url == client.url


def test_the_life_of_a_command_is_told_step_by_step(hall: Hall) -> None:
    with serve(hall.host, 0), Client(hall.host.data) as client:
        told = client.get("invocations/I-000001")
        steps = [step["step"] for step in told["life"]]
        assert steps[:3] == ["proposed", "approved", "sending"] and steps[-1] == "confirmed"
        assert "sent" in steps and told["shown"]["signal"] == told["label"]["confirmed_by"]
        at = [parse_instant(step["at"]) for step in told["life"]]
        assert at == sorted(at)
        asked = client.get("proposals/P-000001")
        assert asked["invocation"]["id"] == "I-000001" and asked["findings"]
        assert asked["label"]["low"] <= asked["argument"] <= asked["label"]["high"]
        before = client.get("proposals/P-000001", known_at=told["life"][0]["at"])
        assert (before["status"], before["invocation"]) == ("open", None)
        with pytest.raises(NotFound, match="at that instant"):
            client.get("proposals/P-000001", known_at="2017-04-03T00:00:00Z")


def test_what_each_source_sent_is_counted_in_parts_of_a_span(hall: Hall) -> None:
    with serve(hall.host, 0), Client(hall.host.data) as client:
        end = START + 4 * 3600 * SECOND
        span = f"{format_instant(START)}/{format_instant(end)}"
        hall.until(lambda: parse_instant(client.get("sources/history")["until"]) > end)
        told = client.get("sources/history", valid=span, parts=4)
        [source] = [item for item in told["items"] if item["source"] == "hall"]
        facts = hall.host.lake.telemetry(start=START, end=end).to_pylist()
        kept = [row for row in facts if row["source"] == "hall" and not row["quality"]]
        assert told["every"] == 3600.0 and sum(source["good"]) == len(kept) > 0
        took = [row["received_at"] - row["instant"] for row in kept]
        whole = sum(n * lag for n, lag in zip(source["good"], source["lag"], strict=True) if n)
        if not source["reasons"]:
            assert whole == pytest.approx(sum(took) / SECOND)


def test_the_books_of_an_instant_of_the_past_balance_as_well(hall: Hall) -> None:
    with serve(hall.host, 0), Client(hall.host.data) as client:
        half = format_instant(START + 6 * 3600 * SECOND)
        then, now = (
            next(one for one in client.get("sources", **when)["items"] if one["source"] == "hall")
            for when in ({"known_at": half}, {})
        )
        assert then["balanced"] and now["balanced"]
        assert 0 < then["received"] < now["received"]
        assert client.get("dead-letters", known_at=half)["items"] == []
