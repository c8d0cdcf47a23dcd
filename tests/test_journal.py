"""The journal: durable, in order, shared by many callers, exact."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel import hooks
from gemel.errors import GemelError
from gemel.records import Batch, Entry
from gemel.store import batchlog, journalfile
from gemel.store.batches import SMALL, decode, encode
from gemel.store.journal import Journal
from gemel.store.journalfile import SqliteJournal
from gemel.testing import journal_checks

WRITER = """
import sys
from pathlib import Path
from gemel.records import Batch, Entry
from gemel.store import batchlog, journalfile
journalfile.LARGE, batchlog.ROLL = int(sys.argv[2]), 20_000
journal = journalfile.SqliteJournal(Path(sys.argv[1]))
number = journal.last()
while True:
    batch = Batch.of([("a", "x", 1, 2.0, "")] * 90)
    pair = [Entry("batch", "s", number + k, str(number + k), batch) for k in (1, 2)]
    number = journal.append(pair)[-1]
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""
FULL = """
import resource, sys
from pathlib import Path
from gemel.errors import Unavailable
from gemel.records import Batch, Entry
from gemel.store.journalfile import SqliteJournal
journal = SqliteJournal(Path(sys.argv[1]))
journal.append([Entry("event", "s", 1)])
large = Entry("batch", "s", 2, batch=Batch.of([(str(k), "x", k, k / 3, "") for k in range(20_000)]))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
for entries in [Entry("event", "s", 2, body={"text": "x" * 1000})] * 1000, [large]:
    try:
        journal.append(entries)
    except Unavailable as error:
        sys.stdout.write(error.code + " ")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert journal.last() == 1 and len(journal.read(0)) == 1
assert journal.append([Entry("event", "s", 3), large]) == [2, 3]
assert journal.read(2)[0].batch.value.tolist() == large.batch.value.tolist()
journal.close()
"""


def entry(number: int, source: str = "s", position: str = "") -> Entry:
    return Entry("event", source, number, position, body={"number": number})


@pytest.fixture(params=["inside", "apart"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where batches lie: in the database, or each in files beside it, a few to a file."""
    if request.param == "apart":
        monkeypatch.setattr(journalfile, "LARGE", 1)
        monkeypatch.setattr(batchlog, "ROLL", 3_000)


@pytest.fixture
def journal(tmp_path: Path):
    journal = SqliteJournal(tmp_path / "journal.db")
    yield journal
    journal.close()


def test_the_journal_keeps_its_promises(tmp_path: Path, where: None) -> None:
    journal_checks(lambda: SqliteJournal(tmp_path / "journal.db"))


def test_entries_come_back_in_order_with_their_sequence(journal: Journal) -> None:
    assert journal.append([entry(1), entry(2)]) == [1, 2]
    assert journal.append([]) == []
    assert journal.append([entry(3)]) == [3]
    assert [(e.sequence, e.body["number"]) for e in journal.read(after=1)] == [(2, 2), (3, 3)]
    assert len(journal.read(after=0, limit=2)) == 2
    assert journal.last() == 3


def test_a_journal_goes_on_where_it_was_closed(tmp_path: Path) -> None:
    first = SqliteJournal(tmp_path / "journal.db")
    first.append([entry(1)])
    first.close()
    again = SqliteJournal(tmp_path / "journal.db")
    assert again.append([entry(2)]) == [2]
    again.close()


def test_the_position_of_a_source_is_the_last_one_it_gave(journal: Journal) -> None:
    journal.append([entry(1, "a", "10"), entry(2, "b", "7"), entry(3, "a", "11"), entry(4, "a")])
    assert (journal.position("a"), journal.position("b"), journal.position("c")) == ("11", "7", "")


samples = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "ü"]),
        st.sampled_from(["x", "y"]),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(width=64),
        st.sampled_from(["", "degC"]),
    ),
    max_size=5,
)


@given(rows=samples, times=st.sampled_from([1, 40]))
def test_a_batch_comes_back_exactly_small_or_large(
    rows: list[tuple[str, str, int, float, str]], times: int
) -> None:
    batch = Batch.of(rows * times)
    back = decode(bytes(encode(batch)))
    for name in ("twin", "signal", "instant", "unit"):
        assert getattr(back, name).tolist() == getattr(batch, name).tolist()
    np.testing.assert_array_equal(back.value, batch.value)
    assert back.instant.dtype == np.int64 and back.value.dtype == np.float64


@given(
    twins=st.integers(1, 60),
    wide=st.integers(1, 5),
    units=st.lists(st.sampled_from(["", "degC"]), min_size=5, max_size=5),
    instants=st.sampled_from([1, 2, 60]),
    other=st.sampled_from(["", "twin", "signal", "instant", "unit"]),
    place=st.integers(0, 10**6),
)
def test_a_wide_batch_comes_back_exactly_and_is_told_from_what_is_almost_one(
    twins: int, wide: int, units: list[str], instants: int, other: str, place: int
) -> None:
    rows = [
        [f"t{k}", f"s{n}", k % instants, k + n / 8, units[n]]
        for k in range(twins)
        for n in range(wide)
    ] * (1 + SMALL // (twins * wide))
    if other:  # one cell is not like the rest of its row or column
        column = ["twin", "signal", "instant", "value", "unit"].index(other)
        rows[place % len(rows)] = list(rows[place % len(rows)])
        rows[place % len(rows)][column] = 7 if other == "instant" else "other"
    batch = Batch.of([tuple(row) for row in rows])
    back = decode(bytes(encode(batch)))
    for name in ("twin", "signal", "instant", "value", "unit"):
        assert getattr(back, name).tolist() == getattr(batch, name).tolist()


def test_of_a_wide_batch_names_are_written_once() -> None:
    one = Batch.of([("a", f"s{n}", 7, 1.0, "") for n in range(4)])
    many = Batch.joined([one] * 1_000)
    assert len(encode(many)) < 4_000 * 8 + 2_000


def test_concurrent_callers_share_commits_and_each_call_stays_together(journal: Journal) -> None:
    commits: list[str] = []
    hooks.set_callback(commits.append)
    got: list[list[int]] = []

    def work() -> None:
        for number in range(40):
            got.append(journal.append([entry(number)] * 3))

    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    finally:
        hooks.set_callback(None)
    assert all(call == list(range(call[0], call[0] + 3)) for call in got)
    assert sorted(n for call in got for n in call) == list(range(1, 8 * 40 * 3 + 1))
    assert 0 < commits.count("journal.after_commit") < 8 * 40


def test_waiting_ends_when_an_entry_comes_or_the_time_is_over(journal: Journal) -> None:
    assert not journal.wait(after=0, timeout=0.01)
    threading.Timer(0.05, journal.append, [[entry(1)]]).start()
    assert journal.wait(after=0, timeout=10)


def test_what_has_no_form_as_bytes_is_refused_and_stops_nobody_else(journal: Journal) -> None:
    bad = Batch.of([("\ud800", "x", 1, 1.0, "")] * 100)
    for wrong in (Entry("batch", "s", 1, batch=bad), Entry("event", "s", 1, body={"at": object()})):
        with pytest.raises(GemelError) as told:
            journal.append([entry(1), wrong])
        assert told.value.code == "journal.entry"
    assert journal.append([entry(1)]) == [1]


def test_a_failed_commit_leaves_nothing_and_the_next_one_works(journal: Journal) -> None:
    def stop(point: str) -> None:
        if point == "journal.before_commit":
            raise KeyboardInterrupt

    hooks.set_callback(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            journal.append([entry(1)])
    finally:
        hooks.set_callback(None)
    assert journal.last() == 0 and journal.read(0) == []
    assert journal.append([entry(2)]) == [1]


def test_a_closed_journal_is_unavailable_with_a_mend(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.close()
    journal.close()
    for call in (lambda: journal.append([entry(1)]), lambda: journal.read(0)):
        with pytest.raises(GemelError) as told:
            call()
        assert told.value.code == "journal.closed" and told.value.mend


def test_a_full_disk_keeps_nothing_of_the_call_and_the_journal_lives_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "journal.db")], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "journal.unwritable " * 2), done.stderr


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(GemelError) as told:
        SqliteJournal(tmp_path / "journal.db")
    assert told.value.code == "journal.damaged"


def test_the_write_ahead_log_is_folded_into_the_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("gemel.store.journalfile.CHECKPOINT", 100_000)
    journal = SqliteJournal(tmp_path / "journal.db")
    for number in range(100):
        journal.append([entry(number)])
    assert (tmp_path / "journal.db-wal").stat().st_size < 400_000
    journal.close()


@pytest.mark.parametrize("large", [1, 1 << 16])
@pytest.mark.parametrize("lines", [1, 7, 30])
def test_kill_minus_nine_loses_nothing_acknowledged_and_tears_no_call(
    tmp_path: Path, lines: int, large: int
) -> None:
    path = tmp_path / "journal.db"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(large)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(lines)]
    os.kill(writer.pid, signal.SIGKILL)
    rest, _ = writer.communicate()
    acknowledged += [int(line) for line in rest.split("\n")[:-1]]
    journal = SqliteJournal(path)
    last = journal.last()
    assert last >= acknowledged[-1] and last % 2 == 0
    read = journal.read(0, limit=10**6)
    assert [e.sequence for e in read] == [e.received_at for e in read] == list(range(1, last + 1))
    assert all(len(e.batch or ()) == 90 for e in read)
    assert journal.position("s") == str(last)
    journal.close()


# ---- batches that lie apart ---------------------------------------------------------------------


def batch(number: int, rows: int = 100) -> Entry:
    return Entry(
        "batch", "s", number, batch=Batch.of([("a", "x", k, number, "") for k in range(rows)])
    )


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journalfile, "LARGE", 1_000)
    monkeypatch.setattr(batchlog, "ROLL", 4_000)


def values(journal: Journal) -> list[float]:
    return [e.batch.value[0] for e in journal.read(journal.first() - 1) if e.batch is not None]


def logs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "journal.batches").iterdir())


def test_large_batches_lie_beside_the_database_and_small_ones_in_it(
    tmp_path: Path, apart: None
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    assert journal.append([batch(1), batch(2, rows=2), batch(3)]) == [1, 2, 3]
    for number in range(4, 9):
        journal.append([batch(number)])
    journal.close()
    assert len(logs(tmp_path)) > 1 and (tmp_path / "journal.db").stat().st_size < 50_000
    again = SqliteJournal(tmp_path / "journal.db")
    assert values(again) == list(range(1, 9))
    again.close()


@pytest.mark.parametrize("point", ["journal.after_log", "journal.before_commit"])
def test_what_no_transaction_tells_of_is_no_part_of_it_and_leaves_no_bytes(
    tmp_path: Path, apart: None, point: str
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.append([batch(1)])

    def stop(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    hooks.set_callback(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            journal.append([batch(2)])
    finally:
        hooks.set_callback(None)
    assert sum(path.stat().st_size for path in logs(tmp_path)) == len(encode_of(1))
    assert journal.append([batch(3)]) == [2] and values(journal) == [1, 3]
    journal.close()


def encode_of(number: int) -> bytes:
    told = batch(number).batch
    assert told is not None
    return bytes(encode(told))


def test_a_torn_end_is_cut_off_by_the_next_writer(tmp_path: Path, apart: None) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.append([batch(1)])
    journal.close()
    with logs(tmp_path)[0].open("ab") as file:
        file.write(encode_of(2)[:700])  # killed before its transaction
    (tmp_path / "journal.batches" / "000000009").write_bytes(b"torn")
    again = SqliteJournal(tmp_path / "journal.db")
    again.claim()
    assert [path.stat().st_size for path in logs(tmp_path)] == [len(encode_of(1))]
    assert again.append([batch(3)]) == [2] and values(again) == [1, 3]
    again.close()


@pytest.mark.parametrize("harm", ["changed", "short", "gone"])
def test_a_damaged_file_of_batches_is_told(tmp_path: Path, apart: None, harm: str) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.append([batch(1)])
    journal.close()
    log = logs(tmp_path)[0]
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    if harm == "gone":
        log.unlink()
    else:
        log.write_bytes(data if harm == "changed" else data[:-1])
    again = SqliteJournal(tmp_path / "journal.db")
    with pytest.raises(GemelError) as told:
        again.read(0)
    assert told.value.code == "journal.damaged" and "entry 1" in str(told.value)
    again.close()


def test_a_writer_whose_time_is_over_leaves_the_other_s_batches_alone(
    tmp_path: Path, apart: None
) -> None:
    first, second = (SqliteJournal(tmp_path / "journal.db") for _ in range(2))
    first.append([batch(1)])
    second.claim()
    assert second.append([batch(2)]) == [2]
    with pytest.raises(GemelError) as told:
        first.append([batch(9)])
    assert told.value.code == "journal.fenced"
    assert second.append([batch(3)]) == [3] and values(second) == [1, 2, 3]
    first.close()
    second.close()


def test_forgotten_files_are_gone_and_of_the_rest_what_is_forgotten(
    tmp_path: Path, apart: None
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    for number in range(1, 9):
        journal.append([batch(number)])
    before = len(logs(tmp_path))
    assert journal.forget(6) == 6 and values(journal) == [6, 7, 8]
    assert len(logs(tmp_path)) < before
    left = b"".join(path.read_bytes() for path in logs(tmp_path))
    assert not any(np.float64(number).tobytes() * 9 in left for number in range(1, 6))
    assert np.float64(6).tobytes() * 9 in left
    assert journal.append([batch(9)]) == [9] and values(journal) == [6, 7, 8, 9]
    journal.close()


def test_an_erasure_that_was_killed_is_finished_by_the_next_writer(
    tmp_path: Path, apart: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.append([batch(1)])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batchlog.BatchLog, "wipe", killed)
        with pytest.raises(KeyboardInterrupt):
            journal.erase("a", 1000, until=1, held=1)
    journal.close()
    assert np.float64(1).tobytes() * 9 in logs(tmp_path)[0].read_bytes()
    again = SqliteJournal(tmp_path / "journal.db")
    assert again.read(0)[0].batch is not None and len(again.read(0)[0].batch) == 0
    again.claim()
    assert np.float64(1).tobytes() * 9 not in logs(tmp_path)[0].read_bytes()
    again.close()


def test_a_reader_beside_an_erasure_reads_what_is_there_now(
    tmp_path: Path, apart: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the entry and at the file, the batch is erased and its place wiped."""
    journal, reader = (SqliteJournal(tmp_path / "journal.db") for _ in range(2))
    journal.append([batch(1), batch(2)])
    own = batchlog.BatchLog.read

    def late(log: batchlog.BatchLog, spot: batchlog.Spot) -> bytes | None:
        monkeypatch.setattr(batchlog.BatchLog, "read", own)
        journal.erase("a", 50, until=1, held=2)
        return own(log, spot)

    monkeypatch.setattr(batchlog.BatchLog, "read", late)
    assert [len(e.batch) for e in reader.read(0) if e.batch is not None] == [50, 100]
    journal.close()
    reader.close()


class Faulty:
    """A connection whose next commit raises: once it is done, or instead of it."""

    def __init__(self, base: sqlite3.Connection, done: bool) -> None:
        self.base, self.done, self.waiting = base, done, True

    def execute(self, query: str, *values: Any) -> Any:
        if query == "COMMIT" and self.waiting:
            self.waiting = False
            if self.done:
                self.base.execute(query)
            raise sqlite3.OperationalError("disk I/O error")
        return self.base.execute(query, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)


@pytest.mark.parametrize("done", [True, False])
def test_a_commit_that_fails_damages_nothing_whether_it_was_done_or_not(
    tmp_path: Path, apart: None, done: bool
) -> None:
    """SQLite may find a commit again, when it is next opened, of which it said that it failed."""
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.append([batch(1)])
    journal._writer = Faulty(journal._writer, done)  # type: ignore[assignment]
    with pytest.raises(GemelError) as told:
        journal.append([batch(2)])
    assert told.value.code == "journal.unwritable"
    died = SqliteJournal(tmp_path / "journal.db")  # what who starts now would find
    assert values(died) == ([1, 2] if done else [1])
    died.close()
    for number in (3, 4):
        journal.append([batch(number)])
    wanted = [1, 2, 3, 4] if done else [1, 3, 4]
    assert values(journal) == wanted
    journal.close()
    again = SqliteJournal(tmp_path / "journal.db")
    assert values(again) == wanted
    again.close()
    size = sum(path.stat().st_size for path in logs(tmp_path))
    assert size == sum(len(encode_of(number)) for number in wanted)


def test_a_full_disk_leaves_no_bytes_of_what_it_refused(
    tmp_path: Path, apart: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for kept in range(3):  # the first of a file, and one after another
        with monkeypatch.context() as patch:
            patch.setattr("os.fdatasync", full)
            with pytest.raises(GemelError) as told:
                journal.append([batch(9)])
        assert told.value.code == "journal.unwritable"
        size = sum(path.stat().st_size for path in logs(tmp_path))
        assert size == sum(len(encode_of(number)) for number in range(kept))
        batchlog.BatchLog(tmp_path / "journal.batches").keep(  # a claim that then failed
            dict(journal._ask("SELECT number, size FROM log"))
        )
        journal.append([batch(kept)])
    journal.close()
    again = SqliteJournal(tmp_path / "journal.db")
    assert values(again) == [0, 1, 2]
    again.close()


@pytest.mark.parametrize("what", ["wipe", "drop"])
def test_a_disk_that_refuses_to_forget_is_told_and_the_next_round_does_it(
    tmp_path: Path, apart: None, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    for number in range(1, 9):
        journal.append([batch(number)])

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(batchlog.BatchLog, what, refuse)
        with pytest.raises(GemelError) as told:
            journal.forget(6)
    assert told.value.code == "journal.unwritable"
    assert journal.forget(6) == 6 and values(journal) == [6, 7, 8]
    left = b"".join(path.read_bytes() for path in logs(tmp_path))
    assert not any(np.float64(number).tobytes() * 9 in left for number in range(1, 6))
    journal.close()


def test_what_cannot_be_opened_now_is_not_called_damaged(
    tmp_path: Path, apart: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.append([batch(1)])
    reader = SqliteJournal(tmp_path / "journal.db")

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(batchlog.BatchLog, "read", refuse)
        with pytest.raises(GemelError) as told:
            reader.read(0)
    assert told.value.code == "journal.unreadable"
    assert values(reader) == [1]
    reader.close()
    journal.close()


def test_a_reader_beside_retention_is_told_what_is_gone_and_reads_no_holes(
    tmp_path: Path, apart: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, reader = (SqliteJournal(tmp_path / "journal.db") for _ in range(2))
    for number in range(1, 7):
        journal.append([batch(number), entry(number)])
    own = batchlog.BatchLog.read

    def late(log: batchlog.BatchLog, spot: batchlog.Spot) -> bytes | None:
        monkeypatch.setattr(batchlog.BatchLog, "read", own)
        journal.forget(6)
        return own(log, spot)

    monkeypatch.setattr(batchlog.BatchLog, "read", late)
    with pytest.raises(GemelError) as told:
        reader.read(0)
    assert told.value.code == "journal.gone"
    assert [e.sequence for e in reader.read(5)] == list(range(6, 13))
    journal.close()
    reader.close()
