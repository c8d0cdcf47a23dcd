"""What is let go of: old entries when their time is over, and what a twin told when it is asked."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.kafka_servers import Kafka
from tests.test_rerun import MINUTE, PLAN, SAMPLES, START, sent

from gemel.clock import SECOND, ManualClock
from gemel.errors import Conflict
from gemel.flow.fleet import Plan, compile_plan
from gemel.flow.journals import open_journal
from gemel.flow.loop import Loop
from gemel.flow.memory import begin, pack, unpack
from gemel.flow.replay import ERASED, FORGOTTEN, verify
from gemel.flow.tick import tick
from gemel.graph.plantfile import read_plant
from gemel.intake.align import Samples
from gemel.records import Batch, Entry
from gemel.store import journalfile
from gemel.store.journal import Journal
from gemel.store.journalfile import SqliteJournal
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger
from gemel.store.snapshots import Snapshots

SECRET = 0.123456789012345  # a value that no file holds by chance


def plant(journal: dict[str, Any] | None = None, keep: str = "1h") -> Plan:
    """Three tanks on the clock of their data; the journal is kept so long."""
    units = {"inflow": "m3/h", "valve": "1", "level": "m", "outflow": "m3/h"}
    raw: dict[str, Any] = {
        "plant": {"name": "farm", "lateness": "2min", "clock": {"kind": "data"}},
        "journal": journal or {},
        "history": {"journal": keep},
        "interface": {"Tank": {"telemetry": {n: {"unit": unit} for n, unit in units.items()}}},
        "twin": [{"id": twin, "interface": "Tank"} for twin in ("t1", "t2")],
        "binding": [
            {
                "name": "tank",
                "kernel": "gemel.kernels.library.tank:Tank",
                "interface": "Tank",
                "every": "1min",
                "ports": {"opening": "valve", "gauge": "level"},
            }
        ],
    }
    return compile_plan(read_plant(raw), Path())


class Farm:
    """The loop of a plant, turned by hand; an `hour` is a tick and a snapshot."""

    def __init__(self, plan: Plan, data: Path) -> None:
        self.plan, self.data, self.hours = plan, data, 0
        self.open()

    def open(self) -> None:
        self.clock = ManualClock(self.at)
        self.journal = open_journal(self.plan, self.data)
        self.ledger = Ledger(f"sqlite:///{self.data / 'ledger.db'}")
        self.lake, self.snapshots = Lake(self.data / "lake"), Snapshots(self.data / "snapshots")
        stores = self.journal, self.ledger, self.lake, self.snapshots
        self.loop = Loop(self.plan, *stores, self.clock, {}, lambda *told: None)
        self.turn()

    @property
    def at(self) -> int:
        return START + self.hours * 60 * MINUTE

    def hour(self, secret: bool = False) -> None:
        self.hours += 1
        rows = [
            (twin, signal, self.at - k * MINUTE, value, "")
            for k in range(40, 0, -1)
            for twin in ("t1", "t2")
            for signal, value in (("inflow", 20.0), ("valve", 0.4), ("level", 1.0 + k / 100))
        ]
        if secret:
            rows = [row for row in rows if row[:3] != ("t1", "level", self.at - MINUTE)]
            rows.append(("t1", "level", self.at - MINUTE, SECRET, ""))
            rows.append(("t1", "level", self.at - MINUTE, SECRET, "degC"))  # refused: a wrong unit
        batch = Entry("batch", "http", self.at, f"{self.hours}", Batch.of(rows))
        self.journal.append([batch])
        self.turn()

    def erase(self, twin: str, before: int) -> None:
        body = {"name": "erasure", "twin": twin, "before": before, "by": "eva", "why": "asked for"}
        self.journal.append([Entry("event", "person", self.at + SECOND, body=body)])

    def turn(self) -> None:
        while self.loop.step():
            pass
        self.loop.keep()

    def round(self) -> list[str]:
        return list(self.loop.upkeep.round(self.at))

    def close(self) -> None:
        self.loop.keep()
        self.journal.close()
        self.ledger.close()

    def verify(self) -> dict[str, Any]:
        return verify(self.plan, self.journal, self.ledger, self.snapshots)

    def told(self) -> list[Any]:
        fleet = self.loop.memory.fleets["tank"].estimate
        return [fleet.instant.tolist(), fleet.mean.tolist(), fleet.cov.tolist()]


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# ---- the journal --------------------------------------------------------------------------------


@pytest.mark.parametrize("large", [1, 1 << 16])
@pytest.mark.parametrize("rows", [3, 300])
def test_what_is_erased_of_a_journal_is_no_more_among_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, large: int
) -> None:
    monkeypatch.setattr(journalfile, "LARGE", large)
    journal = SqliteJournal(tmp_path / "journal.db")
    mine = [("t1", "x", k, SECRET + k, "") for k in range(rows)]
    other = [("t2", "x", k, 7.0, "") for k in range(rows)]
    letter = {"code": "c", "message": "t1 said ?", "head": f"t1 {SECRET}", "size": 9}
    journal.append([Entry("batch", "s", 1, "1", Batch.of(mine + other), {"redrive": {"by": "me"}})])
    journal.append([Entry("dead", "s", 2, body=letter), Entry("event", "s", 3)])
    journal.append([Entry("batch", "s", 4, batch=Batch.of(mine))])
    written = struct.pack("<d", SECRET) if rows > 100 else str(SECRET).encode()
    assert written in bytes_of(tmp_path)
    erased = journal.erase("t1", rows, until=3, held=4)
    assert erased is not None and (erased.samples, erased.entries, erased.letters) == (rows, 2, 1)
    first, dead, event, later = journal.read(0)
    assert first.batch is not None and first.batch.twin.tolist() == ["t2"] * rows
    assert first.body == {"redrive": {"by": "me"}, "erased": rows} and first.position == "1"
    assert dead.body == {"code": "c", "size": 9, "erased": 1} and event.body == {}
    assert later.batch is not None and len(later.batch) == rows  # told after the erasure
    assert journal.erase("t1", rows, until=3, held=4) == type(erased)(0, 0, 0, erased.how)
    journal.erase("t1", rows, until=4, held=4)
    assert written not in bytes_of(tmp_path) and str(SECRET).encode() not in bytes_of(tmp_path)
    assert [len(e.batch) for e in journal.read(0) if e.batch is not None] == [rows, 0]
    journal.close()


@pytest.mark.parametrize("large", [1, 1 << 16])
def test_what_is_forgotten_leaves_no_bytes_and_appends_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(journalfile, "LARGE", large)
    journal = SqliteJournal(tmp_path / "journal.db")
    batch = Batch.of([("t1", "x", 1, SECRET, "")])
    for k in range(50):
        journal.append([Entry("batch", "s", k, str(k), batch if k < 40 else None)])
    assert journal.forget(41) == 41 and journal.append([Entry("event", "s", 1)]) == [51]
    journal._fold()
    assert str(SECRET).encode() not in bytes_of(tmp_path)
    journal.close()


# ---- the memory ---------------------------------------------------------------------------------


def test_after_an_erasure_no_sample_of_the_twin_is_in_memory_and_it_replays() -> None:
    entries = sent([0] * len(SAMPLES))
    until = START + 28 * MINUTE
    body = {"name": "erasure", "twin": "t1", "before": until, "by": "me", "why": "asked"}
    cut = len(entries) - 2
    erasure = Entry("event", "person", entries[cut].received_at, body=body)
    entries.insert(cut + 1, erasure)
    memory = begin(PLAN)
    tick(PLAN, memory, entries[: cut + 1])
    values = {v for t, _, at, v, _ in SAMPLES if t == "t1" and at < until}
    values -= {v for t, _, at, v, _ in SAMPLES if t != "t1" or at >= until}

    def held() -> set[float]:
        arrays, _ = pack(PLAN, memory)
        parts = [a for name, a in arrays.items() if a.dtype == np.float64 and ".p" not in name]
        return values & {v for part in parts for v in np.asarray(part).reshape(-1).tolist()}

    assert held()
    tick(PLAN, memory, [erasure])
    assert not held()
    again = unpack(PLAN, *pack(PLAN, memory))
    rest = entries[cut + 2 :] + [Entry("beat", "clock", START + 7200 * SECOND)]
    assert tick(PLAN, memory, rest).digest == tick(PLAN, again, rest).digest
    slot = PLAN.rules.index["t2", "level"]
    assert memory.quality.instant[slot] > 0
    assert all(isinstance(samples, Samples) for samples in memory.recent)


# ---- the plant ----------------------------------------------------------------------------------


def journal_is_whole(journal: Journal) -> None:
    first, last = journal.first(), journal.last()
    assert [e.sequence for e in journal.read(first - 1, last)] == list(range(first, last + 1))


def test_old_entries_go_and_the_rest_replays_from_a_kept_snapshot(tmp_path: Path) -> None:
    farm = Farm(plant(keep="4h"), tmp_path)
    for _ in range(12):
        farm.hour()
        farm.round()
    assert farm.journal.first() > 1 and farm.journal.position("http") == "12"
    journal_is_whole(farm.journal)
    at = {row.tick: row.at for row in farm.ledger.rows()}
    pins = farm.snapshots.pins()
    assert 4 <= len(pins) <= 7
    assert at[pins[-1]] <= farm.at - 4 * 60 * MINUTE < at[pins[-2]]
    told = farm.verify()
    assert told["skipped"] == [{"from": 1, "to": pins[-1], "why": FORGOTTEN}]
    assert told["rows"] >= 4
    before = farm.told()
    farm.close()
    for path in (tmp_path / "snapshots").rglob("*.snapshot"):
        if path.stem not in [str(tick) for tick in pins[1:]]:
            path.write_bytes(b"damaged")  # of those that are left only older ones serve
    farm.open()
    assert farm.told() == before
    farm.hour()
    assert farm.verify()["same"]
    farm.close()


def an_erasure(farm: Farm) -> dict[str, Any]:
    """Of a secret of the second hour, in the third; the receipt."""
    farm.hour()
    farm.hour(secret=True)
    before = farm.at
    farm.hour()
    assert farm.verify()["skipped"] == []
    farm.erase("t1", before)
    for _ in range(3):
        farm.turn()
        farm.round()
    (receipt,) = farm.ledger.receipts()
    detail: dict[str, Any] = receipt["detail"]
    assert (detail["by"], detail["why"], detail["before"]) == ("eva", "asked for", before)
    assert farm.ledger.audit_break() is None
    assert detail["ledger"] == {"records": 2}
    assert farm.snapshots.ticks()[-1] >= detail["tick"]
    journal_is_whole(farm.journal)
    return detail


def test_an_erasure_is_whole_and_replay_says_what_it_cannot_run(tmp_path: Path) -> None:
    farm = Farm(plant(), tmp_path)
    receipt = an_erasure(farm)
    assert receipt["journal"]["entries"] == 2 and receipt["journal"]["samples"] == 241
    kept = bytes_of(tmp_path)
    assert struct.pack("<d", SECRET) not in kept and repr(SECRET).encode() not in kept
    assert farm.ledger.dead_letters()[0].keys() == {
        *("source", "fate", "code", "at", "sequence", "erased")
    }
    first, last = farm.verify()["skipped"][0]["from"], farm.snapshots.pins()[0]
    assert farm.verify()["skipped"] == [{"from": first, "to": last, "why": ERASED}]
    farm.hour()
    farm.close()
    farm.open()
    farm.hour()
    proof = farm.verify()
    assert proof["rows"] >= 2 and proof["skipped"] == [{"from": first, "to": last, "why": ERASED}]
    farm.close()


@pytest.mark.kafka
def test_on_a_topic_an_erasure_lets_go_of_all_before_it_and_the_receipt_says_how(
    kafka: Kafka, tmp_path: Path
) -> None:
    journal = {"kind": "kafka", "brokers": kafka.bootstrap, "topic": "erased"}
    farm = Farm(plant(journal), tmp_path)
    receipt = an_erasure(farm)
    assert receipt["journal"]["samples"] == 0 and "segment.ms" in receipt["journal"]["how"]
    assert all(
        entry.batch is None or SECRET not in entry.batch.value
        for entry in farm.journal.read(farm.journal.first() - 1, 1000)
    )
    skipped = farm.verify()["skipped"]
    assert [part["why"] for part in skipped] == [FORGOTTEN]
    farm.hour()
    farm.close()
    farm.open()
    farm.hour()
    assert farm.journal.position("http") == "5"
    proof = farm.verify()
    assert proof["rows"] >= 2 and proof["skipped"] == skipped
    farm.close()


def test_a_ledger_of_another_journal_is_refused(tmp_path: Path) -> None:
    farm = Farm(plant(), tmp_path)
    farm.hour()
    farm.close()
    for path in tmp_path.glob("journal.db*"):
        path.unlink()
    with pytest.raises(Conflict) as told:
        farm.open()
    assert told.value.code == "journal.behind"


def test_a_pin_is_a_snapshot_that_stays(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    for k in range(1, 8):
        snapshots.save(k, {"x": np.full(3, k)}, {})
        assert k % 3 or snapshots.pin(k)
    assert not snapshots.pin(1)
    assert (snapshots.ticks(), snapshots.pins()) == ([7, 6, 5], [6, 3])
    found = (
        snapshots.latest(not_after=4),
        snapshots.after(4),
        snapshots.after(6),
        snapshots.after(8),
    )
    assert [one and one[0] for one in found] == [3, 5, 6, None]
    assert snapshots.drop(6, only_pins=True) == 1 and snapshots.pins() == [6]
    assert snapshots.drop(7) == 2 and snapshots.ticks() == [7]
