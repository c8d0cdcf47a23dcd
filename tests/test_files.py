"""Files: every row counts, once, at the plant's clock; what is wrong is said with its line."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gemel.clock import ManualClock, PacedClock, WallClock, parse_instant
from gemel.connect.files import EventFileSource, FileSource, read_events, read_table
from gemel.errors import GemelError
from gemel.records import Entry

WIDE = """twin,time,speed,metal
b1,2026-03-01T12:00:00Z,3000,61.5
b2,2026-03-01T12:00:00Z,,62
b1,2026-03-01T12:01:00Z,NaN,
b2,2026-03-01T12:01:00Z,2990,62.5
"""
NOON = parse_instant("2026-03-01T12:00:00Z")
MINUTE = 60 * 10**9


def write(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def run(source: Any, position: str = "", clock: Any = None) -> list[list[Entry]]:
    calls: list[list[Entry]] = []
    source.run(calls.append, position, clock or ManualClock(), threading.Event())
    return calls


def samples(calls: list[list[Entry]]) -> list[tuple[str, str, int, float]]:
    found = []
    for entry in (entry for call in calls for entry in call if entry.batch is not None):
        batch = entry.batch
        found += list(zip(batch.twin, batch.signal, batch.instant, batch.value, strict=True))
    return found


def dead(calls: list[list[Entry]]) -> list[tuple[str, str]]:
    letters = [entry.body for call in calls for entry in call if entry.kind == "dead"]
    return [(body["code"], body["where"].rpartition(":")[2]) for body in letters]


def test_a_wide_file_gives_a_sample_a_cell_and_none_for_an_empty_one(tmp_path: Path) -> None:
    calls = run(FileSource("hall", write(tmp_path, WIDE), units={"metal": "degF"}))
    assert samples(calls) == [
        ("b1", "speed", NOON, 3000.0),
        ("b1", "metal", NOON, 61.5),
        ("b2", "metal", NOON, 62.0),
        ("b2", "speed", NOON + MINUTE, 2990.0),
        ("b2", "metal", NOON + MINUTE, 62.5),
    ]
    assert calls[0][0].batch.unit.tolist() == ["", "degF", "degF", "", "degF"]
    assert dead(calls) == [] and calls[-1][-1].position == "4"


def test_long_wide_csv_and_parquet_are_the_same_samples(tmp_path: Path) -> None:
    wide = pl.read_csv(write(tmp_path, WIDE)).with_columns(pl.col("speed").cast(pl.Float64))
    wide = wide.with_columns(pl.col("time").str.to_datetime(time_zone="UTC"))
    long = wide.unpivot(index=["twin", "time"], variable_name="signal").drop_nulls()
    wide.write_parquet(tmp_path / "wide.parquet")
    long.write_parquet(tmp_path / "long.parquet")
    stamped = long.with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M+00:00"))
    stamped.write_csv(tmp_path / "long.csv", separator=";")
    expected = sorted(samples(run(FileSource("s", tmp_path / "data.csv"))))
    for name in ("wide.parquet", "long.parquet", "long.csv"):
        assert sorted(samples(run(FileSource("s", tmp_path / name)))) == expected, name


def test_columns_are_renamed_chosen_and_one_twin_needs_no_column(tmp_path: Path) -> None:
    path = write(tmp_path, "t,DCs,Db1t,word\n2026-03-01T12:00:00Z,1,2,x\n")
    source = FileSource(
        "s", path, columns={"time": "t", "speed": "DCs"}, twin="R1", signals=["speed"]
    )
    assert samples(run(source)) == [("R1", "speed", NOON, 1.0)]


def test_a_manual_clock_is_moved_before_each_entry_is_delivered(tmp_path: Path) -> None:
    text = "twin,time,x\n" + "".join(
        f"a,2026-03-01T{hour:02d}:{minute:02d}:00Z,{hour}\n"
        for hour in range(4)
        for minute in (0, 20, 40)
    )
    clock, seen = ManualClock(), []

    def deliver(entries: list[Entry]) -> None:
        batch = entries[-1].batch
        seen.append((len(batch), entries[-1].received_at == clock.now() == batch.instant[-1]))

    source = FileSource("s", write(tmp_path, text), span="59min")
    source.run(deliver, "", clock, threading.Event())
    assert seen == [(3, True)] * 4


def test_an_entry_holds_at_most_five_thousand_samples_of_one_hour(tmp_path: Path) -> None:
    lines = "".join(f"t{k % 40},2026-03-01T12:{k // 1000:02d}:00Z,{k},1\n" for k in range(9000))
    calls = run(FileSource("s", write(tmp_path, "twin,time,x,y\n" + lines)))
    sizes = [len(call[-1].batch) for call in calls]
    assert sum(sizes) == 18_000 and max(sizes) <= 5000 and len(sizes) == 4


def test_going_on_from_any_position_gives_exactly_the_rest(tmp_path: Path) -> None:
    text = "twin,time,x\n" + "".join(
        f"a,2026-03-01T{k:02d}:00:00Z,{'broken' if k == 5 else k}\n" for k in range(12)
    )
    path = write(tmp_path, text)
    whole = run(FileSource("s", path, span=2 * 3600))
    for number, call in enumerate(whole[:-1], 1):
        rest = run(FileSource("s", path, span=2 * 3600), position=call[-1].position)
        assert [samples([c]) for c in rest] == [samples([c]) for c in whole[number:]]
        assert dead(rest) == dead(whole[number:])


def test_a_file_out_of_order_is_sorted_and_loses_no_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    minutes = rng.integers(0, 30, 200)
    lines = [f"a,2026-03-01T12:{m:02d}:00Z,s{k},{k}" for k, m in enumerate(minutes)]
    path = write(tmp_path, "twin,time,signal,value\n" + "\n".join(lines) + "\n")
    got = samples(run(FileSource("s", path)))
    expected = sorted(range(200), key=lambda k: (minutes[k], k))
    assert [int(value) for *_, value in got] == expected


def test_what_is_broken_is_a_dead_letter_with_its_line_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path,
        b"twin,time,speed,metal\n"
        b"b1,2026-03-01T12:00:00Z,fast,61\n"
        b"b1,2026-03-01T12:01\n"
        b"\n"
        b"b1,yesterday,1,2\n"
        b"b1,2026-13-01T12:00:00Z,1,2\n"
        b",2026-03-01T12:02:00Z,1,2\n"
        b"b1,2026-03-01T12:03:00Z,\xff\xfe,3\n"
        b"b1,2026-03-01T12:04:00,1,4\n"
        b"b1,2026-03-01T12:05:00Z,1,5,6\n"
        b"b1,2026-03-01T12:06:00Z,inf,6\n",
    )
    calls = run(FileSource("s", path))
    assert dead(calls) == [
        ("file.not_a_number", "2"),
        ("file.broken_line", "3"),
        ("file.unreadable_time", "5"),
        ("file.unreadable_time", "6"),
        ("file.no_twin", "7"),
        ("file.not_a_number", "8"),
        ("file.unreadable_time", "9"),
        ("file.broken_line", "10"),
    ]
    assert [value for *_, value in samples(calls)] == [61.0, 3.0, float("inf"), 6.0]
    assert calls[-1][-1].position == "10"


def test_line_numbers_hold_across_the_blocks_of_a_large_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("gemel.connect.tables.BLOCK", 4096)
    lines = [f"a,2026-03-01T{k // 60:02d}:{k % 60:02d}:00Z,{k}" for k in range(1200)]
    for line in (5, 300, 301, 1100, 1201):
        lines[line - 2] = "cut off"
    lines[700 - 2] = "a,2026-03-01T11:38:00Z,word"
    calls = run(FileSource("s", write(tmp_path, "twin,time,x\n" + "\n".join(lines) + "\n")))
    found = [line for _, line in dead(calls)]
    assert found == ["5", "300", "301", "700", "1100", "1201"]
    assert len(samples(calls)) == 1194 and calls[-1][-1].position == "1200"


def test_times_without_a_zone_need_one(tmp_path: Path) -> None:
    path = write(tmp_path, "twin,time,x\na,2017-03-26 01:30:00,1\na,2017-03-26 02:30:00,2\n")
    with pytest.raises(GemelError) as told:
        run(FileSource("s", path))
    assert told.value.code == "file.naive_time" and "time_zone" in told.value.mend
    calls = run(FileSource("s", path, time_zone="Europe/Paris"))
    assert [s[2] for s in samples(calls)] == [parse_instant("2017-03-26T00:30:00Z")]
    assert dead(calls) == [("file.unreadable_time", "3")]  # that hour was left out in Paris
    assert len(read_table(path, time_zone="UTC")) == 2
    with pytest.raises(GemelError) as told:
        FileSource("s", path, time_zone="Mars/Olympus")
    assert told.value.code == "file.time_zone"


@pytest.mark.parametrize(
    "text", ["2026-03-01T13:00:00+01:00", "2026-03-01 12:00Z", "2026-03-01T12:00:00.000000001Z"]
)
def test_instants_are_read_as_everywhere_else(tmp_path: Path, text: str) -> None:
    batch = read_table(write(tmp_path, f"twin,time,x\na,{text},1\n"))
    assert batch.instant.tolist() == [parse_instant(text)]


def test_with_any_other_clock_a_row_waits_for_its_instant(tmp_path: Path) -> None:
    clock, calls = PacedClock(NOON, speed=120), []
    source = FileSource("s", write(tmp_path, WIDE))
    began = time.monotonic()
    source.run(calls.append, "", clock, threading.Event())
    assert 0.4 < time.monotonic() - began < 5
    assert [len(call[-1].batch) for call in calls] == [3, 2]
    assert all(call[-1].batch.instant.max() <= call[-1].received_at for call in calls)


def test_a_stop_ends_the_wait(tmp_path: Path) -> None:
    path = write(tmp_path, "twin,time,x\na,2199-01-01T00:00:00Z,1\n")
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    FileSource("s", path).run(pytest.fail, "", WallClock(), stop)


def test_what_is_no_such_file_is_said_with_a_mend(tmp_path: Path) -> None:
    cut = write(tmp_path, b"PAR1 and then nothing", "cut.parquet")
    for make, code in (
        (lambda: FileSource("s", tmp_path / "none.csv"), "file.missing"),
        (lambda: FileSource("s", write(tmp_path, "", "empty.csv")), "file.unreadable"),
        (lambda: FileSource("s", cut), "file.unreadable"),
        (lambda: FileSource("s", write(tmp_path, "a,b\n1,2\n", "ab.csv")), "file.columns"),
        (lambda: FileSource("s", cut, format="xlsx"), "file.format"),
        (lambda: read_table(write(tmp_path, "time,x\n2026-03-01T12:00Z,1\n")), "file.columns"),
        (lambda: read_table(write(tmp_path, WIDE), signals=["wear"]), "file.columns"),
        (lambda: run(EventFileSource("e", write(tmp_path, "time,name\n"))), "file.reserved"),
    ):
        with pytest.raises(GemelError) as told:
            make()
        assert told.value.code == code and told.value.mend
    assert len(read_table(write(tmp_path, "twin,time,x\n", "none.csv"))) == 0


def test_events_carry_their_columns_and_their_instant(tmp_path: Path) -> None:
    text = (
        "time,value,market\n2026-03-01T13:00:00Z,41.5,day ahead\n"
        "2026-03-01T12:00:00Z,,spot\nsoon,1,spot\n"
    )
    path = write(tmp_path, text)
    calls = run(EventFileSource("grid", path, "price"))
    bodies = [entry.body for call in calls for entry in call if entry.kind == "event"]
    first = {"name": "price", "instant": NOON, "market": "spot"}
    later = {"name": "price", "instant": NOON + 60 * MINUTE, "value": 41.5, "market": "day ahead"}
    assert bodies == read_events(path, "price") == [first, later]
    assert dead(calls) == [("file.unreadable_time", "4")]
    positions = [entry.position for call in calls for entry in call]
    assert positions == ["1", "2", "3"]
    rest = run(EventFileSource("grid", path, "price"), position="1")
    assert len([entry for call in rest for entry in call]) == 2


def test_events_known_ahead_come_at_once_and_others_when_they_are_due(tmp_path: Path) -> None:
    path = write(tmp_path, "time,twin\n2026-03-01T12:00:00Z,b1\n2026-03-01T12:01:00Z,b2\n")
    assert len(run(EventFileSource("c", path, ahead=True), clock=PacedClock(0, 1.0))[0]) == 2
    calls = run(EventFileSource("c", path), clock=PacedClock(NOON, 200))
    assert [len(call) for call in calls] == [1, 1]
