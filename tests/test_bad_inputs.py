"""Bad inputs: each has its answer, mend and place in the books, and the loop goes on."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gemel.clock import SECOND, PacedClock, format_instant, parse_instant
from gemel.errors import catalogue
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.server.app import serve

START = parse_instant("2024-05-01T00:00:00Z")
PLANT = """
[plant]
name = "line"
lateness = "60s"
skew = "60s"
[interface.Oven]
telemetry = { power = { unit = "kW" }, temperature = { unit = "degC", range = [-50, 400] } }
[[twin]]
id = "oven-1"
interface = "Oven"
"""


class Line:
    """A host with an API, and a person at the other end of a socket."""

    def __init__(self, folder: Path) -> None:
        (folder / "plant.toml").write_text(PLANT)
        self.host = Host(
            load_plan(folder / "plant.toml"), folder / "data", clock=PacedClock(START, 5.0)
        ).start()
        self.server = serve(self.host, 0)
        head = {"Authorization": f"Bearer {self.host.token}"}
        self.http = httpx.Client(base_url=f"{self.server.url}/api/v1", headers=head, timeout=60)

    def send(self, body: bytes, **how: Any) -> httpx.Response:
        return self.http.post("telemetry", content=body, **how)

    def book(self) -> dict[str, int]:
        """The HTTP source's book, once every tick that is due has been taken."""
        self.host.submit("beat", {}, "clock")
        last = self.host.ledger.last()
        assert last is not None
        return dict(last.books.get("http", {}))

    def now(self, shift: float = 0.0) -> str:
        return format_instant(self.host.clock.now() + int(shift * SECOND))

    def sample(self, shift: float = 0.0, **values: Any) -> bytes:
        body = {"twin": "oven-1", "time": self.now(shift), "values": values}
        return json.dumps(body).encode()

    def close(self) -> None:
        self.http.close()
        self.server.stop()
        self.host.stop()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    made = Line(tmp_path_factory.mktemp("line"))
    yield made
    made.close()


ONE = {"values": {"power": 1}}
CASES = [  # what, the body, the answer's status, its code, the counter that moves
    ("broken JSON", b'{"twin": "oven-1", "time"', 400, "message.json", "dead"),
    ("bad UTF-8", b'{"twin": "\xff\xfe"}', 400, "message.encoding", "dead"),
    ("unknown twin", {"twin": "oven-9", **ONE}, 422, "sample.unknown_twin", "rejected"),
    ("NaN", {"values": {"power": float("nan")}}, 422, "sample.not_a_number", "rejected"),
    ("wrong unit", {**ONE, "units": {"power": "degC"}}, 422, "unit.mismatch", "rejected"),
    ("1970", {"time": "1970-01-01T00:00:00Z", **ONE}, 422, "sample.far_past", "rejected"),
    ("2099", {"time": "2099-01-01T00:00:00Z", **ONE}, 422, "sample.ahead_of_clock", "rejected"),
    ("wrong type", {"values": {"power": "full"}}, 422, "sample.type", "dead"),
]
TEXT, JSON = {"Content-Type": "text/html"}, {"Content-Type": "application/json"}
PACKED = {**JSON, "Content-Encoding": "gzip"}
BOMB = gzip.compress(b'{"twin": "' + b"x" * 60_000_000 + b'"}')
SHAPES = [  # the same with the request's headers
    ("a type that is not read", b"a,b", TEXT, 415, "http.content_type", "dead"),
    (
        "a coding that is not read",
        b"{}",
        {**JSON, "Content-Encoding": "br"},
        415,
        "http.encoding",
        "dead",
    ),
    ("a packed body cut short", BOMB[:99], PACKED, 415, "http.encoding", "dead"),
    ("60 MB packed into 60 kB", BOMB, PACKED, 422, "message.too_large", "dead"),
    ("JSON 100,000 deep", b"[" * 100_000, JSON, 400, "message.depth", "dead"),
]


@pytest.mark.parametrize(
    ("what", "body", "status", "code", "fate"), CASES, ids=lambda v: str(v)[:16]
)
def test_a_bad_input_is_answered_explained_and_counted(
    line: Line, what: str, body: Any, status: int, code: str, fate: str
) -> None:
    before = line.book()
    payload = body
    if isinstance(body, dict):
        payload = json.dumps({"twin": "oven-1", "time": line.now(), **body}).encode()
    _is_counted(line, before, line.send(payload), status, code, fate)


@pytest.mark.parametrize(
    ("what", "body", "head", "status", "code", "fate"), SHAPES, ids=lambda v: str(v)[:16]
)
def test_a_request_of_a_bad_shape_is_answered_explained_and_counted(
    line: Line, what: str, body: bytes, head: dict[str, str], status: int, code: str, fate: str
) -> None:
    _is_counted(line, line.book(), line.send(body, headers=head), status, code, fate)


def _is_counted(
    line: Line, before: dict[str, int], answer: httpx.Response, status: int, code: str, fate: str
) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["mend"] and code in catalogue()
    after = line.book()
    assert after[fate] == before.get(fate, 0) + 1
    assert after["received"] == before.get("received", 0) + 1
    _goes_on(line)


def test_a_line_of_50_mb_is_refused_before_it_is_read_and_kept_as_one_dead_letter(
    line: Line,
) -> None:
    before = line.book()
    answer = line.send(b'{"twin": "' + b"x" * 50_000_000 + b'"}')
    assert (answer.status_code, answer.json()["code"]) == (413, "body.too_large")
    assert line.book()["dead"] == before.get("dead", 0) + 1
    _goes_on(line)


def test_a_duplicate_is_taken_once_and_counted(line: Line) -> None:
    sample = line.sample(power=7.0)
    before = line.book()
    assert [line.send(sample).status_code for _ in range(2)] == [202, 202]
    after = line.book()
    assert after["stored"] == before.get("stored", 0) + 1
    assert after["duplicate"] == before.get("duplicate", 0) + 1
    _goes_on(line)


def test_out_of_order_is_stored_within_the_lateness_and_counted_late_beyond_it(line: Line) -> None:
    before = line.book()
    for shift in (-5.0, -20.0, -3600.0):
        assert line.send(line.sample(shift, power=8.0)).status_code == 202
    after = line.book()
    assert after["stored"] == before.get("stored", 0) + 2
    assert after["late"] == before.get("late", 0) + 1
    _goes_on(line)


def test_without_the_token_nothing_is_told_and_nothing_is_taken(line: Line) -> None:
    before = line.book()
    for head in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}):
        answer = line.send(line.sample(power=1.0), headers=head)
        assert (answer.status_code, answer.json()["code"]) == (401, "auth.no_token")
        assert "token" in answer.json()["mend"]
    assert line.book() == before
    _goes_on(line)


def test_an_impossible_value_is_stored_with_its_reason_and_believed_by_nobody(line: Line) -> None:
    before = line.book()
    assert line.send(line.sample(temperature=9999.0)).status_code == 202
    assert line.book()["stored"] == before.get("stored", 0) + 1
    line.send(line.sample(temperature=80.0))
    _goes_on(line)
    for _ in range(200):  # the picture is drawn a little after its tick
        shown = line.host.view().twin("oven-1")
        if shown is not None and shown["latest"].get("temperature", {}).get("value") == 80.0:
            break
        time.sleep(0.05)
    else:
        pytest.fail(f"80 degC were never shown: {shown}")


def _goes_on(line: Line) -> None:
    """A good sample is taken and seen; the books balance."""
    time.sleep(0.01)
    before = line.book()
    assert line.send(line.sample(power=5.0)).status_code == 202
    after = line.book()
    assert after["stored"] == before.get("stored", 0) + 1
    assert after["received"] == sum(n for fate, n in after.items() if fate != "received")
    assert line.host.failure is None


def test_the_table_in_the_docs_says_what_is_tested_here() -> None:
    text = (Path(__file__).parent.parent / "docs" / "bad-input.md").read_text(encoding="utf-8")
    for what, *_, status, code, fate in [*CASES, *SHAPES]:
        assert f"| {what} | {status} | `{code}` | {fate} |" in text
