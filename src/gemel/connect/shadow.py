"""Shadow documents as AWS IoT devices speak them: reported → samples, a command → desired.

Owns    the topics `$aws/things/THING/shadow/…`, and the documents that pass on them.
Never   keeps a shadow: what an asset reported is history, what is wished for is an invocation.

    device → …/shadow/update             {"state": {"reported": {"speed": 3000}}}
    device ← …/shadow/update/delta       {"state": {"oil_flow": 45}, "version": 3, "timestamp": …}
    device → …/shadow/get                asks;  device ← …/shadow/get/accepted

Names within names are joined by dots. A device reports without a time: its samples have the
instant they came at, unless the document has a `timestamp` (s).
"""

import json
from collections.abc import Mapping
from typing import Any

from gemel.clock import SECOND
from gemel.connect.decoded import Decoded, Letters, check_twin
from gemel.connect.objects import Row, as_bytes, leaves, parse, sample
from gemel.errors import Invalid
from gemel.records import Batch

ROOT = "$aws/things"
UPDATE = f"{ROOT}/+/shadow/update"  # what a device reports on


def thing_of(topic: str) -> tuple[str, str]:
    """(thing, what) of a shadow's topic; what: "update", "get", "update/documents" …

    >>> thing_of("$aws/things/pump-7/shadow/name/motor/update")
    ('pump-7', 'update')
    """
    parts = topic.split("/")
    if parts[:2] != ["$aws", "things"] or len(parts) < 5 or parts[3] != "shadow":
        raise Invalid(
            "shadow.topic",
            f"'{topic[:120]}' is no topic of a shadow",
            mend=f"subscribe to {UPDATE}",
        )
    rest = parts[6:] if parts[4] == "name" else parts[4:]
    return check_twin(parts[2]), "/".join(rest)


def decode_shadow(topic: str, payload: bytes, *, received_at: int, source: str) -> Decoded:
    """Samples of what a device reported; never raises. A document without it has none.

    >>> told = decode_shadow("$aws/things/st1/shadow/update",
    ...     b'{"state": {"reported": {"speed": 3000, "oil": {"flow": 40}}}}',
    ...     received_at=7, source="hall")
    >>> told.batch.signal.tolist(), told.batch.instant.tolist()
    (['speed', 'oil.flow'], [7, 7])
    """
    letters = Letters(source, received_at)
    rows: list[Row] = []
    try:
        twin, what = thing_of(topic)
        if what in ("update", "update/accepted", "update/documents"):
            rows = _reported(twin, parse(payload), letters)
    except Invalid as error:
        letters.bury(payload, error)
    return letters.decoded(Batch.of(rows))


def _reported(twin: str, document: Any, letters: Letters) -> list[Row]:
    if isinstance(document, dict) and isinstance(document.get("current"), dict):
        document = {**document["current"], "timestamp": document.get("timestamp")}
    state = document.get("state") if isinstance(document, dict) else None
    if not isinstance(state, dict):
        raise Invalid(
            "shadow.shape",
            "it is not an object with `state`",
            mend='send {"state": {"reported": {"speed": 3000}}}',
        )
    told = document.get("timestamp")
    timed = isinstance(told, int | float) and not isinstance(told, bool) and 0 < told < 2**32
    instant = round(told * SECOND) if timed else letters.received_at
    rows: list[Row] = []
    for signal, value in leaves(state.get("reported")):
        if value is None:
            continue  # a null takes a name away
        try:
            letters.take(1)
            read = int(value) if isinstance(value, bool) else value
            rows.append(sample(twin, signal, instant, read, ""))
        except Invalid as error:
            letters.bury(as_bytes({"twin": twin, "signal": signal, "value": value}), error)
    return rows


def encode_desired(twin: str, desired: Mapping[str, float], token: str) -> tuple[str, bytes]:
    """(topic, payload) that asks a shadow service for a state; token: the invocation's id."""
    body = {"state": {"desired": dict(desired)}, "clientToken": token}
    return f"{ROOT}/{twin}/shadow/update", json.dumps(body).encode()


def encode_delta(
    twin: str, desired: Mapping[str, float], *, version: int, at: int, token: str
) -> tuple[str, bytes]:
    """(topic, payload) that a device is told what to become by, where Gemel is the service.

    version: one that grows · at: ns UTC

    >>> encode_delta("st1", {"oil_flow": 45.0}, version=3, at=7 * 10**9, token="I-000001")
    ('$aws/things/st1/shadow/update/delta', b'{"version": 3, "timestamp": 7, "state": ...
    """
    body = {
        "version": version,
        "timestamp": at // SECOND,
        "state": dict(desired),
        "metadata": {name: {"timestamp": at // SECOND} for name in desired},
        "clientToken": token,
    }
    return f"{ROOT}/{twin}/shadow/update/delta", json.dumps(body).encode()


def encode_accepted(
    twin: str,
    desired: Mapping[str, float],
    reported: Mapping[str, float],
    *,
    version: int,
    at: int,
) -> tuple[str, bytes]:
    """(topic, payload) of the answer to a device that asks for its shadow on …/shadow/get."""
    delta = {name: value for name, value in desired.items() if reported.get(name) != value}
    state = {"desired": dict(desired), "reported": dict(reported), "delta": delta}
    told = {"state": {name: held for name, held in state.items() if held}}
    body = {**told, "version": version, "timestamp": at // SECOND}
    return f"{ROOT}/{twin}/shadow/get/accepted", json.dumps(body).encode()
