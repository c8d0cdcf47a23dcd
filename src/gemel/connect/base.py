"""What a source and a sink promise.

Owns    the two contracts every protocol keeps, the form of a dead letter and of a command.
Never   knows a protocol.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any, Protocol

from gemel.clock import Clock, format_instant
from gemel.errors import GemelError
from gemel.records import Entry, Invocation

HEAD = 2_000  # characters of an undecodable message that a dead letter keeps

Deliver = Callable[[list[Entry]], None]
"""Takes entries in order; returns only when they are durable: then the source may acknowledge."""


class Source(Protocol):
    """Reads one outside stream into the journal."""

    name: str

    def run(self, deliver: Deliver, position: str, clock: Clock, stop: threading.Event) -> None:
        """Read on from after `position` ("" = from the start) until the end, or `stop` is set.

        Every sample is delivered once it is read, acknowledged only after `deliver` has returned,
        and never skipped: what cannot be decoded is delivered as a `dead` entry. An outage is not
        an error: reconnect and go on. Returns at the end of a finite stream.
        """
        ...


class Sink(Protocol):
    """Sends commands to assets."""

    def send(self, invocation: Invocation) -> None:
        """Put it on the wire once. Raises `Unavailable` only if it surely did not go."""
        ...


def dead_letter(source: str, received_at: int, payload: bytes, error: GemelError) -> Entry:
    """The journal entry of a message that could not be decoded; it counts as one."""
    body: dict[str, Any] = {
        **error.as_record(),
        "size": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
        "head": payload[:HEAD].decode("utf-8", "backslashreplace"),
    }
    return Entry("dead", source, received_at, body=body)


def command_payload(invocation: Invocation) -> bytes:
    """The command as JSON for the wire."""
    body = {
        "invocation": invocation.id,
        "command": invocation.command,
        "argument": invocation.argument,
        "expires_at": format_instant(invocation.expires_at),
    }
    return json.dumps(body).encode()
