"""Which decoder a source's messages go through: `format` and `map` of the plant file.

Owns    the words of `format`.
Never   subscribes to anything: a source hands it topic and payload.
"""

from collections.abc import Mapping as Table
from typing import Any, Protocol

from gemel.connect.decode import decode_telemetry
from gemel.connect.decoded import Decoded
from gemel.connect.mapping import Mapping
from gemel.connect.shadow import decode_shadow
from gemel.connect.sparkplug import Sparkplug
from gemel.errors import Invalid


class Decoder(Protocol):
    """Messages of one source → samples. Never raises; may remember (births, aliases)."""

    def decode(
        self, topic: str, payload: bytes, *, twin: str | None, received_at: int, source: str
    ) -> Decoded:
        """twin: what the source takes from the topic, None where it takes nothing."""
        ...


class Ours:
    """Our own shapes: JSON, a list, NDJSON, Arrow."""

    def decode(
        self, topic: str, payload: bytes, *, twin: str | None, received_at: int, source: str
    ) -> Decoded:
        return decode_telemetry(payload, twin, received_at=received_at, source=source)


class Shadows:
    """Shadow documents of AWS IoT devices."""

    def decode(
        self, topic: str, payload: bytes, *, twin: str | None, received_at: int, source: str
    ) -> Decoded:
        return decode_shadow(topic, payload, received_at=received_at, source=source)


_MADE: dict[str, type[Decoder]] = {
    "json": Ours,
    "arrow": Ours,
    "sparkplug": Sparkplug,
    "shadow": Shadows,
}


def decoder_of(options: Table[str, Any], where: str) -> Decoder:
    """The decoder that a source's `format` and `map` ask for. Raises `source.format`, `map.*`.

    >>> type(decoder_of({"format": "sparkplug"}, "source line")).__name__
    'Sparkplug'
    """
    if "map" in options:
        return Mapping(options["map"], f"{where} map")
    word = options.get("format", "json")
    made: type[Decoder] | None = _MADE.get(str(word))
    if made is None:
        raise Invalid(
            "source.format",
            f"'{word}' is no format",
            where=where,
            mend=f"use one of: {', '.join(_MADE)}; or describe other JSON by a map",
        )
    return made()
