"""Folders and Delta tables as sources: what is there, and what comes, each row once."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from gemel.clock import ManualClock, WallClock, parse_instant
from gemel.connect import deltas, folders
from gemel.connect.deltas import DeltaSource
from gemel.connect.folders import FolderSource
from gemel.errors import GemelError
from gemel.records import Entry
from gemel.testing import source_checks

START = parse_instant("2026-03-01T12:00:00Z")
SECOND = 10**9


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LOOK", 0.05)
    monkeypatch.setattr(deltas, "LOOK", 0.05)


def rows(values: Sequence[float], at: int = 0, twin: str = "b1") -> pa.Table:
    time = START + (at + np.arange(len(values))) * SECOND
    return pa.table(
        {
            "twin": pa.array([twin] * len(values), pa.string()),
            "time": pa.array(time, pa.timestamp("ns", "UTC")).cast(pa.timestamp("us", "UTC")),
            "speed": pa.array(values, pa.float64()),
        }
    )


def csv(folder: Path, name: str, values: Sequence[float], at: int = 0, twin: str = "b1") -> Path:
    """Written under another name and renamed, as one should."""
    lines = ["time,speed"] if not twin else ["twin,time,speed"]
    for k, value in enumerate(values):
        second = f"2026-03-01T12:{(at + k) // 60:02d}:{(at + k) % 60:02d}Z"
        lines.append(",".join([*([twin] if twin else []), second, str(value)]))
    part = folder / f".{name.replace('/', '-')}"
    part.write_text("\n".join(lines) + "\n")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return part.rename(folder / name)


def whole(source: Any, position: str = "") -> list[Entry]:
    """What a replay delivers, which ends."""
    entries: list[Entry] = []
    source.run(entries.extend, position, ManualClock(), threading.Event())
    return entries


@contextmanager
def running(source: Any, position: str = "") -> Iterator[Callable[[int], list[float]]]:
    """The source, as a plant at the wall's clock runs it; gives the values once so many are in."""
    entries: list[Entry] = []
    stop, more = threading.Event(), threading.Condition()

    def deliver(some: list[Entry]) -> None:
        with more:
            entries.extend(some)
            more.notify_all()

    def come(count: int) -> list[float]:
        with more:
            assert more.wait_for(lambda: len(values(entries)) >= count, 20.0), values(entries)
            return values(entries)

    given = (deliver, position, WallClock(), stop)
    thread = threading.Thread(target=source.run, args=given, daemon=True)
    thread.start()
    try:
        yield come
    finally:
        stop.set()
        thread.join(20.0)
        assert not thread.is_alive()


def values(entries: Sequence[Entry]) -> list[float]:
    return [v for e in entries if e.batch is not None for v in e.batch.value.tolist()]


def twins(entries: Sequence[Entry]) -> list[str]:
    return [t for e in entries if e.batch is not None for t in e.batch.twin.tolist()]


def letters(entries: Sequence[Entry]) -> list[str]:
    return [str(entry.body["code"]) for entry in entries if entry.kind == "dead"]


# ---- a folder -----------------------------------------------------------------------------------


def test_a_folder_is_read_in_the_order_of_names_then_what_comes(tmp_path: Path) -> None:
    csv(tmp_path, "2.csv", [3, 4], at=2)
    csv(tmp_path, "1.csv", [1, 2])
    (tmp_path / "notes.txt").write_text("not ours")
    with running(FolderSource("hall", tmp_path, "csv", settle=0.1)) as come:
        assert come(4) == [1, 2, 3, 4]
        csv(tmp_path, "0.csv", [5], at=4)  # before those already read, by its name
        assert come(5) == [1, 2, 3, 4, 5]
        csv(tmp_path, "3.csv", [6], at=5)
        assert come(6) == [1, 2, 3, 4, 5, 6]


def test_what_comes_while_gemel_is_away_is_read_whatever_its_name(tmp_path: Path) -> None:
    csv(tmp_path, "b.csv", [1, 2])
    before = whole(FolderSource("hall", tmp_path, "csv"))
    os.utime(csv(tmp_path, "a.csv", [3], at=3), (1.0, 1.0))  # as a copy that keeps its old date
    after = whole(FolderSource("hall", tmp_path, "csv"), before[-1].position)
    assert (values(before), values(after)) == ([1, 2], [3])


def test_a_kill_between_two_entries_of_a_file_goes_on_there(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        csv(tmp_path, name, range(5), at=10 * (name == "b.csv"))
    entries = whole(FolderSource("hall", tmp_path, "csv", span=1.0))
    assert len(entries) > 4 and values(entries) == [*range(5), *range(5)]
    for k, entry in enumerate(entries):
        rest = whole(FolderSource("hall", tmp_path, "csv", span=1.0), entry.position)
        assert values(entries[: k + 1]) + values(rest) == values(entries)


def test_a_file_that_is_still_written_is_left_until_it_is_still(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("twin,time,speed\nb1,2026-03-01T12:00:00Z,1\n")
    with running(FolderSource("hall", tmp_path, "csv", settle=0.6)) as come:
        for k in range(1, 6):  # longer than it must be still
            threading.Event().wait(0.2)
            with path.open("a") as file:
                file.write(f"b1,2026-03-01T12:00:0{k}Z,{k + 1}\n")
        assert come(6) == [1, 2, 3, 4, 5, 6]


def test_names_tell_the_twin_and_folders_lie_in_folders(tmp_path: Path) -> None:
    csv(tmp_path, "2026/press-1_a.csv", [1], twin="")
    csv(tmp_path, "2026/02/press-2_a.csv", [2], twin="")
    csv(tmp_path, "2026/other.csv", [9], twin="")
    found = whole(FolderSource("hall", tmp_path, "csv", "**/{twin}_*.csv"))
    assert sorted(zip(twins(found), values(found), strict=True)) == [("press-1", 1), ("press-2", 2)]
    with pytest.raises(GemelError) as told:
        FolderSource("hall", tmp_path, "csv", "{day}.csv")
    assert told.value.code == "file.pattern" and "{twin}" in told.value.mend


def test_a_file_that_cannot_be_read_is_one_dead_letter_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 torn")
    pq.write_table(rows([1.0, 2.0]), tmp_path / "b.parquet")
    pq.write_table(rows([3.0]).drop_columns(["time"]), tmp_path / "c.parquet")
    found = whole(FolderSource("hall", tmp_path, "parquet"))
    assert letters(found) == ["file.unreadable", "file.columns"] and values(found) == [1, 2]
    assert not whole(FolderSource("hall", tmp_path, "parquet"), found[-1].position)
    again = whole(FolderSource("hall", tmp_path, "parquet"), found[0].position)
    assert (letters(again), values(again)) == (["file.columns"], [1, 2])
    pq.write_table(rows([4.0], at=9), tmp_path / "a.parquet")  # mended
    mended = whole(FolderSource("hall", tmp_path, "parquet"), found[-1].position)
    assert values(mended) == [4]


def test_a_folder_that_is_away_is_waited_for_and_nothing_of_it_is_missed(tmp_path: Path) -> None:
    drops, away = tmp_path / "drops", tmp_path / "away"
    drops.mkdir()
    csv(drops, "a.csv", [1])
    with running(FolderSource("hall", drops, "csv", settle=0.1)) as come:
        assert come(1) == [1]
        drops.rename(away)
        csv(away, "b.csv", [2], at=1)
        threading.Event().wait(0.5)
        away.rename(drops)
        csv(drops, "c.csv", [3], at=2)
        assert sorted(come(3)) == [1, 2, 3]


def test_a_start_in_mid_round_while_the_folder_is_away_misses_nothing(tmp_path: Path) -> None:
    drops, away = tmp_path / "drops", tmp_path / "away"
    drops.mkdir()
    for k, name in enumerate(("a.csv", "b.csv")):
        csv(drops, name, [k], at=k)
    first = whole(FolderSource("hall", drops, "csv"))[0]  # killed after it: b.csv is of its round
    source = FolderSource("hall", drops, "csv", settle=0.1)
    drops.rename(away)
    with running(source, first.position) as come:
        threading.Event().wait(0.3)
        away.rename(drops)
        assert come(1) == [1]


def test_a_folder_that_is_renamed_into_it_is_read(tmp_path: Path) -> None:
    csv(tmp_path, "a.csv", [1])
    hidden = tmp_path / ".day"
    hidden.mkdir()
    with running(FolderSource("hall", tmp_path, "csv", "**/*.csv", settle=0.1)) as come:
        assert come(1) == [1]
        csv(hidden, "b.csv", [2], at=1)
        threading.Event().wait(0.5)
        csv(tmp_path, "c.csv", [3], at=2)
        assert come(2) == [1, 3]
        hidden.rename(tmp_path / "day")
        assert come(3) == [1, 3, 2]


def test_a_row_from_the_future_stops_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("twin,time,speed\nb1,2099-01-01T00:00:00Z,9\n")
    csv(tmp_path, "b.csv", [1])
    with running(FolderSource("hall", tmp_path, "csv", settle=0.1)) as come:
        assert come(2) == [9, 1]


def test_whatever_is_in_a_file_it_is_one_dead_letter_at_most(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("twin,time,speed,speed\nb1,2026-03-01T12:00:00Z,1,2\n")
    named = os.fsencode(tmp_path) + b"/b\xfc.csv"
    Path(os.fsdecode(named)).write_text("twin,speed\nb1,1\n")
    (tmp_path / "c.csv").symlink_to("c.csv")
    csv(tmp_path, "d.csv", [1])
    found = whole(FolderSource("hall", tmp_path, "csv"))
    assert values(found) == [1] and len(letters(found)) == 2
    lists = pa.table({**{n: rows([1])[n] for n in ("twin", "time")}, "speed": [[1.0, 2.0]]})
    far = rows([1]).set_column(1, "time", pa.array([2**62], pa.timestamp("us", "UTC")))
    for k, odd in enumerate((lists, far)):
        pq.write_table(odd, tmp_path / f"{k}.parquet")
    pq.write_table(rows([5.0]), tmp_path / "last.parquet")
    found = whole(FolderSource("hall", tmp_path, "parquet"))
    assert 5 in values(found) and len(letters(found)) <= 2


def test_a_folder_keeps_the_promises_of_a_source(tmp_path: Path) -> None:
    count = 0

    def put(told: Sequence[float]) -> None:
        nonlocal count
        count += 1
        csv(tmp_path, f"{count % 3}-{count}.csv", told, at=60 * count)

    def spoil() -> None:
        (tmp_path / "spoilt.csv").write_text("twin,speed\nb1,1\n")

    source_checks(lambda: FolderSource("hall", tmp_path, "csv", settle=0.1), put, spoil)


# ---- a Delta table ------------------------------------------------------------------------------


def test_a_delta_table_is_read_whole_then_commit_by_commit(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows([1, 2]))
    write_deltalake(tmp_path, rows([3], at=2), mode="append")
    with running(DeltaSource("lake", tmp_path)) as come:
        assert come(3) == [1, 2, 3]
        write_deltalake(tmp_path, rows([4, 5], at=3), mode="append")
        assert come(5) == [1, 2, 3, 4, 5]
        DeltaTable(tmp_path).optimize.compact()  # nothing new
        write_deltalake(tmp_path, rows([6], at=5), mode="append")
        assert come(6) == [1, 2, 3, 4, 5, 6]


def test_a_table_cut_by_twin_names_its_twins(tmp_path: Path) -> None:
    both = pa.concat_tables([rows([1, 2]), rows([3], at=5, twin="b 2")])
    write_deltalake(tmp_path, both, partition_by=["twin"])
    first = whole(DeltaSource("lake", tmp_path))
    write_deltalake(tmp_path, rows([4], at=6, twin="b 2"), mode="append")
    more = whole(DeltaSource("lake", tmp_path), first[-1].position)
    assert sorted(zip(twins(first), values(first), strict=True)) == [
        ("b 2", 3),
        ("b1", 1),
        ("b1", 2),
    ]
    assert (twins(more), values(more)) == (["b 2"], [4])


def test_latest_begins_with_what_is_added_from_then_on(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows([1, 2]))
    first = whole(DeltaSource("lake", tmp_path, begin="latest"))
    assert values(first) == [] and first[-1].position
    write_deltalake(tmp_path, rows([3], at=2), mode="append")
    assert values(whole(DeltaSource("lake", tmp_path, "latest"), first[-1].position)) == [3]


def test_a_kill_between_two_entries_of_a_commit_goes_on_there(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows(range(5)))
    write_deltalake(tmp_path, rows(range(5, 9), at=5), mode="append")
    entries = whole(DeltaSource("lake", tmp_path, span=1.0))
    begun = entries[0].position
    write_deltalake(tmp_path, rows(range(9, 14), at=20), mode="append")
    entries = [entries[0], *whole(DeltaSource("lake", tmp_path, span=1.0), begun)]
    assert values(entries) == list(range(14))
    for k, entry in enumerate(entries):
        rest = whole(DeltaSource("lake", tmp_path, span=1.0), entry.position)
        assert values(entries[: k + 1]) + values(rest) == values(entries)


def test_commits_that_are_gone_are_made_up_for_by_the_whole_table(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows([1]))
    first = whole(DeltaSource("lake", tmp_path))
    write_deltalake(tmp_path, rows([2], at=1), mode="append")
    table = DeltaTable(tmp_path)
    table.optimize.compact()
    table.vacuum(0, enforce_retention_duration=False, dry_run=False)
    assert values(whole(DeltaSource("lake", tmp_path), first[-1].position)) == [1, 2]


def test_a_table_that_is_made_anew_is_read_anew(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    for k in range(3):
        write_deltalake(folder, rows([k], at=k), mode="append")
    with running(DeltaSource("lake", folder)) as come:
        assert come(3) == [0, 1, 2]
        folder.rename(tmp_path / "old")
        write_deltalake(tmp_path / "new", rows([7], at=7))
        (tmp_path / "new").rename(folder)
        assert come(4) == [0, 1, 2, 7]


def test_a_table_that_is_made_anew_every_night_is_read_every_night(tmp_path: Path) -> None:
    """Its version is the same each time."""
    folder = tmp_path / "lake"
    write_deltalake(folder, rows([1]))
    first = whole(DeltaSource("lake", folder))
    shutil.rmtree(folder)
    write_deltalake(folder, rows([2], at=1))
    assert values(whole(DeltaSource("lake", folder), first[-1].position)) == [2]
    with running(DeltaSource("lake", folder)) as come:
        assert come(1) == [2]
        folder.rename(tmp_path / "old")
        write_deltalake(folder, rows([3], at=2))
        assert come(2) == [2, 3]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("when", ["opened", "looked at"])
def test_a_table_that_is_made_anew_in_the_midst_of_a_look_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, before: bool
) -> None:
    """Whether it is before or after the library looked at it."""
    folder, due = tmp_path / "lake", threading.Event()

    def make_anew(now: str) -> None:
        if when == now and due.is_set():
            due.clear()
            folder.rename(tmp_path / "old")
            write_deltalake(folder, rows([2], at=1))

    class Table(deltas.DeltaTable):
        def __init__(self, *given: Any, **how: Any) -> None:
            if before:
                make_anew("opened")
            super().__init__(*given, **how)
            make_anew("opened")

        def update_incremental(self) -> None:
            if before:
                make_anew("looked at")
            super().update_incremental()
            make_anew("looked at")

    write_deltalake(folder, rows([1]))
    monkeypatch.setattr(deltas, "DeltaTable", Table)
    if when == "opened":
        due.set()
    with running(DeltaSource("lake", folder)) as come:
        if when == "looked at":
            assert come(1) == [1]
            due.set()
            assert come(2) == [1, 2]
        else:
            assert come(1) == [2]


def test_a_commit_that_cannot_be_read_is_a_dead_letter_and_the_next_goes_on(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows([1]))
    first = whole(DeltaSource("lake", tmp_path))
    there = set(tmp_path.glob("*.parquet"))
    write_deltalake(tmp_path, rows([2], at=1), mode="append")
    (torn,) = set(tmp_path.glob("*.parquet")) - there
    torn.write_bytes(torn.read_bytes()[:200])
    write_deltalake(tmp_path, rows([3], at=2), mode="append")
    more = whole(DeltaSource("lake", tmp_path), first[-1].position)
    assert letters(more) == ["file.unreadable"] and values(more) == [3]


def test_a_table_whose_files_are_gone_is_an_error_of_a_replay(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows([1]))
    for path in tmp_path.glob("*.parquet"):
        path.unlink()
    with pytest.raises(GemelError) as told:
        whole(DeltaSource("lake", tmp_path))
    assert told.value.code == "delta.unavailable"


def test_rows_without_a_time_are_one_dead_letter_that_counts_them(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows([1, 2]).drop_columns(["time"]))
    found = whole(DeltaSource("lake", tmp_path))
    assert letters(found) == ["file.columns"] and found[0].body["samples"] == 2
    assert json.loads(found[0].position)["rows"] == deltas.DONE


def test_a_delta_table_keeps_the_promises_of_a_source(tmp_path: Path) -> None:
    count = 0

    def put(told: Sequence[float]) -> None:
        nonlocal count
        write_deltalake(tmp_path, rows(told, at=60 * count), mode="append")
        count += 1

    write_deltalake(tmp_path, rows([]))
    source_checks(lambda: DeltaSource("lake", tmp_path), put)
