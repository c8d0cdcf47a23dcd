"""From the plant file's sources to connectors.

Owns    which connector a source's kind means, and the embedded broker's place and secret.
Never   speaks a protocol.
"""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemel.connect.base import Sink, Source
from gemel.connect.broker import EmbeddedBroker
from gemel.connect.files import EventFileSource, FileSource
from gemel.connect.mqtt import Address, MqttSink, MqttSource, parse_url
from gemel.errors import Invalid, Unavailable
from gemel.flow.fleet import Plan
from gemel.graph.plantfile import SourceSpec

FILES = ("csv", "parquet")


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
            _mqtt(spec, data, made)
        elif spec.kind in FILES:
            _file(spec, plan.where, made)
        else:
            raise Invalid(
                "source.kind",
                f"'{spec.kind}' is no kind of source",
                where=f"source {spec.name}",
                mend=f"use one of: mqtt, {', '.join(FILES)}",
            )
    if plan.plant.clock["kind"] == "data" and len(made.telemetry) > 1:
        raise Invalid(
            "source.one_clock",
            "two sources of telemetry cannot both move the plant's clock",
            where=plan.plant.name,
            mend='join the files into one, or use a clock of kind "paced"',
        )
    return made


def _mqtt(spec: SourceSpec, data: Path, made: Connectors) -> None:
    topic = str(spec.options.get("topic", "+/telemetry"))
    if spec.options.get("embedded"):
        made.broker, address = embedded(data)
        made.address = address
    elif "url" in spec.options:
        address, path = parse_url(str(spec.options["url"]))
        topic = path or topic
    else:
        raise Invalid(
            "source.no_address",
            "it has neither url nor embedded",
            where=f"source {spec.name}",
            mend='write url = "mqtt://user:password@host:1883" or embedded = true',
        )
    made.telemetry.append(MqttSource(spec.name, address, topic))
    if not spec.options.get("commands", True):
        return
    if "" in made.sinks:
        raise Invalid(
            "source.two_wires",
            "two MQTT sources would both take commands",
            where=f"source {spec.name}",
            mend="write commands = false on the one that only measures",
        )
    made.sinks[""] = MqttSink(address, topic)


def _file(spec: SourceSpec, folder: Path, made: Connectors) -> None:
    options = dict(spec.options)
    path = folder / str(options.pop("path", ""))
    try:
        if "event" in options:
            made.events.append(EventFileSource(spec.name, path, **options))
        else:
            made.telemetry.append(FileSource(spec.name, path, spec.kind, **options))
    except TypeError as error:
        raise Invalid(
            "source.option",
            f"an option is not known: {str(error).rsplit(' ', 1)[-1]}",
            where=f"source {spec.name}",
            mend="known are: path, columns, units, time_zone, twin, signals, delimiter, span, "
            "since; of a stream of events: event, ahead",
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
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w") as out:
        json.dump(told, out)
    partial.replace(path)
    return broker, Address("127.0.0.1", broker.port, user, password)


def read_broker(data: Path) -> dict[str, Any]:
    """What broker.json says, {} when there is none."""
    try:
        found: dict[str, Any] = json.loads((data / "broker.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found
