"""One connection to an MQTT broker: to whom, as whom, and why it does not stand.

Owns    the address, and paho with what it gets wrong.
Never   knows what is said over it.
"""

import queue
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gemel.connect.login import Tls, tls_context
from gemel.errors import Denied, Invalid, Unavailable

READ = 1 << 16  # bytes taken from the wire at once
KEEP_ALIVE = 30  # s
WEEK = 7 * 86_400
REFUSED = ("Not authorized", "Bad user name or password")


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
        parts = urlsplit(url, allow_fragments=False)  # a # is of the topic
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


class Client(paho.Client):
    """paho asks the system three times for a message and once for an answer: this once for many.

    problem: why it could not connect
    """

    problem: OSError | None = None
    _ahead = memoryview(b"")  # read from the wire, and not yet by paho

    def reconnect(self) -> MQTTErrorCode:
        self._ahead = memoryview(b"")
        try:
            return super().reconnect()
        except OSError as problem:
            self.problem = problem
            raise

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        told = super().loop_read(max_packets)
        while self._ahead and told == MQTTErrorCode.MQTT_ERR_SUCCESS:
            told = super().loop_read(max_packets)
        return told

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self._ahead:
            try:
                self._ahead = memoryview(super()._sock_recv(READ))
            except ssl.SSLError as problem:  # a server that wants our certificate says so late
                self.problem = problem
                raise
        piece, self._ahead = self._ahead[:bufsize], self._ahead[bufsize:]
        return bytes(piece)

    def _send_publish(self, *given: Any, **how: Any) -> MQTTErrorCode:
        """Only once the broker has welcomed us: what another thread publishes while this one opens
        the connection would go before the CONNECT, and the broker hang up. It goes after it."""
        if not self.is_connected():
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        return super()._send_publish(*given, **how)

    def ack_all(self, numbers: Sequence[int]) -> None:
        """Acknowledge messages of QoS 1 by their numbers; on a lost connection they come again."""
        if numbers and self.is_connected():
            packets = b"".join(struct.pack("!BBH", 0x40, 2, number) for number in numbers)
            self._packet_queue(0x40, packets, numbers[-1], 1)

    def why(self, code: object = "no connection") -> str:
        """The cause of the last failure, in words."""
        return str(self.problem or code)

    def distrusts(self) -> bool:
        """Whether it failed because one side does not trust the other's certificate."""
        told = str(self.problem).lower().replace("_", " ")
        return isinstance(self.problem, ssl.SSLError) and (
            "certificate" in told or "unknown ca" in told
        )


def connect_client(
    address: Address, client_id: str, *, keep: bool, manual_ack: bool = False, once: bool = False
) -> Client:
    """A paho client, not yet connected. keep: the broker keeps its session; once: no reconnect."""
    five = address.version == "5"
    client = Client(
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
        client.tls_set_context(tls_context(address.tls))
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


def distrust(address: Address, why: str) -> Denied:
    """One of the two does not trust the other's certificate."""
    return Denied(
        "mqtt.untrusted",
        f"the broker and Gemel do not trust each other: {why}",
        where=repr(address),
        mend="check ca, certificate and private_key of the source, and the name in the url",
    )


class Link:
    """One short connection that says whether it stands."""

    def __init__(self, address: Address, client_id: str) -> None:
        self.address = address
        self.client = connect_client(address, client_id, keep=False, once=True)
        self.client.on_connect = self._on_connect
        self.client.on_connect_fail = self._on_connect_fail
        self.client.on_disconnect = self._on_disconnect
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
        if self.client.distrusts():
            raise distrust(self.address, answer)
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
        self._answer.put(self.client.why())

    def _on_disconnect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        self._answer.put(self.client.why(code))  # of use only where it comes before an answer
