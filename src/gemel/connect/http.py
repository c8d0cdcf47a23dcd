"""Telemetry over HTTP: what a request carries → samples, by its headers.

Owns    content types and encodings, how far a body may unpack, and which requests and events were
        taken in already.
Never   speaks HTTP itself: `server/` hands it bytes and headers, and answers.

Keys (`Idempotency-Key`, or an event's source and id) are remembered while the process runs. After a
restart a request that comes again is told apart by its samples: equal ones are duplicates.
"""

import hashlib
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from gemel.connect import cloudevents
from gemel.connect.arrow import read_arrow
from gemel.connect.cloudevents import Event
from gemel.connect.decode import ARROW, read_json
from gemel.connect.decoded import Decoded, Letters
from gemel.connect.formats import Decoder, Ours
from gemel.connect.ndjson import is_lines
from gemel.connect.objects import Objects, as_bytes, parse
from gemel.errors import Conflict, Invalid
from gemel.records import Batch

UNPACKED = 64 << 20  # bytes of a body once unpacked
SAMPLES = 1_000_000  # of one request
KEYS, KEY = 20_000, 255  # keys remembered; characters of one that a client gives
TOLD = 5  # faults of an answer that are remembered with it
HANDS = 4  # requests decoded at once; the others wait
STREAM = "application/vnd.apache.arrow.stream"
JSON = frozenset(
    (
        "",
        "application/json",
        "application/jsonl",
        "application/json-lines",
        "application/ndjson",
        "application/x-jsonlines",
        "application/x-ndjson",
        "application/octet-stream",
        "application/x-www-form-urlencoded",  # what curl says when nobody says anything
        "text/json",
        "text/plain",
    )
)


def unpack(payload: bytes, encoding: str, most: int = UNPACKED) -> bytes:
    """A body as it was before gzip or zstd. Raises `http.encoding`, `http.unpacks_too_far`."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return payload
    try:
        if encoding in ("gzip", "x-gzip"):
            whole = _gunzip(payload, most)
        elif encoding == "zstd":
            with pa.CompressedInputStream(pa.BufferReader(payload), "zstd") as stream:
                whole = bytes(stream.read(most + 1))
        else:
            raise Invalid(
                "http.encoding",
                f"the Content-Encoding '{encoding[:40]}' is not read",
                mend="send it as gzip, zstd, or as it is",
            )
    except (zlib.error, OSError, pa.ArrowException, EOFError) as problem:
        raise Invalid(
            "http.encoding",
            f"the body is not {encoding}: {str(problem)[:100]}",
            mend="send the whole body, packed as its Content-Encoding says",
        ) from None
    if len(whole) > most:
        raise Invalid(
            "http.unpacks_too_far",
            f"the body unpacks to more than {most >> 20} MiB",
            mend="send fewer samples at once",
        )
    return whole


def _gunzip(payload: bytes, most: int) -> bytes:
    """Every member of a gzip file, `most` + 1 bytes of it."""
    whole = bytearray()
    while payload:
        member = zlib.decompressobj(31)
        whole += member.decompress(payload, most + 1 - len(whole))
        if len(whole) > most:
            break
        if not member.eof:
            raise EOFError("it ends early")
        payload = member.unused_data
    return bytes(whole)


Answer = dict[str, Any]


class Inlet:
    """One source's end of HTTP. Safe to use from many threads; HANDS of them decode at once."""

    def __init__(self, source: str = "http", decoder: Decoder | None = None) -> None:
        self.source, self.decoder = source, decoder or Ours()
        self.once = Once()
        self._hands = threading.BoundedSemaphore(HANDS)

    def take(
        self,
        payload: bytes,
        headers: Mapping[str, str],
        keep: Callable[[Decoded], Answer],
        *,
        topic: str = "",
        received_at: int,
    ) -> Answer:
        """Take in one request, once. headers: by small names.

        `keep` makes what was decoded durable and answers; a request whose key was seen before gets
        that answer again. Raises Invalid `http.*` when it cannot be told what the bytes are, and
        Conflict while the same is being taken in; whatever else is wrong becomes dead letters.
        """
        key = headers.get("idempotency-key", "")
        if key:
            earlier = self.once.answer(key, payload)
            if earlier is not None:
                return {**earlier, "repeated": earlier["received"]}
        keys = [key] if key else []
        try:
            with self._hands:
                decoded, repeated = self._read(payload, headers, topic, received_at, keys)
            answer = keep(decoded)
        except BaseException:
            for key in keys:
                self.once.failed(key)
            raise
        for key in keys:
            self.once.done(key, answer)
        return {**answer, "repeated": repeated} if repeated else answer

    def _read(
        self,
        payload: bytes,
        headers: Mapping[str, str],
        topic: str,
        received_at: int,
        keys: list[str],
    ) -> tuple[Decoded, int]:
        """Samples, and how many events were known; `keys` grows by those that were not."""
        payload = unpack(payload, headers.get("content-encoding", ""))
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        letters = Letters(self.source, received_at, SAMPLES)
        if not cloudevents.is_event(media, headers):
            return letters.decoded(self._data(payload, media, topic, letters)), 0
        repeated, batches = 0, []
        for event in cloudevents.read_events(payload, media, headers):
            if not isinstance(event, Event):
                letters.bury(*event)
            elif event.key in keys or not self.once.take(event.key):
                repeated += 1
            else:
                keys.append(event.key)
                batches.append(self._event(event, topic, letters))
        return letters.decoded(Batch.joined(batches)), repeated

    def _event(self, event: Event, topic: str, letters: Letters) -> Batch:
        data, topic = event.data, topic or event.subject
        try:
            if not isinstance(self.decoder, Ours):
                plain = data if isinstance(data, bytes) else as_bytes(data)
                return self._data(plain, "", topic, letters)
            if isinstance(data, bytes):
                if not _is_json(event.media) or is_lines(data) or data.startswith(ARROW):
                    return self._data(data, event.media, topic, letters, event.time)
                event = replace(event, data=parse(data))
        except Invalid as error:
            letters.bury(data if isinstance(data, bytes) else as_bytes(data), error)
            return Batch.of([])
        objects = Objects(None, letters, event.time)
        items = event.items()
        objects.items(items, as_bytes(items))
        return Batch.of(objects.rows)

    def _data(
        self,
        payload: bytes,
        media: str,
        topic: str,
        letters: Letters,
        time: int | None = None,
    ) -> Batch:
        """Samples of bytes of a kind."""
        if not isinstance(self.decoder, Ours):
            told = self.decoder.decode(
                topic, payload, twin=None, received_at=letters.received_at, source=self.source
            )
            letters.dead += told.dead
            return told.batch
        if media == STREAM or payload.startswith(ARROW):
            return read_arrow(payload, None, letters, UNPACKED)
        if _is_json(media):
            return read_json(payload, None, letters, time)
        raise Invalid(
            "http.content_type",
            f"the Content-Type '{media[:60]}' is not read",
            mend=f"send application/json, application/x-ndjson, {STREAM} or a CloudEvent",
        )


class Once:
    """Keys of what was taken in, with the answer that was given.

    A key is taken before the work, and done when it is durable, or failed and free again.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[str, tuple[str, Answer | None]] = OrderedDict()
        self._turn = threading.Lock()

    def take(self, key: str) -> bool:
        """Whether it is new; then it is in hand. Raises `http.key_in_hand` while another has it."""
        with self._turn:
            if key not in self._told:
                self._told[key] = ("", None)
                return True
            if self._told[key][1] is None:
                raise _in_hand()
            return False

    def answer(self, key: str, payload: bytes) -> Answer | None:
        """The answer to an earlier request of that key; None when it is new, and now in hand.

        Raises `http.key_in_hand` while the earlier one is not done, `http.key_reused` when it had
        another body.
        """
        if len(key) > KEY or not key.isprintable():
            raise Invalid("http.key", "the Idempotency-Key is too long", mend="send a UUID")
        digest = hashlib.sha256(payload).hexdigest()
        with self._turn:
            if key not in self._told:
                self._told[key] = (digest, None)
                return None
            before, answer = self._told[key]
        if before != digest:
            raise Invalid(
                "http.key_reused",
                "another body was sent under this Idempotency-Key",
                mend="send a new key with every new request; the same one only with a retry",
            )
        if answer is None:
            raise _in_hand()
        return answer

    def done(self, key: str, answer: Answer) -> None:
        """It is durable."""
        answer = {k: v[:TOLD] if isinstance(v, list) else v for k, v in answer.items()}
        with self._turn:
            digest, _ = self._told.get(key, ("", None))
            self._told[key] = (digest, answer)
            self._told.move_to_end(key)
            while len(self._told) > KEYS:
                self._told.popitem(last=False)

    def failed(self, key: str) -> None:
        """It was not taken in: it may come again."""
        with self._turn:
            self._told.pop(key, None)


def _in_hand() -> Conflict:
    return Conflict(
        "http.key_in_hand",
        "the same request is still being taken in",
        mend="wait a moment and ask again",
    )


def _is_json(media: str) -> bool:
    return media in JSON or media.endswith("+json")
