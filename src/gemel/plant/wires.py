"""The wires that a plant may send over: MQTT, HTTP, Kafka.

Owns    what was sent and not yet taken, and that it is sent again until it is; orders that come.
Never   changes a message, and never sends two in another order than it was given them.

A broker that keeps its sessions in memory loses what it acknowledged when it dies, and drops what
comes before its subscribers are back. So PAUSE seconds after each reconnect the MQTT wire repeats
what was acknowledged in the RESEND seconds before the outage and since; equal samples are
duplicates and cost nothing.
"""

import logging
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import paho.mqtt.client as paho

from gemel.connect import kafka
from gemel.connect.link import REFUSED, Address, begin, connect_client, end, parse_url, refusal
from gemel.connect.login import Login, Tls, tls_context
from gemel.connect.mqtt import Topics, topic_of
from gemel.errors import Denied, GemelError, Invalid
from gemel.plant.frames import Parcel

log = logging.getLogger("gemel.plant")

RESEND = 10.0  # s of the wall before an outage whose messages are repeated after it
PAUSE = 3.0  # s of the wall after a reconnect, for the subscribers to come back too
BODY = 4 << 20  # bytes of an HTTP body of lines, about
LINES = 20_000  # messages of one
AGAIN = 5.0  # s, the longest wait before a server that was away or busy is tried again
FRAME = 20_000  # rows of an Arrow frame: a Kafka record stays under 1 MB
TAKEN = (200, 202, 400, 422)  # what was wrong with its samples is in the books


@dataclass(frozen=True)
class Order:
    """A command that came. `done` says that it was obeyed or refused, and need not come again."""

    twin: str
    payload: bytes
    done: Callable[[], None]


class Wire(Protocol):
    """One connection. problem: what no waiting mends."""

    problem: GemelError | None

    def open(self) -> None:
        """Connect in the background."""
        ...

    def send(self, parcels: Iterable[Parcel]) -> None:
        """Kept until it is taken, across outages."""
        ...

    def orders(self) -> Iterator[Order]:
        """Commands that wait."""
        ...

    def flush(self, seconds: float) -> int:
        """Wait until all is taken, so long at most; how many messages are not."""
        ...

    def unsent(self) -> list[Parcel]:
        """What was not taken yet, in order."""
        ...

    def close(self) -> None:
        """Say goodbye."""
        ...


@dataclass(frozen=True)
class ToMqtt:
    """JSON to PREFIX/TWIN/telemetry; commands from PREFIX/TWIN/command."""

    address: Address
    topic: str = "hall/+/telemetry"
    client_id: str = "gemel-plant"
    rows = 0

    def wire(self) -> Wire:
        return MqttWire(self)

    def __repr__(self) -> str:
        return f"{self.address}/{self.topic}"


@dataclass(frozen=True)
class ToHttp:
    """To a Gemel's `POST /api/v1/telemetry`. rows: of an Arrow frame, 0: NDJSON. ca: a file whose
    authorities are trusted, "" those of the system."""

    url: str
    token: str = field(repr=False)
    source: str = "http"
    rows: int = 0
    ca: str = ""

    def wire(self) -> Wire:
        return HttpWire(self)

    def __repr__(self) -> str:
        return self.url


@dataclass(frozen=True)
class ToKafka:
    """Records of a topic: JSON keyed by the twin, or Arrow frames of so many rows.

    commands, replies: topics whose key is the asset; "" obeys nobody
    """

    cluster: kafka.Cluster
    topic: str = "telemetry"
    rows: int = 0
    commands: str = ""
    replies: str = ""

    def wire(self) -> Wire:
        return KafkaWire(self)

    def __repr__(self) -> str:
        return f"{self.cluster}/{self.topic}"


To = ToMqtt | ToHttp | ToKafka


def read_to(url: str, *, token: str = "", arrow: bool = False) -> To:
    """Where a URL leads: mqtt[s]://, http[s]://, kafka://; user and password may stand in it.

    >>> read_to("kafka://127.0.0.1:9092/line", arrow=True)
    kafka://127.0.0.1:9092/line
    """
    scheme = url.partition(":")[0]
    if scheme in ("mqtt", "mqtts"):
        if arrow:
            raise Invalid(
                "plant.to",
                "over MQTT a message is of one twin: it is JSON",
                where=scheme,
                mend="leave --format out, or send Arrow frames over http or kafka",
            )
        address, topic = parse_url(url)
        return ToMqtt(address, topic) if topic else ToMqtt(address)
    parts = urlsplit(url)
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    rows = FRAME if arrow else 0
    if scheme in ("http", "https") and parts.netloc:
        if "ca" in asked and scheme == "http":
            raise Invalid(
                "plant.to",
                "a certificate is trusted, and the wire is bare",
                where=url.partition("?")[0],
                mend="write https:// for TLS, or leave ca out",
            )
        base = f"{scheme}://{parts.netloc}"
        return ToHttp(base, token, asked.get("source", "http"), rows, asked.get("ca", ""))
    if scheme == "kafka" and parts.netloc:
        who, _, brokers = parts.netloc.rpartition("@")
        user, _, password = who.partition(":")
        tls = Tls(asked["ca"]) if "ca" in asked else Tls() if "tls" in asked else None
        login = Login(unquote(user), unquote(password), tls)
        cluster = kafka.Cluster(brokers, login, asked.get("mechanism", kafka.MECHANISM))
        orders, replies = asked.get("commands", ""), asked.get("replies", "")
        return ToKafka(cluster, parts.path.strip("/") or "telemetry", rows, orders, replies)
    raise Invalid(
        "plant.to",
        "that is no address a plant can send to",
        where=scheme,
        mend="write mqtt://host:1883/hall/+/telemetry, http://host:8787?source=NAME "
        "or kafka://host:9092/topic",
    )


class MqttWire:
    """QoS 1; what the broker has not acknowledged goes again, also after a restart."""

    def __init__(self, to: ToMqtt) -> None:
        self.to, self.topics = to, Topics(to.topic)
        self.problem: GemelError | None = None
        self._outbox: dict[int, Parcel] = {}  # handed to the client, not yet acknowledged
        self._early: set[int] = set()
        self._recent: deque[tuple[float, Parcel]] = deque()
        self._lock = threading.Lock()
        self._orders: queue.SimpleQueue[paho.MQTTMessage] = queue.SimpleQueue()
        self._repeat_at = 0.0  # when the repeat is due, 0: none is
        self._links, self._said = 0, False
        self.client = connect_client(to.address, to.client_id, keep=True, manual_ack=True)
        self.client.on_connect, self.client.on_disconnect = self._on_connect, self._on_disconnect
        self.client.on_message, self.client.on_publish = self._on_message, self._on_publish

    def open(self) -> None:
        begin(self.client, self.to.address, keep=True)

    def send(self, parcels: Iterable[Parcel]) -> None:
        """QoS 1, kept until the broker has it; and what is to be repeated after an outage."""
        for parcel in [*self._due(), *parcels]:
            kind = "reply" if parcel.kind == "reply" else "telemetry"
            topic = self.topics.of(parcel.twin, kind)
            mid = self.client.publish(topic, parcel.payload, qos=1).mid
            with self._lock:
                if mid in self._early:
                    self._early.discard(mid)
                    self._recent.append((time.monotonic(), parcel))
                else:
                    self._outbox[mid] = parcel

    def _due(self) -> list[Parcel]:
        """Forget what is old; when a repeat is due after a reconnect, the rest once more."""
        now, due = time.monotonic(), []
        with self._lock:
            if not self._repeat_at and self.client.is_connected():
                while self._recent and self._recent[0][0] < now - RESEND:
                    self._recent.popleft()
            elif self._repeat_at and now >= self._repeat_at:
                due, self._repeat_at = [parcel for _, parcel in self._recent], 0.0
                self._recent.clear()
        return due

    def orders(self) -> Iterator[Order]:
        while True:
            try:
                message = self._orders.get_nowait()
            except queue.Empty:
                return

            def done(message: paho.MQTTMessage = message) -> None:
                self.client.ack(message.mid, message.qos)

            yield Order(self.topics.twin(topic_of(message)), bytes(message.payload), done)

    def flush(self, seconds: float) -> int:
        until = time.monotonic() + seconds
        while self._outbox and self.problem is None and time.monotonic() < until:
            time.sleep(0.01)
        return len(self._outbox)

    def unsent(self) -> list[Parcel]:
        with self._lock:
            again = self._repeat_at or self._said  # said: away, and to be repeated once it is back
            due = [parcel for _, parcel in self._recent] if again else []
            return due + list(self._outbox.values())

    def close(self) -> None:
        end(self.client)

    def _on_connect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        if code.is_failure:
            if str(code) in REFUSED:
                self.problem = refusal(self.to.address)
            return
        client.subscribe(self.topics.of("+", "command"), 1)
        if self._links:
            self._repeat_at = time.monotonic() + PAUSE
            log.info("%s is back", self.to.address)
        self._links, self._said = self._links + 1, False

    def _on_disconnect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        if code.is_failure and not self._said:
            why = self.client.why(code)
            log.warning("%s is away (%s); telemetry is kept until it is back", self.to.address, why)
            self._said = True

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        self._orders.put(message)

    def _on_publish(self, client: paho.Client, data: Any, mid: int, code: Any, props: Any) -> None:
        with self._lock:
            sent = self._outbox.pop(mid, None)
            if sent is None:
                self._early.add(mid)  # the broker answered before publish() returned
            else:
                self._recent.append((time.monotonic(), sent))


class HttpWire:
    """One request after the other, each repeated under its key until it is answered."""

    def __init__(self, to: ToHttp) -> None:
        self.to = to
        self.problem: GemelError | None = None
        self._waiting: deque[list[Parcel]] = deque()
        self._there, self._closing = threading.Condition(), threading.Event()
        self._said = False
        self._http = httpx.Client(
            base_url=f"{to.url}/api/v1/",
            headers={"Authorization": f"Bearer {to.token}"},
            params={"source": to.source},
            timeout=60.0,
            trust_env=False,
            verify=tls_context(Tls(to.ca)) if to.url.startswith("https") else True,
        )
        self._thread = threading.Thread(target=self._run, name="plant-http", daemon=True)

    def open(self) -> None:
        self._thread.start()

    def send(self, parcels: Iterable[Parcel]) -> None:
        """JSON messages in bodies of many lines; a frame, and garbage, in one of its own."""
        with self._there:
            lines: list[Parcel] = []
            size = 0
            for parcel in parcels:
                alone = not parcel.twin or parcel.kind == "garbage"
                if lines and (alone or size > BODY or len(lines) == LINES):
                    self._waiting.append(lines)
                    lines, size = [], 0
                if alone:
                    self._waiting.append([parcel])
                elif parcel.kind == "telemetry":
                    lines.append(parcel)
                    size += len(parcel.payload)
            if lines:
                self._waiting.append(lines)
            self._there.notify_all()

    def orders(self) -> Iterator[Order]:
        return iter(())

    def flush(self, seconds: float) -> int:
        with self._there:
            self._there.wait_for(lambda: not self._waiting or self.problem, seconds)
            return sum(map(len, self._waiting))

    def unsent(self) -> list[Parcel]:
        with self._there:
            return [parcel for body in self._waiting for parcel in body]

    def close(self) -> None:
        self._closing.set()
        with self._there:
            self._there.notify_all()
        self._thread.join(10.0)
        self._http.close()

    def _run(self) -> None:
        while True:
            with self._there:
                self._there.wait_for(lambda: self._waiting or self._closing.is_set())
                if self._closing.is_set() or not self._waiting:
                    return
                parcels = self._waiting[0]
            if not self._post(parcels):
                return
            with self._there:
                self._waiting.popleft()
                self._there.notify_all()

    def _post(self, parcels: list[Parcel]) -> bool:
        """Until it is taken; False when it never will be."""
        payload, headers = self._body(parcels), {"Idempotency-Key": uuid.uuid4().hex}
        if len(parcels) > 1 or parcels[0].twin:
            headers["Content-Type"] = "application/x-ndjson"
        pause = 0.05
        while not self._closing.is_set():
            why = ""
            try:
                answer = self._http.post("telemetry", content=payload, headers=headers)
                if answer.status_code in TAKEN:
                    self._said = False
                    return True
                why = answer.text[:300]
                if answer.status_code in (401, 403, 404):
                    self._refuse(why)
                    return False
            except httpx.HTTPError as problem:
                why = f"{type(problem).__name__} {problem}"
            if not self._said:
                log.warning("%s does not take telemetry (%s); trying on", self.to, why)
            self._said = True
            self._closing.wait(pause)
            pause = min(2 * pause, AGAIN)
        return False

    def _refuse(self, why: str) -> None:
        self.problem = Denied(
            "plant.refused",
            f"the server does not take telemetry of this plant: {why}",
            where=self.to.url,
            mend="give the data directory of that Gemel with --data, or its token in GEMEL_TOKEN; "
            "?source= names a source of kind http",
        )
        with self._there:
            self._there.notify_all()

    @staticmethod
    def _body(parcels: list[Parcel]) -> bytes:
        if len(parcels) == 1 and (not parcels[0].twin or parcels[0].kind == "garbage"):
            return parcels[0].payload
        return b"\n".join(b'{"twin": "%b", %b' % (p.twin.encode(), p.payload[1:]) for p in parcels)


class KafkaWire:
    """An idempotent producer that waits for all replicas; an order is committed when it is done."""

    def __init__(self, to: ToKafka) -> None:
        self.to, self._kafka = to, kafka.load()
        self.problem: GemelError | None = None
        self._said = False
        self._flying: dict[int, Parcel] = {}
        self._sent = 0
        settings: dict[str, Any] = {
            "enable.idempotence": True,
            "message.timeout.ms": 0,  # it tries on
            "linger.ms": 5,
            "queue.buffering.max.kbytes": 1 << 18,
            "error_cb": self._on_error,
        }
        self._producer = self._kafka.Producer(to.cluster.settings() | settings)
        self._consumer: Any = None

    def open(self) -> None:
        """librdkafka connects when it first sends, or reads."""
        if self.to.commands:
            settings = {
                "group.id": f"gemel-plant-{self.to.commands}",
                "enable.auto.commit": False,
                "auto.offset.reset": "latest",  # what was ordered before there was a plant is past
                "error_cb": self._on_error,
            }
            self._consumer = self._kafka.Consumer(self.to.cluster.settings() | settings)
            self._consumer.subscribe([self.to.commands])

    def send(self, parcels: Iterable[Parcel]) -> None:
        for parcel in parcels:
            if topic := self.to.replies if parcel.kind == "reply" else self.to.topic:
                self._put(parcel, topic)
        self._producer.poll(0)

    def _put(self, parcel: Parcel, topic: str) -> None:
        number = self._sent
        self._sent += 1
        self._flying[number] = parcel

        def told(error: Any, record: Any) -> None:
            if error is None:
                self._flying.pop(number, None)

        while self.problem is None:
            try:
                key = parcel.twin or None
                self._producer.produce(topic, parcel.payload, key, on_delivery=told)
                return
            except BufferError:  # as much as may wait does
                self._producer.poll(0.1)

    def orders(self) -> Iterator[Order]:
        for record in self._consumer.consume(100, 0.0) if self._consumer is not None else ():
            if record.error() is not None or record.value() is None:
                continue

            def done(record: Any = record) -> None:
                self._consumer.commit(record, asynchronous=False)

            yield Order((record.key() or b"").decode("utf-8", "replace"), record.value(), done)

    def flush(self, seconds: float) -> int:
        self._producer.flush(seconds)
        return len(self._flying)

    def unsent(self) -> list[Parcel]:
        return list(self._flying.values())

    def close(self) -> None:
        self._producer.purge()
        if self._consumer is not None:
            self._consumer.close()

    def _on_error(self, error: Any) -> None:
        if kafka.is_denial(self._kafka, error):
            self.problem = kafka.refusal(self.to.cluster, error.str())
        elif not self._said:
            log.warning("%s: %s; trying on", self.to, error.str())
            self._said = True
