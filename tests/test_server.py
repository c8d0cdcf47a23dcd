"""The HTTP API over a real socket: the gate, the errors, every noun, the books, the live stream."""

import asyncio
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.ovens import oven_kernel

from gemel.clock import SECOND, PacedClock, format_instant, parse_instant
from gemel.errors import Bug, Conflict, Denied, GemelError, Invalid, NotFound, Unavailable
from gemel.flow import loop
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host, secret
from gemel.server import history, live
from gemel.server.answers import DAY
from gemel.server.app import Server, create_app, serve, status_of
from gemel.server.auth import LIMIT
from gemel.server.client import Client, running
from gemel.store.lease import Lease

START = parse_instant("2024-05-01T00:00:00Z")
PLANT = """
[plant]
name = "ovens"
lateness = "10s"
[interface.Oven]
telemetry = { power = { unit = "kW", range = [0, 50] }, temperature = { unit = "degC" } }
[[twin]]
id = "oven-1"
interface = "Oven"
[[twin]]
id = "oven-2"
interface = "Oven"
[[binding]]
name = "oven"
kernel = "kernel.py:Oven"
interface = "Oven"
every = "10s"
ports = { thermometer = "temperature" }
"""
JSON = {"Content-Type": "application/json"}
BAD = [  # body, status, code
    (b'{"twin": "oven-1", ', 400, "message.json"),
    (b"\xff\xfe{}", 400, "message.encoding"),
    (b'{"twin": "nobody", "time": "%T", "values": {"power": 1}}', 422, "sample.unknown_twin"),
    (b'{"twin": "oven-1", "time": "%T", "values": {"speed": 1}}', 422, "sample.unknown_signal"),
    (b'{"twin": "oven-1", "time": "%T", "values": {"power": NaN}}', 422, "sample.not_a_number"),
    (b'{"twin": "oven-1", "time": "%T", "values": {"power": "x"}}', 422, "sample.type"),
    (b'{"twin": "oven-1", "time": "1970-01-02T00:00:00Z", "values": {"power": 1}}', 422, ""),
    (b'{"twin": "oven-1", "time": "2099-01-01T00:00:00Z", "values": {"power": 1}}', 422, ""),
    (b'{"twin": "oven-1", "time": "yesterday", "values": {"power": 1}}', 422, "time.unreadable"),
]


class Ovens:
    """A host, its server, and a client with the token."""

    def __init__(self, folder: Path) -> None:
        (folder / "plant.toml").write_text(PLANT)
        (folder / "kernel.py").write_text(oven_kernel())
        self.data = folder / "ovens.gemel"
        self.plan = load_plan(folder / "plant.toml")
        self.host = Host(self.plan, self.data, clock=PacedClock(START, 20.0)).start()
        self.server: Server = serve(self.host, 0)
        self.http = httpx.Client(
            base_url=f"{self.server.url}/api/v1",
            headers={"Authorization": f"Bearer {self.host.token}"},
            timeout=30.0,
            trust_env=False,
        )

    def now(self) -> str:
        return format_instant(self.host.clock.now())

    def send(self, body: bytes | dict[str, Any]) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post("/telemetry", content=raw.replace(b"%T", self.now().encode()))

    def get(self, path: str, status: int = 200, **how: Any) -> Any:
        answer = self.http.get(path, params=how)
        assert answer.status_code == status, answer.text
        return answer.json()

    def close(self) -> None:
        self.http.close()
        self.server.stop()
        self.host.stop()


@pytest.fixture(scope="module")
def ovens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ovens]:
    made = Ovens(tmp_path_factory.mktemp("ovens"))
    for k in range(30):
        at = format_instant(made.host.clock.now() + k * SECOND)
        values = {"power": 10.0, "temperature": 60.0 + k}
        assert made.send({"twin": "oven-1", "time": at, "values": values}).status_code == 202
    made.host.event("price", {"value": 40.0})
    yield made
    made.close()


# ---- the gate ---------------------------------------------------------------------------------


def test_only_health_answers_without_the_token(ovens: Ovens) -> None:
    with httpx.Client(base_url=ovens.server.url, trust_env=False) as bare:
        assert bare.get("/api/v1/health").json() == {"ok": True}
        for path in ("/api/v1/twins", "/api/v1/openapi.json", "/api/v1/nothing", "/api", "/api/"):
            answer = bare.get(path)
            assert answer.status_code == 401, path
            assert answer.json()["code"] == "auth.no_token"
            assert str(ovens.data / "token") in answer.json()["mend"]
        wrong = {"Authorization": f"Bearer {ovens.host.token}x"}
        assert bare.get("/api/v1/twins", headers=wrong).status_code == 401
        assert bare.post("/api/v1/telemetry", content=b"{}").status_code == 401


def test_a_foreign_host_name_is_refused_even_with_the_token(ovens: Ovens) -> None:
    assert ovens.http.get("/status", headers={"Host": "evil.example"}).status_code == 400
    for name in ("localhost:1", "127.0.0.1", "[::1]:80"):
        assert ovens.http.get("/status", headers={"Host": name}).status_code == 200


def test_it_listens_on_loopback_alone(ovens: Ovens) -> None:
    assert ovens.server.url.startswith("http://127.0.0.1:")
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", ovens.server.port), 1):
        pass


def test_a_body_over_the_limit_is_refused_counted_and_the_plant_goes_on(ovens: Ovens) -> None:
    before = ovens.host.view().books.get("http", {}).get("dead", 0)
    line = b'{"twin": "' + b"a" * (50 << 20)
    answer = ovens.send(line)
    assert (answer.status_code, answer.json()["code"]) == (413, "body.too_large")
    parts = (line[: 1 << 20] for _ in range(LIMIT // (1 << 20) + 2))
    assert ovens.http.post("/telemetry", content=parts).status_code == 413
    ovens.host.event("price", {"value": 41.0})
    assert ovens.host.ledger.last().books["http"]["dead"] == before + 2  # type: ignore[union-attr]
    good = {"twin": "oven-1", "time": "%T", "values": {"power": 10.0}}
    assert ovens.send(good).status_code == 202


def test_a_message_cut_off_by_its_sender_is_no_message(ovens: Ovens) -> None:
    ovens.host.event("price", {"value": 41.0})
    before = ovens.host.view().books["http"]["received"]
    body = {"twin": "oven-1", "time": ovens.now(), "values": {"power": 7.0}}
    head = (
        f"POST /api/v1/telemetry HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n"
        f"Authorization: Bearer {ovens.host.token}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", ovens.server.port), 5) as line:
        line.sendall(head.encode() + json.dumps(body).encode() + b"\n")
        time.sleep(0.2)
    time.sleep(0.5)
    ovens.host.event("price", {"value": 41.0})
    assert ovens.host.ledger.last().books["http"]["received"] == before  # type: ignore[union-attr]


def test_an_empty_token_lets_nobody_in_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(" \n")
    made = secret(path)
    assert len(made) > 20 and secret(path) == made
    path.chmod(0o644)
    assert secret(path) == made and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_data_directory_is_its_owners_alone(ovens: Ovens) -> None:
    assert stat.S_IMODE(ovens.data.stat().st_mode) == 0o700


# ---- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (Invalid, 422),
        (NotFound, 404),
        (Conflict, 409),
        (Denied, 403),
        (Unavailable, 503),
        (Bug, 500),
    ],
)
def test_every_class_of_error_has_its_status(kind: type[GemelError], status: int) -> None:
    assert status_of(kind("a.b", "c", mend="d")) == status


@pytest.mark.parametrize(
    ("method", "path", "how", "status", "code"),
    [
        ("GET", "/nothing", {}, 404, "route.unknown"),
        ("DELETE", "/twins", {}, 405, "route.method"),
        ("GET", "/twins/nobody", {}, 404, "twin.unknown"),
        ("GET", "/twins?limit=0", {}, 422, "request.invalid"),
        ("GET", "/twins?limit=9999999", {}, 422, "request.invalid"),
        ("GET", "/twins?sort=drop", {}, 422, "request.invalid"),
        ("GET", "/twins?after=nobody", {}, 422, "page.unknown_after"),
        ("GET", "/history?after=%C3%A4", {}, 422, "page.unknown_after"),
        ("GET", "/history?after=WzEsMl0", {}, 422, "page.unknown_after"),
        ("GET", "/history?known_at=noon", {}, 422, "time.unreadable"),
        ("GET", "/history?valid=2024-05-02T00:00:00Z/2024-05-01T00:00:00Z", {}, 422, "time.span"),
        ("GET", f"/findings?twin={'x' * 65}", {}, 422, "request.invalid"),
        ("POST", "/maintenance", {"content": b"{", "headers": JSON}, 400, "request.json"),
        ("POST", "/maintenance", {"content": b"{}"}, 422, "request.invalid"),
        ("POST", "/maintenance", {"json": {"twin": "oven-1"}}, 422, "request.invalid"),
        (
            "POST",
            "/runs",
            {"json": {"definition": "rm", "by": "me"}},
            404,
            "run.unknown_definition",
        ),
        (
            "POST",
            "/proposals/P-1/verdict",
            {"json": {"verdict": "approved", "by": "me", "why": "x"}},
            404,
            "proposal.unknown",
        ),
    ],
)
def test_every_error_has_one_shape(
    ovens: Ovens, method: str, path: str, how: Any, status: int, code: str
) -> None:
    answer = ovens.http.request(method, path, **how)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert set(answer.json()) == {"code", "message", "where", "mend", "explain"}
    assert answer.json()["mend"]


@pytest.mark.parametrize(("body", "status", "code"), BAD)
def test_telemetry_of_which_nothing_could_be_used_is_told_why(
    ovens: Ovens, body: bytes, status: int, code: str
) -> None:
    answer = ovens.send(body)
    told = answer.json()
    assert answer.status_code == status, told
    assert not code or told["code"] == code
    assert told["mend"] and told["accepted"] == 0 and told["received"] == 1


def test_good_and_bad_samples_in_one_message_are_told_apart(ovens: Ovens) -> None:
    body = {"twin": "oven-1", "time": "%T", "values": {"power": 9.0, "nonsense": 1.0, "x": None}}
    told = ovens.send(body)
    assert told.status_code == 202
    assert (told.json()["received"], told.json()["accepted"]) == (3, 1)
    assert told.json()["rejected"][0]["code"] == "sample.unknown_signal"
    assert told.json()["dead"][0]["code"] == "sample.type"


# ---- nouns ------------------------------------------------------------------------------------


def test_twins_carry_their_numbers_with_doubt_unit_and_instant(ovens: Ovens) -> None:
    listed = ovens.get("/twins")
    assert {twin["id"] for twin in listed["items"]} == {"oven-1", "oven-2"}
    one = ovens.get("/twins/oven-1")
    state = one["fleets"]["oven"]["states"]["temperature"]
    assert state["unit"] == "degC" and state["std"] > 0
    assert one["latest"]["power"]["instant"].endswith("Z")
    assert "approved" not in ovens.get("/twins/oven-1/why")


def test_pages_follow_one_another(ovens: Ovens) -> None:
    first = ovens.get("/twins", limit=1, sort="id")
    second = ovens.get("/twins", limit=1, sort="id", after=first["next"])
    assert [first["items"][0]["id"], second["items"][0]["id"]] == ["oven-1", "oven-2"]
    assert second["next"] is None


def test_the_books_of_every_source_balance(ovens: Ovens) -> None:
    ovens.host.event("price", {"value": 42.0})
    items = ovens.get("/sources")["items"]
    assert items and all(row["balanced"] for row in items)


@pytest.mark.parametrize(
    "noun",
    ["status", "fleets", "findings", "proposals", "invocations", "dead-letters", "history"]
    + ["estimates", "kernels", "runs", "value", "ledger"],
)
def test_every_noun_answers(ovens: Ovens, noun: str) -> None:
    told = ovens.get(f"/{noun}")
    assert "items" in told or noun in ("status", "value")


def eventually(told: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `told` says once it says something; what is derived may lag a little."""
    until = time.monotonic() + seconds
    while not (answer := told()) and time.monotonic() < until:
        time.sleep(0.05)
    return answer


def test_history_can_be_asked_by_both_times(ovens: Ovens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "KEEP_EVERY", 0.1)
    ovens.host.event("price", {"value": 43.0})
    whole = {"twin": "oven-1", "signal": "temperature"}
    assert eventually(lambda: len(ovens.get("/history", **whole)["items"]) >= 30)
    told = ovens.get("/history", twin="oven-1", signal="temperature", limit=5)
    assert len(told["items"]) == 5 and told["next"]
    following = ovens.get("/history", twin="oven-1", signal="temperature", after=told["next"])
    assert following["items"][0]["instant"] > told["items"][-1]["instant"]
    before = ovens.get("/history", known_at="2020-01-01T00:00:00Z")
    assert before["items"] == []
    last = ovens.get("/history", twin="oven-1", signal="temperature", valid=ovens.now())
    assert [row["value"] for row in last["items"]] == [89.0]


def pages(ovens: Ovens, path: str, **how: Any) -> list[dict[str, Any]]:
    """Every row of a list, page by page."""
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        told = ovens.get(path, **how, **({"after": after} if after else {}))
        rows, after = rows + told["items"], told["next"]
        if after is None:
            return rows


NAMES = ["st1", "st1-b1", "st1-b2", "st1|b", "st1\u00e4"]


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ovens]:
    """Like `ovens`, with a lake of twins whose names begin alike, three instants of each."""
    made = Ovens(tmp_path_factory.mktemp("hall"))
    rows = [
        {"twin": twin, "signal": "load", "source": "hall", "instant": START - k * SECOND}
        | {"value": float(k), "quality": 2 * (k == 1), "reason": "", "fate": "stored"}
        | {"received_at": START, "tick": 1}
        for k in range(3)
        for twin in NAMES
    ]
    made.host.event("price", {"value": 40.0})  # the clock is at START at least
    made.host.lake.append("telemetry", pa.Table.from_pylist(rows), 1)
    yield made
    made.close()


@pytest.mark.parametrize("facts", [history.FACTS, 4])
@pytest.mark.parametrize("sort", ["instant", "-instant"])
@pytest.mark.parametrize("limit", [2, 1000])
def test_no_row_is_lost_or_told_twice_between_two_pages(
    hall: Ovens,
    monkeypatch: pytest.MonkeyPatch,
    facts: int,
    sort: str,
    limit: int,
) -> None:
    monkeypatch.setattr(history, "FACTS", facts)
    how = {"sort": sort, "limit": limit, "valid": "../.."}
    rows = pages(hall, "/history", **how)
    told = [(row["instant"], row["twin"]) for row in rows]
    instants = [format_instant(START - k * SECOND) for k in range(3)]
    wanted = sorted((at, twin) for at in instants for twin in NAMES)
    assert told == (wanted[::-1] if sort == "-instant" else wanted)
    good = pages(hall, "/history", good_only=True, **how)
    assert [(row["instant"], row["twin"]) for row in good] == [
        t for t in told if t[0] != instants[1]
    ]


def test_one_request_takes_a_bounded_part_of_the_lake(
    hall: Ovens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "FACTS", 4)
    first = hall.get("/history", valid="../..", limit=1000)
    assert len(first["items"]) == len(NAMES) and first["next"]  # one instant: no more is read
    at = format_instant(START)
    problem = hall.get("/history", 422, valid=at)
    assert problem["code"] == "history.too_many" and "START/END" in problem["mend"]
    held = hall.get("/history", valid=at, twin="st1")
    assert [row["value"] for row in held["items"]] == [0.0]
    monkeypatch.setattr(history, "FACTS", 1000)
    for sort in ("instant", "-instant"):
        rows = pages(hall, "/history", valid=at, limit=2, sort=sort)
        held = {row["twin"]: row["value"] for row in rows}
        assert held == dict.fromkeys(NAMES, 0.0), sort
    assert hall.get("/history", valid=format_instant(START + 2 * DAY))["items"] == []


def test_why_tells_the_repairs_of_that_twin_alone(
    ovens: Ovens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "KEEP_EVERY", 0.1)
    repair = {"twin": "oven-2", "resets": [], "by": "me", "why": "as oven-1 was in May"}
    assert ovens.http.post("/maintenance", json=repair).status_code == 200
    assert eventually(lambda: ovens.get("/twins/oven-2/why")["maintenance"])
    proved = {"promoted": ["oven-2"], "proofs": {"oven-2": {"why": "oven-1 has none"}}}
    run = {"id": "R-9", "definition": "refit", "status": "done", "created_at": 1, "result": proved}
    ovens.host.ledger.put_run(run)
    for twin, count in (("oven-1", 0), ("oven-2", 1)):
        assert len(ovens.get(f"/twins/{twin}/why")["validation"]) == count, twin
        told = ovens.get(f"/twins/{twin}/why")["maintenance"]
        mine = [row for row in told if "in May" in row["body"]]
        assert len(mine) == count, twin


def test_an_event_and_a_repair_are_taken_in(ovens: Ovens) -> None:
    sent = ovens.http.post("/events", json={"name": "price", "values": {"value": 50.0}})
    assert sent.status_code == 202
    body = {"twin": "oven-1", "resets": ["temperature"], "by": "me", "why": "new thermometer"}
    assert ovens.http.post("/maintenance", json=body).json()["resets"] == ["temperature"]
    odd = ovens.http.post("/maintenance", json={**body, "resets": ["colour"]})
    assert odd.json()["code"] == "maintenance.state"


def test_the_document_describes_every_route_with_an_example(ovens: Ovens) -> None:
    document = ovens.get("/openapi.json")
    for path, methods in document["paths"].items():
        for told in methods.values():
            assert told["summary"] and told["tags"], path
            if path not in ("/api/v1/health", "/api/v1/live"):
                ok = next(a for status, a in told["responses"].items() if status.startswith("2"))
                assert ok["content"]["application/json"]["example"], path


def test_a_client_that_leaves_before_its_stream_begins_keeps_no_place(ovens: Ovens) -> None:
    app = create_app(ovens.host)
    bearer = f"Bearer {ovens.host.token}".encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/v1/live",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", bearer)],
    }

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def unheard(message: Any) -> None:
        pass

    async def leave() -> None:
        for _ in range(live.MOST + 1):
            await app(dict(scope), gone, unheard)

    asyncio.run(leave())
    with ovens.http.stream("GET", "/live") as answer:
        assert answer.status_code == 200


def test_a_stream_too_many_is_refused(ovens: Ovens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_open", threading.BoundedSemaphore(1))
    with ovens.http.stream("GET", "/live") as answer:
        lines = answer.iter_lines()  # kept: an iterator let go of closes the stream
        assert next(lines)
        assert ovens.get("/live", 503)["code"] == "live.full"


# ---- the server -------------------------------------------------------------------------------


def test_a_client_finds_the_server_by_the_data_directory(ovens: Ovens) -> None:
    assert running(ovens.data) == ovens.server.url
    with Client(ovens.data) as client:
        assert client.get("status")["plant"] == "ovens"
        with pytest.raises(NotFound) as error:
            client.get("twins/nobody")
        assert error.value.code == "twin.unknown"


def test_a_file_left_by_a_crash_leads_to_nobody(tmp_path: Path) -> None:
    told = {"url": "http://127.0.0.1:1", "pid": os.getpid()}  # some process lives under that pid
    (tmp_path / "server.json").write_text(json.dumps(told))
    (tmp_path / "token").write_text("secret")
    assert running(tmp_path) is None
    with Lease(tmp_path):
        assert running(tmp_path) == told["url"]
        (tmp_path / "server.json").write_text(json.dumps({**told, "pid": os.getppid()}))
        assert running(tmp_path) is None


def test_a_busy_port_is_told(ovens: Ovens) -> None:
    with pytest.raises(Unavailable) as error:
        serve(ovens.host, ovens.server.port)
    assert error.value.code == "server.port_busy"
    assert running(ovens.data) == ovens.server.url


def test_stopping_frees_the_port_and_the_file_even_with_a_stream_open(tmp_path: Path) -> None:
    own = Ovens(tmp_path)
    with own.http.stream("GET", "/live") as answer:
        next(answer.iter_lines())
        own.server.stop()
    own.close()
    assert running(own.data) is None
    with pytest.raises(Unavailable):
        Client(own.data)
