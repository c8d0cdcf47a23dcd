"""MQTT: telemetry and replies in, commands out.

Owns    the topics, the session, and when a message is acknowledged: after it is durable.
Never   resends a command: one connection, one publish, one answer for each.

    PREFIX/TWIN/telemetry   asset → Gemel        PREFIX/TWIN/command   Gemel → asset
    PREFIX/TWIN/reply       asset → Gemel

A broker keeps for a slow or absent subscriber only as much as it is told to: mosquitto drops beyond
1000 messages unless its configuration says `max_queued_messages 0`.
"""

import json
import logging
import queue
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gemel import hooks
from gemel.clock import Clock, WallClock, format_instant
from gemel.connect.base import Deliver
from gemel.connect.decode import Decoded, decode_reply, decode_telemetry
from gemel.errors import Conflict, Denied, Invalid, Unavailable
from gemel.records import Batch, Entry, Invocation

log = logging.getLogger("gemel.mqtt")

GROUP = 500  # messages that share one commit, at most
GATHER = 0.020  # s, the longest a message waits for company
LULL = 0.002  # s of silence that end the gathering: a broker may send no more before an answer
KEEP_ALIVE = 30  # s
WEEK = 7 * 86_400
REFUSED = ("Not authorized", "Bad user name or password")


@dataclass(frozen=True)
class Tls:
    """Files of a TLS connection, PEM; ca "" trusts the system's authorities."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class Address:
    """Where a broker is, and who we are to it."""

    host: str
    port: int = 1883
    user: str = ""
    password: str = ""
    tls: Tls | None = None
    version: str = "3.1.1"  # or "5"

    def __post_init__(self) -> None:
        if self.version not in ("3.1.1", "5"):
            raise Invalid(
                "mqtt.version",
                f"MQTT '{self.version}' is not spoken here",
                where=f"{self.host}:{self.port}",
                mend='use "3.1.1" or "5"',
            )

    def __repr__(self) -> str:
        return f"mqtt://{self.host}:{self.port}"  # never the password


def parse_url(url: str) -> tuple[Address, str]:
    """mqtt[s]://user:password@host:port/topic → (address, topic).

    >>> parse_url("mqtt://u:p%40ss@127.0.0.1/hall/+/telemetry")
    (mqtt://127.0.0.1:1883, 'hall/+/telemetry')
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise Invalid(
            "mqtt.url",
            "that is not the address of an MQTT broker",
            mend="write mqtt://user:password@host:1883/hall/+/telemetry (mqtts:// for TLS)",
        )
    secure = parts.scheme == "mqtts"
    address = Address(
        parts.hostname,
        port or (8883 if secure else 1883),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        Tls() if secure else None,
    )
    return address, unquote(parts.path.lstrip("/"))


@dataclass(frozen=True)
class Topics:
    """The topics of one hall, from the telemetry filter `PREFIX/+/telemetry`."""

    telemetry: str

    def __post_init__(self) -> None:
        parts = self.telemetry.split("/")
        if "#" in self.telemetry or parts.count("+") != 1 or self.telemetry.count("+") != 1:
            raise Invalid(
                "mqtt.topic",
                f"'{self.telemetry[:80]}' does not say where the twin's name stands",
                mend="write the filter with one + for the twin, for example hall/+/telemetry",
            )

    @property
    def prefix(self) -> str:
        return self.telemetry.split("+")[0].rstrip("/")

    def of(self, twin: str, kind: str) -> str:
        """PREFIX/TWIN/KIND; twin "+" makes a filter."""
        return "/".join(part for part in (self.prefix, twin, kind) if part)

    def twin(self, topic: str) -> str:
        """The twin a telemetry topic names."""
        level = self.telemetry.split("/").index("+")
        return topic.split("/")[level]


def connect_client(
    address: Address, client_id: str, *, keep: bool, manual_ack: bool = False, once: bool = False
) -> paho.Client:
    """A paho client, not yet connected. keep: the broker keeps its session; once: no reconnect."""
    five = address.version == "5"
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if five else not keep,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=not once,
        manual_ack=manual_ack,
    )
    if address.user:
        client.username_pw_set(address.user, address.password)
    if address.tls is not None:
        tls = address.tls
        client.tls_set(tls.ca or None, tls.certificate or None, tls.key or None)
    client.reconnect_delay_set(1, 30)
    client.max_queued_messages_set(0)  # no limit: what is not sent yet is kept
    return client


def begin(client: paho.Client, address: Address, *, keep: bool) -> None:
    """Connect in the background; paho's thread does the rest."""
    if address.version == "5":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = WEEK if keep else 0
        client.connect_async(
            address.host, address.port, KEEP_ALIVE, clean_start=not keep, properties=properties
        )
    else:
        client.connect_async(address.host, address.port, KEEP_ALIVE)
    client.loop_start()


def end(client: paho.Client) -> None:
    """Say goodbye and wait for paho's thread."""
    client.disconnect()
    client.loop_stop()


def refusal(address: Address) -> Denied:
    """The broker does not know us."""
    return Denied(
        "mqtt.denied",
        "the broker refused this user and password",
        where=repr(address),
        mend="check user and password of the source in the plant file, or DATA/broker.json",
    )


class MqttSource:
    """Telemetry and replies of one hall; a message is acknowledged once `deliver` has returned.

    The broker keeps the session (`client_id` is stable), so what came while Gemel was away follows.
    A message that was delivered but not acknowledged comes again: its samples are duplicates.
    """

    def __init__(self, name: str, address: Address, topic: str, *, client_id: str = "") -> None:
        self.name, self.address, self.topics = name, address, Topics(topic)
        self.client_id = client_id or f"gemel-{name}"
        self.connected = False
        self._waiting: queue.SimpleQueue[tuple[int, paho.MQTTMessage]] = queue.SimpleQueue()
        self._session = 0  # counts connections: an answer belongs to the one it came over
        self._refused = False
        self._said = False

    def run(self, deliver: Deliver, position: str, clock: Clock, stop: threading.Event) -> None:
        """Until `stop`: gather, decode, deliver, acknowledge. `position` is the broker's, not ours.

        Raises `mqtt.denied` when the broker does not know us; an outage is only logged.
        """
        self._refused, self._said = False, False
        client = connect_client(self.address, self.client_id, keep=True, manual_ack=True)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_message = self._on_message
        begin(client, self.address, keep=True)
        try:
            while not stop.is_set():
                if self._refused:
                    raise refusal(self.address)
                messages = self._gather()
                if not messages:
                    continue
                deliver(self._entries([m for _, m in messages], clock.now()))
                hooks.at("source.before_ack")
                for session, message in messages:
                    if session == self._session:
                        client.ack(message.mid, message.qos)
        finally:
            end(client)
            self.connected = False

    def _gather(self) -> list[tuple[int, paho.MQTTMessage]]:
        """Messages that wait: up to GROUP, or what comes within GATHER seconds of the first."""
        try:
            messages = [self._waiting.get(timeout=0.1)]
        except queue.Empty:
            return []
        until = time.monotonic() + GATHER
        while len(messages) < GROUP and time.monotonic() < until:
            try:
                messages.append(self._waiting.get(timeout=LULL))
            except queue.Empty:
                break
        return messages

    def _entries(self, messages: list[paho.MQTTMessage], now: int) -> list[Entry]:
        """One batch of all their samples, then dead letters, then replies."""
        decoded: list[Decoded] = []
        replies: list[Entry] = []
        for message in messages:
            topic = topic_of(message)
            if topic.startswith(self.topics.prefix) and topic.endswith("/reply"):
                payload = bytes(message.payload)
                replies.append(decode_reply(payload, received_at=now, source=self.name))
            else:
                decoded.append(
                    decode_telemetry(
                        bytes(message.payload),
                        self.topics.twin(topic),
                        received_at=now,
                        source=self.name,
                    )
                )
        batch = Batch.joined([item.batch for item in decoded])
        entries = [Entry("batch", self.name, now, batch=batch)] if len(batch) else []
        return entries + [entry for item in decoded for entry in item.dead] + replies

    def _on_connect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        if code.is_failure:
            self._refused = str(code) in REFUSED
            self._outage(str(code))
            return
        self._session += 1
        client.subscribe([(self.topics.telemetry, 1), (self.topics.of("+", "reply"), 1)])
        if self._said:
            log.info("%s: %s is back", self.name, self.address)
        self.connected, self._said = True, False

    def _on_disconnect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        if self.connected and code.is_failure:
            self._outage(str(code))
        self.connected = False

    def _on_connect_fail(self, client: paho.Client, data: Any) -> None:
        self._outage("no connection")

    def _outage(self, why: str) -> None:
        """Say an outage once, however many attempts fail."""
        if not self._said:
            log.warning("%s: %s is away (%s); trying on", self.name, self.address, why)
        self._said = True

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        self._waiting.put((self._session, message))


class MqttSink:
    """Sends a command over a connection of its own: nothing is left behind that could be resent."""

    def __init__(self, address: Address, topic: str, *, timeout: float = 10.0) -> None:
        self.address, self.topics, self.timeout = address, Topics(topic), timeout

    def send(self, invocation: Invocation) -> None:
        """Publish once (QoS 1) and wait for the broker's PUBACK.

        Raises `mqtt.denied` or `wire.unavailable` if it surely did not go, and `wire.unanswered`
        (a Conflict) when it went on the wire but no answer came: then nobody knows.
        """
        link = _Link(self.address, f"gemel-command-{uuid.uuid4().hex[:12]}")
        try:
            link.open(self.timeout)
            hooks.at("wire.before_send")
            sent = link.client.publish(
                self.topics.of(invocation.target, "command"), command_payload(invocation), qos=1
            )
            if not _answered(sent, self.timeout):
                raise Conflict(
                    "wire.unanswered",
                    "the command went on the wire and the broker did not answer",
                    where=f"{invocation.target}, invocation {invocation.id}",
                    mend="its telemetry will tell whether it acted; do not send it again unseen",
                )
            hooks.at("wire.after_send")
        finally:
            end(link.client)


def command_payload(invocation: Invocation) -> bytes:
    """The command as JSON for PREFIX/TARGET/command."""
    body = {
        "invocation": invocation.id,
        "command": invocation.command,
        "argument": invocation.argument,
        "expires_at": format_instant(invocation.expires_at),
    }
    return json.dumps(body).encode()


def listen(url: str, seconds: float) -> Batch:
    """What `mqtt://user:password@host:port/PREFIX/+/telemetry` says within some seconds."""
    address, topic = parse_url(url)
    source = MqttSource("listen", address, topic)
    link = _Link(address, f"gemel-listen-{uuid.uuid4().hex[:12]}")
    batches: list[Batch] = []

    def take(client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        entries = source._entries([message], WallClock().now())
        batches.extend(entry.batch for entry in entries if entry.batch is not None)

    link.client.on_message = take
    try:
        link.open(max(seconds, 5.0))
        link.client.subscribe(topic, 1)
        time.sleep(seconds)
    finally:
        end(link.client)
    return Batch.joined(batches)


class _Link:
    """One short connection that says whether it stands."""

    def __init__(self, address: Address, client_id: str) -> None:
        self.address = address
        self.client = connect_client(address, client_id, keep=False, once=True)
        self.client.on_connect = self._on_connect
        self.client.on_connect_fail = self._on_connect_fail
        self._answer: queue.SimpleQueue[str] = queue.SimpleQueue()

    def open(self, timeout: float) -> None:
        """Connect, or raise `mqtt.denied` or `wire.unavailable`."""
        begin(self.client, self.address, keep=False)
        try:
            answer = self._answer.get(timeout=timeout)
        except queue.Empty:
            answer = f"no answer within {timeout:g} s"
        if answer in REFUSED:
            raise refusal(self.address)
        if answer:
            raise Unavailable(
                "wire.unavailable",
                f"the broker cannot be reached ({answer}); nothing was sent",
                where=repr(self.address),
                mend="start the broker, or mend the url of the source in the plant file",
            )

    def _on_connect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        self._answer.put(str(code) if code.is_failure else "")

    def _on_connect_fail(self, client: paho.Client, data: Any) -> None:
        self._answer.put("no connection")


def _answered(sent: paho.MQTTMessageInfo, timeout: float) -> bool:
    """Whether the PUBACK came."""
    try:
        sent.wait_for_publish(timeout)
        return sent.is_published()
    except (RuntimeError, ValueError):
        return False


def topic_of(message: paho.MQTTMessage) -> str:
    """The topic, with bytes that are not UTF-8 replaced: a bad topic is an unknown twin."""
    try:
        return message.topic
    except UnicodeDecodeError:
        return message._topic.decode("utf-8", "replace")
