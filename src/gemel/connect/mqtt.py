"""MQTT: telemetry and replies in, commands out.

Owns    the topics, the session, and when a message is acknowledged: after it is durable.
Never   resends a command: one connection, one publish, one answer for each.

    PREFIX/TWIN/telemetry   asset → Gemel        PREFIX/TWIN/command   Gemel → asset
    PREFIX/TWIN/reply       asset → Gemel

A broker keeps for a slow or absent subscriber only as much as it is told to: mosquitto drops beyond
1000 messages unless its configuration says `max_queued_messages 0`. It also waits for an answer
after every 20 messages; `max_inflight_messages 1000` lets more of them share a commit.
"""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho

from gemel import hooks
from gemel.clock import Clock, WallClock
from gemel.connect import shadow
from gemel.connect.base import Deliver, command_payload
from gemel.connect.decode import decode_reply
from gemel.connect.formats import Decoder, Ours
from gemel.connect.inbox import Message, read_messages
from gemel.connect.link import (
    REFUSED,
    Address,
    Link,
    begin,
    connect_client,
    distrust,
    end,
    parse_url,
    refusal,
)
from gemel.connect.sparkplug import Sparkplug
from gemel.connect.things import Things
from gemel.errors import Conflict, Denied, GemelError, Invalid
from gemel.records import Batch, Entry, Invocation

log = logging.getLogger("gemel.mqtt")

GROUP = 2_000  # messages that share one commit, at most
GATHER = 0.020  # s, the longest a message waits for company
LULL = 0.0005  # s of silence that end the gathering: a broker may send no more before an answer
AHEAD = 10_000  # messages that wait in memory, at most: a slow journal slows the reading
KNOWN = 100_000  # topics whose meaning is remembered


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


class MqttSource:
    """Telemetry and replies of one hall; a message is acknowledged once `deliver` has returned.

    The broker keeps the session (`client_id` is stable), so what came while Gemel was away follows.
    A message that was delivered but not acknowledged comes again: its samples are duplicates.

    topic: a filter; with our own formats it has one + where the twin's name stands
    group: share the topic with others of this group (each with a `client_id` of its own)
    replies: the filter of assets' replies, None: PREFIX/+/reply of our own formats, "" none
    things: answers devices that speak shadows, where no service beside us does
    """

    def __init__(
        self,
        name: str,
        address: Address,
        topic: str,
        *,
        client_id: str = "",
        decoder: Decoder | None = None,
        group: str = "",
        replies: str | None = None,
        things: Things | None = None,
    ) -> None:
        self.decoder: Decoder = decoder or Ours()
        self._topics = Topics(topic) if isinstance(self.decoder, Ours) else None
        self.name, self.address, self.topic, self.group = name, address, check_filter(topic), group
        self.things = things
        if replies is None:
            replies = self._topics.of("+", "reply") if self._topics else ""
        self.replies = check_filter(replies) if replies else ""
        self.client_id = client_id or f"gemel-{name}"
        self.connected = False
        self._waiting: deque[tuple[int, paho.MQTTMessage]] = deque()
        self._there, self._ending = threading.Event(), threading.Event()
        self._meaning: dict[bytes, tuple[str, str | None, bool]] = {}
        self._session = 0  # counts connections: an answer belongs to the one it came over
        self._refused: GemelError | None = None
        self._said = False

    def run(self, deliver: Deliver, position: str, clock: Clock, stop: threading.Event) -> None:
        """Until `stop`: gather, decode, deliver, acknowledge. `position` is the broker's, not ours.

        Raises `mqtt.denied` or `mqtt.untrusted` when broker and Gemel do not go together; an outage
        is only logged.
        """
        self._refused, self._said = None, False
        self._ending.clear()
        client = connect_client(self.address, self.client_id, keep=True, manual_ack=True)
        self._client = client
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_subscribe = self._on_connect_fail, self._on_subscribe
        client.on_message = self._on_message
        begin(client, self.address, keep=True)
        try:
            while not stop.is_set():
                if self._refused:
                    raise self._refused
                waiting = self._gather()
                if not waiting:
                    continue
                messages, now = [message for _, message in waiting], clock.now()
                if entries := self._entries(messages, now):
                    deliver(entries)
                hooks.at("mqtt.before_ack")
                client.ack_all([m.mid for at, m in waiting if m.qos and at == self._session])
                hooks.at("mqtt.after_ack")
                for topic, payload in self._answers(messages, now):
                    client.publish(topic, payload, qos=1)
        finally:
            self._ending.set()
            end(client)
            self.connected = False

    def _gather(self) -> list[tuple[int, paho.MQTTMessage]]:
        """Messages that wait: up to GROUP, or what comes within GATHER seconds of the first."""
        if not self._there.wait(0.1):
            return []
        until, count = time.monotonic() + GATHER, 0
        while count < len(self._waiting) < GROUP and time.monotonic() < until:
            count = len(self._waiting)
            time.sleep(LULL)
        self._there.clear()
        found = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP))]
        if self._waiting:
            self._there.set()
        return found

    def _entries(self, messages: list[paho.MQTTMessage], now: int) -> list[Entry]:
        """One batch of all their samples, then dead letters, then replies."""
        told: list[Message] = []
        replies: list[Entry] = []
        for message in messages:
            topic, twin, is_reply = self._meant(message)
            payload = bytes(message.payload)
            if is_reply:
                replies.append(decode_reply(payload, received_at=now, source=self.name))
            elif self._is_read(topic):
                told.append(Message(payload, twin, topic))
        found = read_messages(told, self.decoder, received_at=now, source=self.name) if told else []
        return found + replies

    def _is_read(self, topic: str) -> bool:
        """Whether assets speak there, and not Gemel or another host to them."""
        if isinstance(self.decoder, Sparkplug):
            return not set(topic.split("/")[1:3]) & {"NCMD", "DCMD", "STATE"}
        return self.things is None or self.things.reports(topic)

    def _meant(self, message: paho.MQTTMessage) -> tuple[str, str | None, bool]:
        """(topic, the twin it names, whether it is of replies)."""
        known = self._meaning.get(message._topic)
        if known is None:
            topic = topic_of(message)
            is_reply = bool(self.replies) and paho.topic_matches_sub(self.replies, topic)
            twin = self._topics.twin(topic) if self._topics and not is_reply else None
            known = topic, twin, is_reply
            if len(self._meaning) >= KNOWN:
                self._meaning.clear()
            self._meaning[message._topic] = known
        return known

    def _answers(self, messages: list[paho.MQTTMessage], now: int) -> list[tuple[str, bytes]]:
        """What the protocol above wants said, now that the messages are durable."""
        if isinstance(self.decoder, Sparkplug):
            return self.decoder.rebirths()
        if self.things is None:
            return []
        return [
            answer
            for message in messages
            for answer in self.things.take(topic_of(message), bytes(message.payload), now)
        ]

    def _on_connect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        if code.is_failure:
            if str(code) in REFUSED:
                self._refused = refusal(self.address)
            self._outage(str(code))
            return
        self._session += 1
        shared = f"$share/{self.group}/" if self.group else ""
        filters = [shared + self.topic, *([self.replies] if self.replies else [])]
        filters += self.things.filters if self.things else []
        client.subscribe([(one, 1) for one in filters])

    def _on_subscribe(
        self, client: paho.Client, data: Any, number: int, codes: Any, props: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._refused = Denied(
                "mqtt.not_allowed",
                f"the broker does not let us read '{self.topic}'",
                where=repr(self.address),
                mend="give this user the right to read telemetry and replies there",
            )
            return
        if self._said:
            log.info("%s: %s is back", self.name, self.address)
        self.connected, self._said = True, False

    def _on_disconnect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        if self._client.distrusts():
            self._refused = distrust(self.address, self._client.why())
        if code.is_failure:
            self._outage(self._client.why(code))
        self.connected = False

    def _on_connect_fail(self, client: paho.Client, data: Any) -> None:
        if self._client.distrusts():
            self._refused = distrust(self.address, self._client.why())
        self._outage(self._client.why())

    def _outage(self, why: str) -> None:
        """Say an outage once, however many attempts fail."""
        if not self._said and not self._ending.is_set():
            log.warning("%s: %s is away (%s); trying on", self.name, self.address, why)
        self._said = True

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        while len(self._waiting) >= AHEAD and not self._ending.wait(0.005):
            pass
        self._waiting.append((self._session, message))
        self._there.set()


class MqttSink:
    """Sends a command over a connection of its own: nothing is left behind that could be resent.

    topic: of telemetry, with one + for the twin: commands go to PREFIX/TWIN/command
    """

    def __init__(self, address: Address, topic: str, *, timeout: float = 10.0) -> None:
        self.address, self.topics, self.timeout = address, Topics(topic), timeout

    def message(self, invocation: Invocation) -> tuple[str, bytes]:
        """(topic, payload) of a command."""
        return self.topics.of(invocation.target, "command"), command_payload(invocation)

    def send(self, invocation: Invocation) -> None:
        """Publish once (QoS 1) and wait for the broker's PUBACK.

        Raises `mqtt.denied` or `wire.unavailable` if it surely did not go, and `wire.unanswered`
        (a Conflict) when it went on the wire but no answer came: then nobody knows.
        """
        link = Link(self.address, f"gemel-command-{uuid.uuid4().hex[:12]}")
        try:
            link.open(self.timeout)
            topic, payload = self.message(invocation)
            hooks.at("wire.before_send")
            sent = link.client.publish(topic, payload, qos=1)
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


class ShadowSink(MqttSink):
    """A command as the desired state of a shadow: told to the device, or to the service it has.

    names: command → the property it sets · things: None where a service beside us keeps shadows
    """

    def __init__(
        self,
        address: Address,
        names: Mapping[str, str],
        things: Things | None = None,
        *,
        timeout: float = 10.0,
    ) -> None:
        super().__init__(address, shadow.UPDATE, timeout=timeout)
        self.names, self.things = names, things

    def message(self, invocation: Invocation) -> tuple[str, bytes]:
        name = self.names.get(invocation.command, invocation.command)
        if self.things is None:
            wish = {name: invocation.argument}
            return shadow.encode_desired(invocation.target, wish, invocation.id)
        at = WallClock().now()
        return self.things.desire(invocation.target, name, invocation.argument, invocation.id, at)


def listen(url: str, seconds: float) -> Batch:
    """What `mqtt://user:password@host:port/PREFIX/+/telemetry` says within some seconds."""
    address, topic = parse_url(url)
    source = MqttSource("listen", address, topic)
    link = Link(address, f"gemel-listen-{uuid.uuid4().hex[:12]}")
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


def _answered(sent: paho.MQTTMessageInfo, timeout: float) -> bool:
    """Whether the PUBACK came."""
    try:
        sent.wait_for_publish(timeout)
        return sent.is_published()
    except (RuntimeError, ValueError):
        return False


def check_filter(topic: str) -> str:
    """A topic filter as MQTT has them, or `mqtt.topic`."""
    levels = topic.split("/")
    if (
        not topic
        or "#" in "".join(levels[:-1])
        or any(len(level) > 1 and set("+#") & set(level) for level in levels)
    ):
        raise Invalid(
            "mqtt.topic",
            f"'{topic[:80]}' is no filter of topics",
            mend="let + stand alone between two /, and # alone at the end",
        )
    return topic


def topic_of(message: paho.MQTTMessage) -> str:
    """The topic, with bytes that are not UTF-8 replaced: a bad topic is an unknown twin."""
    try:
        return message.topic
    except UnicodeDecodeError:
        return message._topic.decode("utf-8", "replace")
