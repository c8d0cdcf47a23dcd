"""From the plant file's sources to connectors.

Owns    which connector a source's kind means, and the embedded broker's place and secret.
Never   speaks a protocol.
"""

import json
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gemel.connect.base import Sink, Source
from gemel.connect.broker import EmbeddedBroker
from gemel.connect.deltas import DeltaSource
from gemel.connect.files import EventFileSource, FileSource
from gemel.connect.folders import FolderSource
from gemel.connect.formats import Ours, decoder_of
from gemel.connect.http import Inlet
from gemel.connect.kafka import MECHANISM, Cluster, KafkaSink, KafkaSource
from gemel.connect.link import Address, parse_url
from gemel.connect.login import LOGIN, read_login
from gemel.connect.mqtt import MqttSink, MqttSource, ShadowSink
from gemel.connect.shadow import UPDATE
from gemel.connect.things import Things
from gemel.errors import Invalid, Unavailable
from gemel.flow.fleet import Plan
from gemel.graph.plantfile import SourceSpec
from gemel.store import small

FILES = ("csv", "parquet", "delta")
HTTP_OPTIONS = ("format", "map")
FORMATTED = ("format", "map", "commands", "replies", "group", *LOGIN)
MQTT_OPTIONS = ("url", "embedded", "topic", "version", "client", "serve", *FORMATTED)
KAFKA_OPTIONS = (
    "brokers",
    "topic",
    "topics",
    "begin",
    "gone",
    "key",
    "shared",
    "mechanism",
    *FORMATTED,
)


@dataclass
class Connectors:
    """What a plant is connected by. `events` come before `telemetry` when the data sets the clock.

    sinks: target asset → sink; "" is for every asset that has none of its own
    """

    telemetry: list[Source] = field(default_factory=list)
    events: list[Source] = field(default_factory=list)
    sinks: dict[str, Sink] = field(default_factory=dict)
    broker: EmbeddedBroker | None = None
    address: Address | None = None


def connect(plan: Plan, data: Path) -> Connectors:
    """Every source of the plant file; starts the embedded broker when one is asked for."""
    made = Connectors()
    for spec in plan.plant.sources.values():
        if spec.kind == "mqtt":
            _mqtt(spec, plan, data, made)
        elif spec.kind == "kafka":
            _kafka(spec, plan.where, made)
        elif spec.kind in FILES:
            _file(spec, plan.where, made)
        elif spec.kind != "http":  # its inlet is the server's
            raise Invalid(
                "source.kind",
                f"'{spec.kind}' is no kind of source",
                where=f"source {spec.name}",
                mend=f"use one of: mqtt, kafka, http, {', '.join(FILES)}",
            )
    if plan.plant.clock["kind"] == "data" and len(made.telemetry) > 1:
        raise Invalid(
            "source.one_clock",
            "two sources of telemetry cannot both move the plant's clock",
            where=plan.plant.name,
            mend='join the files into one, or use a clock of kind "paced"',
        )
    return made


def inlets(plan: Plan) -> dict[str, Inlet]:
    """Where requests come in: "http", and every source of that kind, with its format or map."""
    made = {"http": Inlet()}
    for name, spec in plan.plant.sources.items():
        if spec.kind == "http":
            options, where = _known(spec, HTTP_OPTIONS)
            made[name] = Inlet(name, decoder_of(options, where))
    return made


def _mqtt(spec: SourceSpec, plan: Plan, data: Path, made: Connectors) -> None:
    options, where = _known(spec, MQTT_OPTIONS)
    decoder = decoder_of(options, where)
    format = str(options.get("format", "json"))
    address, topic = _broker(options, plan.where, data, made, where)
    topic = topic or str(options.get("topic", UPDATE if format == "shadow" else "+/telemetry"))
    things = Things() if format == "shadow" and options.get("serve", True) else None
    commands = options.get("commands", isinstance(decoder, Ours) or format == "shadow")
    made.telemetry.append(
        MqttSource(
            spec.name,
            address,
            topic,
            client_id=str(options.get("client", "")),
            decoder=decoder,
            group=str(options.get("group", "")),
            replies=options.get("replies", None),
            things=things,
        )
    )
    if format == "shadow" and commands:
        _take_commands(made, ShadowSink(address, _properties(plan), things), where)
    elif commands:
        prefix = commands if isinstance(commands, str) else topic
        _take_commands(made, MqttSink(address, prefix), where)


def _broker(
    options: dict[str, Any], folder: Path, data: Path, made: Connectors, where: str
) -> tuple[Address, str]:
    """The broker's address and who we are to it, and the topic if the url names one."""
    if options.get("embedded", False):
        made.broker, made.address = embedded(data)
        return made.address, ""
    if "url" not in options:
        raise Invalid(
            "source.no_address",
            "it has neither url nor embedded",
            where=where,
            mend='write url = "mqtt://127.0.0.1:1883" or embedded = true',
        )
    address, topic = parse_url(str(options.get("url")))
    login = read_login(options, folder, where)
    return replace(
        address,
        user=login.user or address.user,
        password=login.password or address.password,
        tls=login.tls or address.tls,
        version=str(options.get("version", address.version)),
    ), topic


def _properties(plan: Plan) -> dict[str, str]:
    """Command → the property of a shadow that it sets: the signal that confirms it."""
    return {
        name: command.signal or command.input
        for interface in plan.plant.interfaces.values()
        for name, command in interface.commands.items()
    }


def _kafka(spec: SourceSpec, folder: Path, made: Connectors) -> None:
    options, where = _known(spec, KAFKA_OPTIONS)
    decoder, cluster = decoder_of(options, where), cluster_of(options, folder, where)
    topics = options.get("topics") or [options.get("topic", "telemetry")]
    framed = options.get("format") == "arrow"  # a frame names its twins itself
    commands = options.get("commands", "")
    made.telemetry.append(
        KafkaSource(
            spec.name,
            cluster,
            [str(topic) for topic in topics],
            decoder=decoder,
            replies=str(options.get("replies", "")),
            group=str(options.get("group", "")),
            begin=str(options.get("begin", "earliest")),
            gone=str(options.get("gone", "stop")),
            keyed=options.get("key", "none" if framed else "twin") == "twin",
            shared=bool(options.get("shared", False)),
        )
    )
    if commands:
        _take_commands(made, KafkaSink(cluster, str(commands)), where)


def cluster_of(options: dict[str, Any], folder: Path, where: str) -> Cluster:
    """A Kafka cluster, as a source or the journal names it."""
    if "brokers" not in options:
        raise Invalid(
            "source.no_address",
            "it does not name its brokers",
            where=where,
            mend='write brokers = "127.0.0.1:9092"',
        )
    return Cluster(
        str(options.get("brokers")),
        read_login(options, folder, where),
        str(options.get("mechanism", MECHANISM)),
    )


def _take_commands(made: Connectors, sink: Sink, where: str) -> None:
    if "" in made.sinks:
        raise Invalid(
            "source.two_wires",
            "two sources would both take commands",
            where=where,
            mend="write commands = false on the one that only measures",
        )
    made.sinks[""] = sink


def _known(spec: SourceSpec, known: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """The options of a source, if its connector knows them all; and where that is."""
    where = f"source {spec.name}"
    odd = sorted(set(spec.options) - set(known))
    if odd:
        raise Invalid(
            "source.option",
            f"an option is not known: '{odd[0]}'",
            where=where,
            mend=f"known are: {', '.join(known)}",
        )
    return dict(spec.options), where


def _file(spec: SourceSpec, folder: Path, made: Connectors) -> None:
    options = dict(spec.options)
    path = folder / str(options.pop("path", ""))
    try:
        if "event" in options:
            made.events.append(EventFileSource(spec.name, path, **options))
        elif spec.kind == "delta":
            made.telemetry.append(DeltaSource(spec.name, path, **options))
        elif path.is_dir():
            made.telemetry.append(FolderSource(spec.name, path, spec.kind, **options))
        else:
            made.telemetry.append(FileSource(spec.name, path, spec.kind, **options))
    except TypeError as error:
        raise Invalid(
            "source.option",
            f"an option is not known: {str(error).rsplit(' ', 1)[-1]}",
            where=f"source {spec.name}",
            mend="known are: path, columns, units, time_zone, twin, signals, delimiter, span, "
            "since; of a folder: files, settle; of a Delta table: begin; of a stream of events: "
            "event, ahead",
        ) from None


def embedded(data: Path) -> tuple[EmbeddedBroker, Address]:
    """The embedded broker, where it was before if that port is free; its address in broker.json."""
    path = data / "broker.json"
    known = read_broker(data)
    user, password = known.get("user", "gemel"), known.get("password") or secrets.token_urlsafe(24)
    try:
        broker = EmbeddedBroker(port=known.get("port", 0), user=user, password=password).start()
    except Unavailable:
        broker = EmbeddedBroker(port=0, user=user, password=password).start()
    told = {"host": "127.0.0.1", "port": broker.port, "user": user, "password": password}
    small.put(path, json.dumps(told), 0o600)
    return broker, Address("127.0.0.1", broker.port, user, password)


def read_broker(data: Path) -> dict[str, Any]:
    """What broker.json says, {} when there is none."""
    try:
        found: dict[str, Any] = json.loads((data / "broker.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found
