"""The shadow service, for devices made for AWS IoT on a broker that has none.

Owns    what each thing was asked to become and last said it is, while the process runs; and the
        answers that an unmodified device waits for.
Never   is history: what was reported is in the journal, what is wished for is an invocation.

    device → …/shadow/update   answered on …/update/accepted or …/update/rejected, and on
                               …/update/delta while what is desired is not what is reported
    device → …/shadow/get      answered on …/get/accepted, or …/get/rejected (404: nothing known)
"""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from gemel.clock import SECOND
from gemel.connect.objects import leaves, parse
from gemel.connect.shadow import ROOT, encode_accepted, encode_delta, thing_of
from gemel.errors import Invalid

THINGS = 10_000  # remembered; the one that was silent longest is forgotten first
DOCUMENT = 8_192  # bytes, as AWS IoT has it

Answer = tuple[str, bytes]


@dataclass
class _Shadow:
    """One thing."""

    desired: dict[str, Any] = field(default_factory=dict)
    reported: dict[str, Any] = field(default_factory=dict)
    version: int = 0

    def delta(self) -> dict[str, Any]:
        """What is desired and not reported."""
        told = dict(leaves(self.reported))
        return {name: value for name, value in self.desired.items() if told.get(name) != value}


class Things:
    """Every thing of one source. Safe to use from many threads."""

    filters = (f"{ROOT}/+/shadow/get",)

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Shadow] = OrderedDict()
        self._turn = threading.Lock()

    @staticmethod
    def reports(topic: str) -> bool:
        """Whether a device says on it how it is."""
        return topic.endswith("/update")

    def desire(self, thing: str, name: str, value: float, token: str, at: int) -> Answer:
        """(topic, payload) that tells a thing what to become; remembered for when it asks."""
        with self._turn:
            held = self._of(thing)
            held.desired[name] = value
            held.version += 1
            return encode_delta(thing, held.delta(), version=held.version, at=at, token=token)

    def take(self, topic: str, payload: bytes, at: int) -> list[Answer]:
        """The answers to one message of a device; at: ns UTC. Named shadows are not kept."""
        token: Any = None
        try:
            thing, what = thing_of(topic)
        except Invalid:
            return []  # an answer that we heard ourselves would be answered for ever
        if topic not in (f"{ROOT}/{thing}/shadow/update", f"{ROOT}/{thing}/shadow/get"):
            return []
        try:
            document = parse(payload) if payload.strip() or what == "update" else {}
            token = document.get("clientToken") if isinstance(document, dict) else None
            with self._turn:
                if what == "get":
                    return self._get(topic, thing, token, at)
                return self._update(topic, thing, document, token, len(payload), at)
        except Invalid as error:
            return [_rejected(topic, 400, error.message, token, at)]

    def _get(self, topic: str, thing: str, token: Any, at: int) -> list[Answer]:
        held = self._known.get(thing)
        if held is None:
            return [_rejected(topic, 404, f"No shadow exists with name: '{thing}'", token, at)]
        _, body = encode_accepted(thing, held.desired, held.reported, version=held.version, at=at)
        return [(f"{topic}/accepted", _with_token(json.loads(body), token))]

    def _update(
        self, topic: str, thing: str, document: Any, token: Any, size: int, at: int
    ) -> list[Answer]:
        state = document.get("state") if isinstance(document, dict) else None
        if not isinstance(state, dict):
            return [_rejected(topic, 400, "Missing required node: state", token, at)]
        if size > DOCUMENT:
            return [_rejected(topic, 413, "The payload exceeds the maximum size", token, at)]
        held = self._of(thing)
        held.reported = _merged(held.reported, state.get("reported", {}))
        held.desired = _merged(held.desired, state.get("desired", {}))
        held.version += 1
        body = {"state": state, "version": held.version, "timestamp": at // SECOND}
        answers = [(f"{topic}/accepted", _with_token(body, token))]
        if delta := held.delta():
            word = str(token or "")
            answers.append(encode_delta(thing, delta, version=held.version, at=at, token=word))
        return answers

    def _of(self, thing: str) -> _Shadow:
        held = self._known.setdefault(thing, _Shadow())
        self._known.move_to_end(thing)
        if len(self._known) > THINGS:
            self._known.popitem(last=False)
        return held


def _merged(held: dict[str, Any], told: Any) -> dict[str, Any]:
    """As AWS IoT merges: objects into each other, null takes a name away."""
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise Invalid("shadow.shape", "a state is an object", mend='send {"reported": {"a": 1}}')
    merged = dict(held)
    for name, value in told.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            below = merged.get(name)
            merged[name] = _merged(below if isinstance(below, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _with_token(body: dict[str, Any], token: Any) -> bytes:
    return json.dumps(body if token is None else {**body, "clientToken": token}).encode()


def _rejected(topic: str, code: int, message: str, token: Any, at: int) -> Answer:
    body = {"code": code, "message": message, "timestamp": at // SECOND}
    return f"{topic}/rejected", _with_token(body, token)
