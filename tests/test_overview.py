"""The fleet at a glance and its live stream: what a status means, what comes first, who is told."""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.clock import SECOND, PacedClock, format_instant, parse_instant
from gemel.flow.fleet import Plan, compile_plan
from gemel.flow.host import Host
from gemel.flow.memory import Memory, begin
from gemel.flow.overview import SORTS, STATUSES, Asked, overview
from gemel.flow.tick import tick
from gemel.flow.view import View, look
from gemel.graph.plantfile import parse, read_plant
from gemel.records import Batch, Entry, Finding
from gemel.server import board
from gemel.server.app import serve

START = parse_instant("2024-05-01T00:00:00Z")
TWINS = 7
PLANT = """
[plant]
name = "bearings"
lateness = "10s"
[interface.Machine.telemetry]
speed = { unit = "1" }
load = { unit = "1" }
oil_temperature = { unit = "degC" }
vibration = { unit = "mm/s", every = "10s", gap = 3 }
[interface.Site]
properties = { town = {} }
[[twin]]
id = "works"
interface = "Site"
properties = { town = "Basel" }
[[binding]]
name = "bearing"
kernel = "benchmarks.reference:ReferenceBearing"
interface = "Machine"
every = "10s"
[[source]]
name = "hall"
kind = "http"
"""
SIGNALS = {"speed": 1.0, "load": 1.0, "oil_temperature": 49.0, "vibration": 2.1}


@cache
def plant(twins: int = TWINS) -> Plan:
    more = "".join(f'[[twin]]\nid = "m{k:02d}"\ninterface = "Machine"\n' for k in range(twins))
    return compile_plan(read_plant(parse(PLANT + more), "bearings"), Path())


def entry(sequence: int, twins: list[str], at: int, **other: float) -> Entry:
    values = {**SIGNALS, **other}
    rows = [(twin, signal, at, values[signal], "") for twin in twins for signal in SIGNALS]
    return Entry("batch", "hall", at, "", Batch.of(rows), sequence=sequence)


def told(plan: Plan) -> Memory:
    """A memory of a minute in which every machine but the last has spoken."""
    memory, ids = begin(plan), [f"m{k:02d}" for k in range(TWINS - 1)]
    tick(plan, memory, [entry(k, ids, START + k * 10 * SECOND) for k in range(1, 7)])
    return memory


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plant()


def seen(plan: Plan, memory: Memory) -> View:
    return look(plan, memory, 6, 1)


def statuses(view: View) -> dict[str, str]:
    return {row["id"]: row["status"] for row in overview(view).page(Asked(), 0, 100)["items"]}


# ---- status and order -------------------------------------------------------------------------


def test_every_status_follows_from_what_it_says(plan: Plan) -> None:
    memory = told(plan)
    held = memory.fleets["bearing"]
    index, _ = held.health["worn out"]
    index[0] = 0.0  # failed
    index[1] = 0.2  # warning, by its health
    held.nis[3] = 9.0  # out of step
    held.stale[4] = True  # silent, as an input is old
    memory.findings.open["x"] = Finding(
        "F-1", "anomaly", "m02", "bearing", "vibration", START, "warning", 9.0, 5.0, "off", {}
    )
    wanted = ("failed", "warning", "warning", "out_of_step", "silent", "ok", "silent")
    assert statuses(seen(plan, memory)) == {
        **{f"m{k:02d}": status for k, status in enumerate(wanted)},
        "works": "ok",  # it has no telemetry that could fall silent
    }


def test_a_twin_of_which_no_signal_is_heard_any_more_is_silent(plan: Plan) -> None:
    memory = told(plan)
    later = START + 300 * SECOND
    tick(plan, memory, [entry(7, ["m00"], later)])
    silent = {twin for twin, status in statuses(seen(plan, memory)).items() if status == "silent"}
    assert silent == {f"m{k:02d}" for k in range(1, TWINS)}


@pytest.mark.parametrize("sort", [sign + name for name in SORTS for sign in ("", "-")])
def test_every_order_holds_each_twin_once_and_those_without_a_key_last(
    plan: Plan, sort: str
) -> None:
    memory = told(plan)
    memory.fleets["bearing"].rul["m03"] = [rul(900.0)]
    memory.fleets["bearing"].rul["m01"] = [rul(None), rul(100.0)]
    whole = overview(seen(plan, memory))
    order = whole.order(Asked(sort=sort)).tolist()
    assert sorted(order) == list(range(TWINS + 1))
    key = {"age": "age", "rul": "rul", "quality": "quality", "id": "id"}.get(sort.strip("-"))
    if key is not None:
        values = [whole.row(k)[key] for k in order]
        there = [v for v in values if v is not None]
        assert values[: len(there)] == there
        numbers = [v["quantiles"]["0.5"] if key == "rul" else v for v in there]
        assert numbers == sorted(numbers, reverse=sort.startswith("-"))


def rul(middle: float | None) -> dict[str, Any]:
    quantiles = {"0.05": None, "0.5": middle, "0.95": None}
    told = {"mode": "worn out", "quantiles": quantiles, "reached": 0.6, "horizon": 1e6}
    return {**told, "scenario": "usual day"}


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9]), min_size=TWINS - 1, max_size=TWINS - 1),
    st.sampled_from(["", "m", "M0", "05", "nobody"]),
    st.sampled_from([None, *STATUSES]),
    st.integers(0, 9),
)
def test_pages_and_counts_are_those_of_the_plain_list(
    health: list[float], find: str, status: str | None, offset: int
) -> None:
    plan = plant()
    memory = told(plan)
    memory.fleets["bearing"].health["worn out"][0][: len(health)] = health
    whole = overview(seen(plan, memory))
    everyone = [whole.row(k) for k in range(TWINS + 1) if find.lower() in plan.seats.ids[k]]
    page = whole.page(Asked(None, find, status), offset, 3)
    assert page["counts"] == {
        "all": len(everyone),
        **{one: sum(row["status"] == one for row in everyone) for one in STATUSES},
    }
    wanted = [row for row in everyone if status in (None, row["status"])]

    def first(row: dict[str, Any]) -> tuple[int, float, str]:
        index = row["worst"]["index"] if row["worst"] else 1.0
        return STATUSES.index(row["status"]), index, row["id"]

    assert page["total"] == len(wanted)
    assert page["items"] == sorted(wanted, key=first)[offset : offset + 3]


def test_tiles_say_in_bytes_what_rows_say_in_words(plan: Plan) -> None:
    memory = told(plan)
    memory.fleets["bearing"].health["worn out"][0][:2] = 0.5, 0.0
    whole = overview(seen(plan, memory))
    tiles, rows = whole.tiles(Asked()), whole.page(Asked(), 0, 100)["items"]
    status, worst = (
        np.frombuffer(base64.b64decode(tiles[n]), np.uint8) for n in ("status", "worst")
    )
    assert [STATUSES[k] for k in status] == [row["status"] for row in rows]
    for byte, row in zip(worst.tolist(), rows, strict=True):
        assert byte == (255 if row["worst"] is None else round(250 * row["worst"]["index"]))
    assert tiles["n"] == TWINS + 1
    assert tiles["ids_hash"] != whole.tiles(Asked(sort="id"))["ids_hash"]


# ---- the picture is a copy --------------------------------------------------------------------


def test_a_picture_stays_as_it_was_when_the_plant_goes_on(plan: Plan) -> None:
    memory = told(plan)
    view = seen(plan, memory)
    before = json.dumps(view.twins())
    order = overview(seen(plan, memory)).order(Asked()).tolist()
    repair = {"twin": "m01", "resets": [], "by": "eva", "why": "new shells"}
    promoted = {"binding": "bearing", "twin": "m02", "parameters": {"loss": 2.0}, "version": "R-1"}
    layout = plan.fleets["bearing"].kernel.layout.parameters
    promoted |= {"cov": np.eye(len(layout)).tolist(), "by": "eva", "why": "better", "kernel": ""}
    at = START + 100 * SECOND
    entries = [
        entry(7, [f"m{k:02d}" for k in range(TWINS)], at, oil_temperature=60.0),
        Entry("maintenance", "person", at, body=repair, sequence=8),
        Entry("promotion", "runs", at, body=promoted, sequence=9),
    ]
    tick(plan, memory, entries)
    assert json.dumps(view.twins()) == before
    assert overview(view).order(Asked()).tolist() == order
    after = look(plan, memory, 7, 1, view)
    shown = after.twin("m02")
    assert shown is not None
    row = shown["fleets"]["bearing"]
    assert (row["version"], row["parameters"]["loss"]["value"]) == ("R-1", 2.0)
    assert json.dumps(after.twins()) == json.dumps(look(plan, memory, 7, 1).twins())


# ---- over HTTP --------------------------------------------------------------------------------


class Hall:
    """A host of some machines, its server, and a client with the token."""

    def __init__(self, folder: Path) -> None:
        self.plan = plant()
        self.host = Host(self.plan, folder / "hall.gemel", clock=PacedClock(START, 20.0)).start()
        self.server = serve(self.host, 0)
        self.http = httpx.Client(
            base_url=f"{self.server.url}/api/v1",
            headers={"Authorization": f"Bearer {self.host.token}"},
            timeout=30.0,
            trust_env=False,
        )

    def get(self, path: str, status: int = 200, **how: Any) -> Any:
        answer = self.http.get(path, params=how or None)
        assert answer.status_code == status, answer.text
        return answer.json()

    def send(self, twin: str, **values: float) -> None:
        body = {"twin": twin, "time": format_instant(self.host.clock.now()), "values": values}
        assert self.http.post("/telemetry", json=body).is_success

    def close(self) -> None:
        self.http.close()
        self.server.stop()
        self.host.stop()


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    made = Hall(tmp_path_factory.mktemp("hall"))
    made.host.event("price", {"value": 40.0})
    yield made
    made.close()


def test_the_overview_is_told_by_page_filter_and_order(hall: Hall) -> None:
    first = hall.get("/overview", interface="Machine", sort="id", limit=2)
    assert [row["id"] for row in first["items"]] == ["m00", "m01"]
    assert first["total"] == first["counts"]["all"] == TWINS
    assert hall.get("/overview", sort="id", offset=2, limit=1)["items"][0]["id"] == "m02"
    assert hall.get("/overview", interface="Nothing")["total"] == 0
    assert hall.get("/overview", find="ORK")["items"][0]["id"] == "works"
    assert hall.get("/overview/tiles", find="m")["n"] == TWINS
    for odd in ("sort=colour", "limit=0", "offset=-1", "status=blue", "x=1"):
        assert hall.get(f"/overview?{odd}", 422)["code"] == "request.invalid", odd


def test_the_plant_says_what_its_numbers_are_labelled_with(hall: Hall) -> None:
    plant = hall.get("/plant")
    machine, site = plant["interfaces"]
    assert machine["signals"]["vibration"]["unit"] == "mm/s" and machine["twins"] == TWINS
    assert machine["signals"]["vibration"]["every"] == 10.0
    assert machine["signals"]["speed"]["high"] is None and site["signals"] == {}
    assert plant["bindings"][0]["ports"]["oil_temperature"] == "oil_temperature"
    assert plant["time_zone"] == "UTC"


class Events:
    """The events of a stream, as (name, data)."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.iter_lines()

    def next(self) -> tuple[str, dict[str, Any]]:
        name = ""
        for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))
        raise AssertionError("the stream ended")

    def until(self, name: str, holds: Any) -> dict[str, Any]:
        while True:
            told, data = self.next()
            assert told != "problem", data
            if told == name and holds(data):
                return data


def test_a_stream_tells_each_section_once_and_again_when_it_changed(hall: Hall) -> None:
    how = {
        "sections": "status,overview,twin,inbox,sources,latest",
        "overview": urlencode({"interface": "Machine", "sort": "id", "limit": 2}),
        "twin": "m05",
        "latest": "m05:speed,m05:nothing,nobody:speed",
    }
    with hall.http.stream("GET", "/live", params=how) as answer:
        events = Events(answer)
        first = dict(events.next() for _ in range(6))
        assert list(first) == how["sections"].split(",")
        assert first["status"]["counts"]["all"] == TWINS + 1
        assert first["status"]["value"]["currency"] == "EUR"
        assert [row["id"] for row in first["overview"]["items"]] == ["m00", "m01"]
        assert first["inbox"]["proposals"] == [] and first["latest"]["items"] == []
        assert first["sources"]["items"][0]["source"] == "hall"
        hall.send("m05", speed=0.5)
        row = events.until("latest", lambda data: data["items"])["items"][0]
        assert (row["twin"], row["signal"], row["value"], row["unit"]) == ("m05", "speed", 0.5, "1")
        assert events.until("twin", lambda data: "speed" in data["latest"])["id"] == "m05"
        assert all(row["balanced"] for row in events.until("sources", bool)["items"])


def test_streams_that_ask_alike_are_told_the_same_bytes(hall: Hall) -> None:
    made = board.Board(hall.host, threading.Event())
    first, second = (
        board.Question("a", key, lambda host, view: {"n": view.tick}) for key in (1, 1)
    )
    made._look([first])
    before = made._events[first.key]
    made._look([second])
    assert made._events[second.key] is before


def test_who_follows_after_all_others_left_waits_for_its_beat(hall: Hall) -> None:
    made = board.Board(hall.host, threading.Event())
    question = board.Question("a", 1, lambda host, view: {"n": 1})

    async def follow() -> bool:
        async with aclosing(made.follow([question])) as events:
            assert (await anext(events)).startswith(b"event: a")
            waits = not made._beat.is_set()
            assert await anext(events) == b""
        assert made._pump is not None
        await made._pump
        return waits

    async def twice() -> list[bool]:
        return [await follow(), await follow()]

    assert asyncio.run(twice()) == [True, True]


def test_whoever_follows_later_is_told_and_nobody_spins(hall: Hall) -> None:
    stopping = threading.Event()
    made = board.Board(hall.host, stopping)
    question = board.Question("status", None, lambda host, view: {"now": host.clock.now()})

    async def follow(beats: int) -> list[bytes]:
        told: list[bytes] = []
        async with aclosing(made.follow([question])) as events:
            async for event in events:
                told.append(event)
                if told.count(b"") == beats:
                    break
        return told

    async def both() -> tuple[list[bytes], list[bytes], float]:
        first = await follow(1)
        began = asyncio.get_running_loop().time()
        later = await follow(2)
        return first, later, asyncio.get_running_loop().time() - began

    first, later, took = asyncio.run(both())
    assert len([event for event in first if event]) == 1
    assert len([event for event in later if event]) == 2  # what is new was told once a beat
    assert took > board.BEAT
    assert not made._asked and not made._events


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"sections": "weather"}, "live.section"),
        ({"sections": "twin"}, "live.section"),
        ({"sections": "latest"}, "live.section"),
        ({"sections": "twin", "twin": "nobody"}, "twin.unknown"),
        ({"sections": "overview", "overview": "limit=0"}, "request.invalid"),
        ({"sections": "overview", "overview": "colour=red"}, "request.invalid"),
    ],
)
def test_a_stream_that_cannot_be_told_is_refused_before_it_begins(
    hall: Hall, how: dict[str, str], code: str
) -> None:
    status = 404 if code == "twin.unknown" else 422
    assert hall.get("/live", status, **how)["code"] == code
