"""The ground-truth plant on the wire: it sends telemetry over MQTT and obeys commands.

Owns    the pace of the hall, its outbox, its saved state, and the truth kept beside for scoring.
Never   shows the truth to a twin: telemetry carries readings alone.

    DATA/truth.json    the state of the hall and what is not yet acknowledged, written atomically
    DATA/truth.jsonl   true wear, temperature and time left per bearing, one row a bearing and hour

A broker that keeps its sessions in memory loses what it acknowledged when it dies, and drops what
comes before its subscribers are back. So PAUSE seconds after each reconnect the plant repeats what
was acknowledged in the RESEND seconds before the outage and since; equal samples are duplicates and
cost nothing.
"""

import json
import logging
import os
import queue
import signal
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pyarrow as pa
import pyarrow.csv as pa_csv

from gemel.clock import SECOND, WallClock, format_instant, parse_instant
from gemel.connect.mqtt import (
    REFUSED,
    Address,
    Topics,
    begin,
    connect_client,
    end,
    refusal,
    topic_of,
)
from gemel.errors import GemelError, Invalid
from gemel.plant.truth import (
    BEARING_SIGNALS,
    START,
    TURBINE_SIGNALS,
    Fault,
    SteamHall,
    demo_faults,
)

log = logging.getLogger("gemel.plant")

RESEND = 5.0  # s of the wall before an outage whose messages are repeated after it
PAUSE = 3.0  # s of the wall after a reconnect, for the subscribers to come back too
SAVE = 2.0  # s of the wall between two saves
TRUTH = 3600 * SECOND  # plant time between two truth rows
REMEMBER = 200  # invocations whose answer is remembered, so that a repeat is not obeyed twice


@dataclass(frozen=True)
class PlantConfig:
    """How the plant runs.

    at, wall: the plant's instant `at` [ns] holds at the wall's `wall` [ns since 1970; None: now],
    so two processes given both agree on the plant's clock. at None: where the saved state stopped.
    faults None: the demo's.
    """

    data: Path
    address: Address
    topic: str = "hall/+/telemetry"
    seed: int = 7
    start: int = START
    at: int | None = None
    wall: int | None = None
    speed: float = 600.0
    every: float = 60.0
    faults: tuple[Fault, ...] | None = None
    turbines: int = 2
    bearings_per_turbine: int = 4
    client_id: str = "gemel-plant"


class Simulator:
    """One hall, one connection. `run` until `stop` is set."""

    def __init__(self, config: PlantConfig) -> None:
        self.config, self.topics = config, Topics(config.topic)
        self.faults = demo_faults(config.start) if config.faults is None else config.faults
        self.hall, saved = self._load()
        self.answered: dict[str, dict[str, Any]] = saved.get("answered", {})
        self._unsent: list[list[str]] = saved.get("outbox", [])
        self._outbox: dict[int, tuple[str, str]] = {}  # handed to the client, not yet acknowledged
        self._early: set[int] = set()
        self._recent: deque[tuple[float, str, str]] = deque()
        self._lock = threading.Lock()
        self._orders: queue.SimpleQueue[paho.MQTTMessage] = queue.SimpleQueue()
        self._repeat_at = 0.0  # when the repeat is due, 0: none is
        self._links, self._refused, self._said = 0, False, False
        self._truth_at = self.hall.instant // TRUTH * TRUTH
        self.client = connect_client(config.address, config.client_id, keep=True, manual_ack=True)
        self.client.on_connect, self.client.on_disconnect = self._on_connect, self._on_disconnect
        self.client.on_message, self.client.on_publish = self._on_message, self._on_publish

    # ---- life ---------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Step, send, obey and save until `stop`. Raises `mqtt.denied` when the broker refuses."""
        config = self.config
        at = self.hall.instant if config.at is None else config.at
        self._catch_up(at)
        behind = 0 if config.wall is None else WallClock().now() - config.wall
        origin = time.monotonic_ns() - behind
        begin(self.client, config.address, keep=True)
        try:
            for topic, text in self._unsent:
                self._send(topic, text)
            self._unsent = []
            saved = time.monotonic()
            while not stop.is_set():
                if self._refused:
                    raise refusal(config.address)
                self._again()
                self._obey()
                now = at + int((time.monotonic_ns() - origin) * config.speed)
                self._advance(now, stop)
                if time.monotonic() - saved > SAVE:
                    self.save()
                    saved = time.monotonic()
                stop.wait(min(0.05, config.every / config.speed / 4))
        finally:
            self._obey()
            self._flush(2.0)
            end(self.client)
            self.save()

    def _catch_up(self, at: int) -> None:
        """Physics alone, nothing sent, up to `at`."""
        step = round(self.config.every * SECOND)
        while self.hall.instant + step <= at:
            self.hall.step(self.config.every)

    def _advance(self, now: int, stop: threading.Event) -> None:
        """Every step due by `now`, each sent as it is taken."""
        step = round(self.config.every * SECOND)
        while self.hall.instant + step <= now and not stop.is_set():
            self.hall.step(self.config.every)
            stamp = format_instant(self.hall.instant)
            for twin, values in self.hall.readings():
                body = json.dumps({"time": stamp, "values": values})
                self._send(self.topics.of(twin, "telemetry"), body)
            if self.hall.instant - self._truth_at >= TRUTH:
                self._truth_at += TRUTH
                self._write_truth(stamp)

    # ---- wire ---------------------------------------------------------------------------

    def _send(self, topic: str, text: str) -> None:
        """QoS 1, kept until the broker has it, across outages and restarts."""
        mid = self.client.publish(topic, text, qos=1).mid
        with self._lock:
            if mid in self._early:
                self._early.discard(mid)
                self._recent.append((time.monotonic(), topic, text))
            else:
                self._outbox[mid] = (topic, text)

    def _again(self) -> None:
        """Forget what is old; when a repeat is due after a reconnect, send the rest once more."""
        now, due = time.monotonic(), []
        with self._lock:
            if not self._repeat_at and self.client.is_connected():
                while self._recent and self._recent[0][0] < now - RESEND:
                    self._recent.popleft()
            elif self._repeat_at and now >= self._repeat_at:
                due, self._repeat_at = list(self._recent), 0.0
                self._recent.clear()
        for _, topic, text in due:
            self._send(topic, text)

    def _flush(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._outbox and self.client.is_connected() and time.monotonic() < until:
            time.sleep(0.01)

    def _obey(self) -> None:
        """Every command that waits: obey or refuse, reply, save, and only then acknowledge it."""
        while True:
            try:
                message = self._orders.get_nowait()
            except queue.Empty:
                return
            twin = self.topics.twin(topic_of(message))
            reply = self._answer(twin, message.payload)
            if reply is not None:
                self._send(self.topics.of(twin, "reply"), json.dumps(reply))
            self.save()
            self.client.ack(message.mid, message.qos)

    def _answer(self, twin: str, payload: bytes | bytearray) -> dict[str, Any] | None:
        """The reply to a command; None when it does not even say which invocation it is."""
        try:
            order = json.loads(payload)
            invocation = str(order["invocation"])
            name, argument = order.get("command"), order.get("argument")
            expires = order.get("expires_at")
            late = expires is not None and parse_instant(str(expires)) < self.hall.instant
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, GemelError):
            log.warning("%s: a command that cannot be read was ignored", twin)
            return None
        if invocation in self.answered:
            return self.answered[invocation]
        accepted, detail = (
            (False, f"expired at {expires}")
            if late
            else self.hall.command(twin, str(name), argument)
        )
        reply = {"invocation": invocation, "accepted": accepted, "detail": detail}
        self.answered[invocation] = reply
        while len(self.answered) > REMEMBER:
            del self.answered[next(iter(self.answered))]
        log.info("%s: %s (%s)", twin, detail, "accepted" if accepted else "refused")
        return reply

    def _on_connect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        if code.is_failure:
            self._refused = str(code) in REFUSED
            return
        client.subscribe(self.topics.of("+", "command"), 1)
        if self._links:
            self._repeat_at = time.monotonic() + PAUSE
            log.info("%s is back", self.config.address)
        self._links, self._said = self._links + 1, False

    def _on_disconnect(
        self, client: paho.Client, data: Any, flags: Any, code: Any, props: Any
    ) -> None:
        if code.is_failure and not self._said:
            log.warning("%s is away; telemetry is kept until it is back", self.config.address)
            self._said = True

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        self._orders.put(message)

    def _on_publish(self, client: paho.Client, data: Any, mid: int, code: Any, props: Any) -> None:
        with self._lock:
            sent = self._outbox.pop(mid, None)
            if sent is None:
                self._early.add(mid)  # the broker answered before publish() returned
            else:
                self._recent.append((time.monotonic(), *sent))

    # ---- disk ---------------------------------------------------------------------------

    def save(self) -> None:
        """State and outbox, atomically and durably."""
        with self._lock:
            outbox = [list(item) for item in self._outbox.values()]
        body = {
            "hall": self.hall.state(),
            "truth": self.hall.truth.as_record(),
            "answered": self.answered,
            "outbox": outbox + self._unsent,
        }
        path = self.config.data / "truth.json"
        beside = path.with_suffix(".tmp")
        with beside.open("w", encoding="utf-8") as file:
            json.dump(body, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def _load(self) -> tuple[SteamHall, dict[str, Any]]:
        config = self.config
        config.data.mkdir(parents=True, exist_ok=True)
        path = config.data / "truth.json"
        if not path.exists():
            hall = SteamHall(
                config.seed,
                config.turbines,
                config.bearings_per_turbine,
                start=config.start,
                faults=self.faults,
            )
            return hall, {}
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            return SteamHall.restored(saved["hall"], self.faults), saved
        except (ValueError, KeyError, TypeError):
            raise Invalid(
                "plant.state",
                "the saved state of the simulated plant cannot be read",
                where=str(path),
                mend="delete the file: the plant then starts anew",
            ) from None

    def _write_truth(self, stamp: str) -> None:
        left = self.hall.remaining()
        rows = zip(self.hall.bearings, self.hall.wear, self.hall.temperature, left, strict=True)
        with (self.config.data / "truth.jsonl").open("a", encoding="utf-8") as file:
            for twin, wear, temperature, rul in rows:
                row = {
                    "time": stamp,
                    "twin": twin,
                    "wear": round(float(wear), 6),
                    "temperature": round(float(temperature), 3),
                    "rul_s": rul,
                }
                file.write(json.dumps(row) + "\n")


def run_plant(config: PlantConfig, stop: threading.Event | None = None) -> None:
    """`gemel plant`: until SIGINT, SIGTERM or `stop`; state is saved on the way out."""
    stop = stop or threading.Event()
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, lambda *_: stop.set())
    try:
        Simulator(config).run(stop)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def history(
    path: Path,
    days: float = 14.0,
    *,
    end_at: int = START,
    seed: int = 7,
    every: float = 60.0,
    turbines: int = 2,
    bearings_per_turbine: int = 4,
) -> int:
    """Healthy history up to `end_at` as wide CSV (twin,time,signals…); returns its rows."""
    steps = int(days * 86_400 / every)
    begin_at = end_at - steps * round(every * SECOND)
    hall = SteamHall(seed, turbines, bearings_per_turbine, start=begin_at)
    names = hall.turbines + hall.bearings
    signals = TURBINE_SIGNALS + BEARING_SIGNALS
    table = np.full((steps, len(names), len(signals)), np.nan)
    split = len(TURBINE_SIGNALS)
    for k in range(steps):
        hall.step(every)
        turbine, bearing = hall.shown()
        table[k, : len(hall.turbines), :split] = turbine
        table[k, len(hall.turbines) :, split:] = bearing
    instants = begin_at + round(every * SECOND) * np.arange(1, steps + 1)
    stamps = np.char.add(np.datetime_as_string(instants.astype("M8[ns]"), unit="s"), "Z")
    columns = {
        "twin": pa.array(np.tile(np.array(names), steps)),
        "time": pa.array(np.repeat(stamps, len(names))),
    }
    flat = table.reshape(-1, len(signals)).round(4)
    for k, name in enumerate(signals):
        columns[name] = pa.array(flat[:, k], from_pandas=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa_csv.WriteOptions(quoting_style="none")
    pa_csv.write_csv(pa.table(columns), path, options)
    return len(flat)
