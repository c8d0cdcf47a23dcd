"""Telemetry over HTTP: every shape, packing and envelope, once, and books that balance."""

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from gemel.clock import parse_instant
from gemel.connect.cloudevents import MANY, ONE
from gemel.connect.http import STREAM, Inlet, Once, unpack
from gemel.errors import Conflict, Invalid
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.server import auth
from gemel.server.app import serve
from gemel.testing.decoders import hostile

TIME = "2024-05-01T00:00:00Z"
START = parse_instant(TIME)
PLANT = """
[plant]
name = "line"
lateness = "60s"
skew = "60s"
clock = { kind = "paced", start = "2024-05-01T00:00:00Z", speed = 1.0 }
[interface.Oven]
telemetry = { power = { unit = "kW" }, temperature = { unit = "degC", range = [-50, 400] } }
[[twin]]
id = "oven-1"
interface = "Oven"
[[twin]]
id = "oven-2"
interface = "Oven"
[[source]]
name = "gateway"
kind = "http"
map = [{ topic = "bakery/{twin}", time = "t", values = { power = "kw" } }]
"""


class Bakery:
    """A host with an API, and a person at the other end of a socket. Values are used once."""

    def __init__(self, folder: Path) -> None:
        (folder / "plant.toml").write_text(PLANT)
        self.host = Host(load_plan(folder / "plant.toml"), folder / "data").start()
        self.server = serve(self.host, 0)
        head = {"Authorization": f"Bearer {self.host.token}"}
        self.http = httpx.Client(base_url=f"{self.server.url}/api/v1", headers=head, timeout=60)
        self.count = 0

    def send(self, body: bytes, kind: str = "application/json", **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post("telemetry", content=body, headers={"Content-Type": kind, **given})

    def item(self, **more: Any) -> dict[str, Any]:
        """One object that nobody sent before."""
        self.count += 1
        when = f"2024-05-01T00:00:{self.count % 60:02d}.{self.count:06d}Z"
        return {"twin": "oven-1", "time": when, "values": {"power": self.count}, **more}

    def sample(self, **more: Any) -> bytes:
        return json.dumps(self.item(**more)).encode()

    def books(self, source: str = "http") -> dict[str, int]:
        self.host.submit("beat", {}, "clock")
        last = self.host.ledger.last()
        assert last is not None
        return dict(last.books.get(source, {}))

    def event(self, **more: Any) -> dict[str, Any]:
        self.count += 1
        told = {"specversion": "1.0", "id": str(self.count), "source": "/line", "type": "reading"}
        return {**told, "data": self.item(), **more}


@pytest.fixture(scope="module")
def bakery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bakery]:
    made = Bakery(tmp_path_factory.mktemp("bakery"))
    yield made
    made.http.close()
    made.server.stop()
    made.host.stop()


def packed(body: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(body)
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, how) as out:
        out.write(body)
    return bytes(sink.getvalue().to_pybytes())


def frame(items: list[dict[str, Any]]) -> bytes:
    rows = [(item["twin"], item["time"], item["values"]["power"]) for item in items]
    twin, time, power = zip(*rows, strict=True)
    record = pa.record_batch({"twin": list(twin), "time": list(time), "power": list(power)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as out:
        out.write_batch(record)
    return bytes(sink.getvalue().to_pybytes())


# ---- shapes, packing, types --------------------------------------------------------------------


def test_every_content_type_gives_the_same_samples(bakery: Bakery) -> None:
    items = [bakery.item(), bakery.item()]
    lines = b"\n".join(json.dumps(item).encode() for item in items)
    before = bakery.books()
    for body, kind in (
        (json.dumps(items).encode(), "application/json; charset=utf-8"),
        (lines, "application/x-ndjson"),
        (lines, ""),
        (frame(items), STREAM),
        (frame(items), "application/octet-stream"),
    ):
        answer = bakery.send(body, kind)
        assert answer.status_code == 202 and answer.json()["accepted"] == 2, answer.text
    after = bakery.books()
    assert after["stored"] - before.get("stored", 0) == 2
    assert after["duplicate"] - before.get("duplicate", 0) == 8


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_a_packed_body_is_unpacked(bakery: Bakery, how: str) -> None:
    answer = bakery.send(packed(bakery.sample(), how), Content_Encoding=how)
    assert answer.status_code == 202 and answer.json()["accepted"] == 1


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_a_body_that_unpacks_without_end_is_refused_and_counted(bakery: Bakery, how: str) -> None:
    bomb, dead = packed(b" " * (66 << 20), how), bakery.books().get("dead", 0)
    assert len(bomb) < 1 << 20
    answer = bakery.send(bomb, Content_Encoding=how)
    assert (answer.status_code, answer.json()["code"]) == (413, "http.unpacks_too_far")
    assert bakery.books()["dead"] == dead + 1


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"not packed", {"Content_Encoding": "gzip"}, "http.encoding"),
        (gzip.compress(b"{}" * 99)[:-9], {"Content_Encoding": "gzip"}, "http.encoding"),
        (packed(b"{}" * 99, "zstd")[:-3], {"Content_Encoding": "zstd"}, "http.encoding"),
        (b"{}", {"Content_Encoding": "br"}, "http.encoding"),
        (b"<a/>", {"kind": "application/xml"}, "http.content_type"),
    ],
    ids=["not packed", "gzip cut short", "zstd cut short", "br", "xml"],
)
def test_what_is_not_what_its_headers_say_is_told_and_counted(
    bakery: Bakery, body: bytes, headers: dict[str, str], code: str
) -> None:
    dead = bakery.books().get("dead", 0)
    answer = bakery.send(body, **headers)
    assert (answer.status_code, answer.json()["code"]) == (415, code)
    assert answer.json()["mend"] and bakery.books()["dead"] == dead + 1


def test_gzip_of_several_members_is_one_body() -> None:
    assert unpack(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip") == b"one two"


def test_a_megasample_frame_with_refused_rows_counts_them_all_and_names_a_few(
    bakery: Bakery,
) -> None:
    items = [{"twin": "nobody", "time": TIME, "values": {"power": 1.0}}] * 5000
    told = bakery.send(frame([bakery.item(), *items]), STREAM).json()
    assert (told["received"], told["accepted"], len(told["rejected"])) == (5001, 1, 100)


# ---- once --------------------------------------------------------------------------------------


def test_a_retry_under_the_same_key_gets_the_same_answer_and_is_taken_in_once(
    bakery: Bakery,
) -> None:
    body, before = bakery.sample(), bakery.books().get("received", 0)
    first = bakery.send(body, Idempotency_Key="k-1")
    again = bakery.send(body, Idempotency_Key="k-1")
    assert first.status_code == again.status_code == 202
    assert again.json() == {**first.json(), "repeated": 1}
    assert bakery.books()["received"] == before + 1
    other = bakery.send(bakery.sample(), Idempotency_Key="k-1")
    assert (other.status_code, other.json()["code"]) == (422, "http.key_reused")


def test_a_request_that_was_not_taken_in_leaves_its_key_free(bakery: Bakery) -> None:
    assert bakery.send(b"<a/>", "application/xml", Idempotency_Key="k-2").status_code == 415
    assert bakery.send(bakery.sample(), Idempotency_Key="k-2").status_code == 202


def test_a_key_that_is_in_hand_is_a_conflict() -> None:
    once = Once()
    assert once.answer("k", b"a") is None and once.take("e")
    with pytest.raises(Conflict):
        once.answer("k", b"a")
    with pytest.raises(Conflict):
        once.take("e")
    once.failed("k")
    assert once.answer("k", b"b") is None


def test_of_many_retries_at_once_one_is_taken_in(bakery: Bakery) -> None:
    body, before = bakery.sample(), bakery.books().get("received", 0)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: bakery.send(body, Idempotency_Key="k-3"), range(16)))
    assert {answer.status_code for answer in told} <= {202, 409}
    assert sum("repeated" not in a.json() for a in told if a.status_code == 202) == 1
    assert bakery.books()["received"] == before + 1


# ---- CloudEvents -------------------------------------------------------------------------------


def test_an_event_is_taken_in_once_in_all_three_modes(bakery: Bakery) -> None:
    event, before = bakery.event(), bakery.books().get("stored", 0)
    data = json.dumps(event["data"]).encode()
    attributes = {f"ce-{name}": word for name, word in event.items() if name != "data"}
    first = bakery.send(data, "application/json", **attributes)
    assert first.status_code == 202 and first.json()["accepted"] == 1, first.text
    for again in (
        bakery.send(json.dumps(event).encode(), ONE),
        bakery.send(json.dumps([event, event]).encode(), MANY),
        bakery.send(data, "application/json", **attributes),
    ):
        assert again.status_code == 202 and again.json()["received"] == 0
        assert again.json()["repeated"] >= 1
    assert bakery.books()["stored"] == before + 1


def test_a_subject_names_the_twin_and_the_events_time_its_samples(bakery: Bakery) -> None:
    event = bakery.event(subject="oven-2", time="2024-05-01T00:00:30Z")
    event["data"] = {"values": {"power": 77.0}}
    told = bakery.send(json.dumps(event).encode(), ONE).json()
    assert told["accepted"] == 1, told
    event = bakery.event()
    headers = {f"ce-{n}": w for n, w in event.items() if n != "data"} | {"ce-subject": "oven-2"}
    item = bakery.item()
    del item["twin"]
    assert bakery.send(json.dumps(item).encode(), **headers).json()["accepted"] == 1


def test_data_of_an_event_may_be_lines_or_arrow(bakery: Bakery) -> None:
    items = [bakery.item(), bakery.item()]
    lines = "\n".join(map(json.dumps, items))
    events = [
        bakery.event(data=lines, datacontenttype="application/x-ndjson"),
        bakery.event(data=[bakery.item(), bakery.item()]),
    ]
    arrow = bakery.event(
        datacontenttype=STREAM, data_base64=base64.b64encode(frame([bakery.item()])).decode()
    )
    del arrow["data"]
    told = bakery.send(json.dumps([*events, arrow]).encode(), MANY).json()
    assert told["accepted"] == 5 and told["dead"] == [], told


@pytest.mark.parametrize(
    "event",
    [
        3,
        {},
        {"specversion": "0.3", "id": "1", "source": "s", "type": "t", "data": {}},
        {"specversion": "1.0", "id": "", "source": "s", "type": "t", "data": {}},
        {"specversion": "1.0", "id": "1", "source": "s", "type": "t"},
        {"specversion": "1.0", "id": "1", "source": 3, "type": "t", "data": {}},
        {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": "%"},
    ],
)
def test_an_event_that_is_none_is_a_dead_letter_beside_its_neighbours(
    bakery: Bakery, event: object
) -> None:
    told = bakery.send(json.dumps([event, bakery.event()]).encode(), MANY).json()
    assert [letter["code"] for letter in told["dead"]] == ["cloudevent.shape"]
    assert told["accepted"] == 1


# ---- a map, and a flood ------------------------------------------------------------------------


def test_a_source_of_kind_http_reads_by_its_map(bakery: Bakery) -> None:
    body = b'{"t": "2024-05-01T00:00:01Z", "kw": 3.5}'
    how: dict[str, Any] = {"params": {"source": "gateway", "topic": "bakery/oven-2"}}
    told = bakery.http.post("telemetry", content=body, **how)
    assert told.status_code == 202 and told.json()["accepted"] == 1, told.text
    assert bakery.books("gateway")["stored"] == 1
    lost = bakery.http.post("telemetry", content=body, params={"source": "gateway", "topic": "x"})
    assert (lost.status_code, lost.json()["code"]) == (422, "map.topic_unknown")
    unknown = bakery.http.post("telemetry", content=body, params={"source": "nobody"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "source.unknown")


def test_more_bodies_at_once_than_there_is_room_for_are_sent_away(
    bakery: Bakery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "ROOM", 10_000)
    answer = bakery.send(b" " * 20_000)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert answer.json()["code"] == "server.busy"
    assert bakery.send(bakery.sample()).status_code == 202


def test_who_asks_is_answered_while_telemetry_floods(
    bakery: Bakery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More requests than the server has threads wait to be taken in; a question does not."""
    gate, kept = threading.Event(), bakery.host._keep

    def held(*args: Any) -> Any:
        assert gate.wait(60)
        return kept(*args)

    monkeypatch.setattr(bakery.host, "_keep", held)
    with ThreadPoolExecutor(60) as pool:
        flood = [pool.submit(bakery.send, bakery.sample()) for _ in range(60)]
        try:
            assert bakery.http.get("status", timeout=30).status_code == 200
        finally:
            gate.set()
        assert {answer.result().status_code for answer in flood} == {202}


def test_only_so_many_requests_are_decoded_at_once() -> None:
    inlet, inside, most = Inlet(), [0], [0]
    turn, kept = threading.Lock(), Inlet._read

    def watched(*args: Any) -> Any:
        with turn:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        try:
            return kept(inlet, *args)
        finally:
            with turn:
                inside[0] -= 1

    inlet._read = watched  # type: ignore[method-assign]
    body = b"\n".join([b'{"twin": "a", "time": "2024-05-01T00:00:00Z", "values": {"x": 1}}'] * 2000)
    with ThreadPoolExecutor(16) as pool:
        told = pool.map(
            lambda _: inlet.take(body, {}, lambda d: {"received": d.received}, received_at=0),
            range(32),
        )
        assert {answer["received"] for answer in told} == {2000}
    assert 1 <= most[0] <= 4


def test_the_books_balance_after_all_this(bakery: Bakery) -> None:
    for source in ("http", "gateway"):
        book = bakery.books(source)
        assert book["received"] == sum(n for fate, n in book.items() if fate != "received")


@pytest.mark.parametrize("key", ["k" * 300, "a\x00b"])
def test_a_key_that_is_no_word_is_refused(key: str) -> None:
    with pytest.raises(Invalid):
        Once().answer(key, b"")


def test_hostile_messages_are_counted_while_others_go_on(bakery: Bakery) -> None:
    before, good = bakery.books(), []
    with ThreadPoolExecutor(4) as pool:
        bad = [pool.submit(bakery.send, payload) for payload in hostile().values()]
        for _ in range(10):
            good.append(bakery.send(bakery.sample()).status_code)
        told = [answer.result() for answer in bad]
    assert good == [202] * 10
    assert {answer.status_code for answer in told} <= {202, 400, 422}
    after = bakery.books()
    assert after["stored"] - before["stored"] >= 10 and after["dead"] > before["dead"]
    assert after["received"] == sum(n for fate, n in after.items() if fate != "received")
