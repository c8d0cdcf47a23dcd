"""The ground-truth plant on a wire: it sends telemetry, obeys commands, and keeps the truth beside.

Owns    the pace of the hall, its saved state, and the truth kept for scoring.
Never   shows the truth to a twin: telemetry carries readings alone.

    hall (truth) ─► measured ─► way: what goes wrong ─► frames ─► wire ─► Gemel
                       └──────────── truth kept beside ──┘

    DATA/truth.json    the state of the hall and what is not yet taken, written atomically
    DATA/truth.jsonl   true wear, temperature and time left per bearing, one row a bearing and hour;
                       of a hall of at most SCORED bearings
    DATA/truth/        every sample and what was done to it, every fault (`record`)
"""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from gemel.clock import SECOND, WallClock, format_instant, parse_instant
from gemel.errors import GemelError, Invalid
from gemel.plant.faults import Fault
from gemel.plant.frames import Parcel, Writer
from gemel.plant.record import Record
from gemel.plant.truth import BEARING_SIGNALS, START, TURBINE_SIGNALS, SteamHall, demo_faults
from gemel.plant.way import Step, Way
from gemel.plant.wires import To

log = logging.getLogger("gemel.plant")

SAVE = 2.0  # s of the wall between two saves
SAVE_SHARE = 0.1  # of the time that saving may take, in a large hall
TRUTH = 3600 * SECOND  # plant time between two truth rows
SCORED = 400  # bearings whose time left is looked for
FAR = 90 * 86_400 * SECOND  # after START a new hall had better begin later than there
REMEMBER = 200  # invocations whose answer is remembered, so that a repeat is not obeyed twice


@dataclass(frozen=True)
class PlantConfig:
    """How the plant runs.

    at, wall: the plant's instant `at` [ns] holds at the wall's `wall` [ns since 1970; None: now],
    so two processes given both agree on the plant's clock. at None: where the saved state stopped.
    faults None: the demo's. until: the instant [ns] after which nothing is measured any more; the
    plant ends when all that is held up is sent. every: s between two readings.
    """

    data: Path
    to: To
    seed: int = 7
    start: int = START
    at: int | None = None
    wall: int | None = None
    speed: float = 600.0
    every: float = 60.0
    faults: tuple[Fault, ...] | None = None
    turbines: int = 2
    bearings_per_turbine: int = 4
    until: int | None = None


class Simulator:
    """One hall, one wire. `run` until `stop` is set; or open, advance, close by hand."""

    def __init__(self, config: PlantConfig) -> None:
        self.config = config
        faults = demo_faults(config.start) if config.faults is None else config.faults
        self.hall, saved = self._load(faults)
        self.answered: dict[str, dict[str, Any]] = saved.get("answered", {})
        slots = self.hall.slots
        self.way = Way(slots, faults, config.seed)
        self.way.restore(saved.get("way", {}))
        self._writer = Writer(slots, self.way.units, config.to.rows)
        self.record = Record(config.data, slots, self.way.units, saved.get("sent", 0))
        self._unsent: list[Parcel] = saved.get("outbox", [])
        self._truth_at = self.hall.instant // TRUTH * TRUTH
        self.wire = config.to.wire()

    # ---- life ---------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Step, send, obey and save until `stop`. Raises what no waiting mends of the wire."""
        config = self.config
        at = self.hall.instant if config.at is None else config.at
        self._catch_up(at)
        behind = 0 if config.wall is None else WallClock().now() - config.wall
        origin = time.monotonic_ns() - behind
        self.open()
        try:
            save_at = time.monotonic() + SAVE
            while not stop.is_set() and not self.ended:
                now = at + int((time.monotonic_ns() - origin) * config.speed)
                self.advance(now, stop)
                began = time.monotonic()
                if began > save_at:
                    self.save()
                    took = time.monotonic() - began
                    save_at = began + max(SAVE, took / SAVE_SHARE)
                stop.wait(min(0.05, config.every / config.speed / 4))
            self._obey()
            for _ in range(30):
                left = self.wire.flush(2.0)
                if self.wire.problem is not None:
                    raise self.wire.problem
                if not left or stop.is_set():
                    break
        finally:
            self.close()

    def open(self) -> None:
        """Connect, and send first what was not taken before."""
        self.wire.open()
        self.wire.send(self._unsent)
        self._unsent = []

    def advance(self, now: int, stop: threading.Event | None = None) -> None:
        """Every step due by `now`, each sent as it is taken; orders are obeyed."""
        if self.wire.problem is not None:
            raise self.wire.problem
        self.wire.send(())
        self._obey()
        step = round(self.config.every * SECOND)
        while self.hall.instant + step <= now and not (stop is not None and stop.is_set()):
            self.hall.step(self.config.every)
            self._send()
            if self.hall.instant - self._truth_at >= TRUTH:
                self._truth_at += TRUTH
                self._write_truth()

    def close(self) -> None:
        """Let go of the wire, and save what it has not taken."""
        self.wire.close()
        self.save()

    @property
    def ended(self) -> bool:
        """Whether all that was to be measured is on its way."""
        until = self.config.until
        return until is not None and self.hall.instant >= until and not self.way.waiting

    def _catch_up(self, at: int) -> None:
        """Physics alone, nothing sent, up to `at`."""
        step = round(self.config.every * SECOND)
        while self.hall.instant + step <= at:
            self.hall.step(self.config.every)

    # ---- what is sent -------------------------------------------------------------------

    def _send(self) -> None:
        """What this instant makes the plant send."""
        instant, until = self.hall.instant, self.config.until
        if until is None or instant <= until:
            step = self.way.take(instant, self.hall.measured())
            self.record.faults(self.way.begun(instant))
        else:
            step = self.way.send(instant)
        self.wire.send(self._parcels(step, instant))

    def _parcels(self, step: Step, instant: int) -> Iterator[Parcel]:
        self.record.lost(step.lost)
        for rows in step.blocks:
            self.record.sent(rows, instant)
            yield from self._writer.parcels(rows)

    # ---- orders -------------------------------------------------------------------------

    def _obey(self) -> None:
        """Every command that waits: obey or refuse, reply, save, and only then acknowledge it."""
        for order in self.wire.orders():
            reply = self._answer(order.twin, order.payload)
            if reply is not None:
                self.wire.send([Parcel(json.dumps(reply).encode(), order.twin, "reply")])
            self.save()
            order.done()

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

    # ---- disk ---------------------------------------------------------------------------

    def save(self) -> None:
        """State and outbox, atomically and durably; before them the truth of what was sent."""
        self.record.write()
        body = {
            "hall": self.hall.state(),
            "truth": self.hall.truth.as_record(),
            "answered": self.answered,
            "way": self.way.state(),
            "sent": self.record.number,
            "outbox": [as_record(parcel) for parcel in [*self.wire.unsent(), *self._unsent]],
        }
        path = self.config.data / "truth.json"
        beside = path.with_suffix(".tmp")
        with beside.open("w", encoding="utf-8") as file:
            json.dump(body, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def _load(self, faults: tuple[Fault, ...]) -> tuple[SteamHall, dict[str, Any]]:
        config = self.config
        config.data.mkdir(parents=True, exist_ok=True)
        path = config.data / "truth.json"
        if not path.exists():
            hall = SteamHall(
                config.seed,
                config.turbines,
                config.bearings_per_turbine,
                start=config.start,
                faults=faults,
            )
            return hall, {}
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            saved["outbox"] = [parcel_of(told) for told in saved["outbox"]]
            return SteamHall.restored(saved["hall"], faults), saved
        except (ValueError, KeyError, TypeError):
            raise Invalid(
                "plant.state",
                "the saved state of the simulated plant cannot be read",
                where=str(path),
                mend="delete the file: the plant then starts anew",
            ) from None

    def _write_truth(self) -> None:
        if len(self.hall.bearings) > SCORED:
            return
        stamp, left = format_instant(self.hall.instant), self.hall.remaining()
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


def as_record(parcel: Parcel) -> list[Any]:
    """A message that waits, as JSON: any bytes come back as they were."""
    text = parcel.payload.decode("utf-8", "surrogateescape")
    return [parcel.twin, parcel.kind, parcel.samples, text]


def parcel_of(told: list[Any]) -> Parcel:
    """The same read back."""
    twin, kind, samples, text = told
    return Parcel(text.encode("utf-8", "surrogateescape"), twin, kind, samples)


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


def await_plant(told: Connection) -> None:
    """`run_plant` in a process made beforehand: all is loaded when it is told how to run."""
    pa.array([0])  # pyarrow loads what it will need when it is first used
    try:
        config: PlantConfig = told.recv()
    except (EOFError, KeyboardInterrupt):  # nobody will ask any more
        return
    run_plant(config)


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
