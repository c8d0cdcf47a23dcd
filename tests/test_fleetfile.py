"""A fleet on the disk: snapshots that are whole, and the row log between them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel import hooks
from gemel.errors import Conflict, GemelError, Invalid, NotFound, Unavailable
from gemel.kernels.rows import Rows
from gemel.kernels.slots import Slots
from gemel.store.fleetfile import load, save
from gemel.store.rowlog import RowLog

FIELDS = {"mean": (np.float32, 0.0), "slow": (np.float64, 0.0), "instant": (np.int64, 0)}
KINDS = {name: kind for name, (kind, _) in FIELDS.items()}

# A writer that is killed: it says each change once it is durable, and keeps a snapshot now and
# then. Row r holds the number of the last change that touched it.
WRITER = """
import sys
from pathlib import Path
import numpy as np
from gemel.store.fleetfile import save
from gemel.store.rowlog import RowLog
folder, kinds = Path(sys.argv[1]), {"mean": np.float32, "instant": np.int64}
columns = {name: np.zeros(50_000, kind) for name, kind in kinds.items()}
log = RowLog(folder / "rows", kinds)
save(folder / "fleet", columns, {"sequence": 0})
draw, number = np.random.default_rng(3), 0
while True:
    records = []
    for _ in range(3):
        number += 1
        rows = draw.choice(50_000, 200, replace=False)
        columns["mean"][rows] = columns["instant"][rows] = number
        records.append(log.record(number, rows, columns))
    log.append(records)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    if number % 30 == 0:
        save(folder / "fleet", columns, {"sequence": number})
        log.path.unlink()
        log = RowLog(folder / "rows", kinds)
"""


@pytest.fixture
def stopped() -> Iterator[list[str]]:
    """Points named in this list end what passes them, as a kill would."""
    points: list[str] = []

    def stop(here: str) -> None:
        if here in points:
            raise KeyboardInterrupt

    hooks.set_callback(stop)
    yield points
    hooks.set_callback(None)


def grown(count: int) -> Rows:
    rows = Rows(FIELDS)
    rows.reach(count)
    for k, name in enumerate(rows):
        rows[name][:count] = np.arange(count) + 1000 * k
    return rows


# --- snapshots -----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["disk", "/dev/shm"])
def test_a_snapshot_comes_back_with_every_type_and_shape(tmp_path: Path, folder: str) -> None:
    if folder != "disk" and not os.access(folder, os.W_OK):
        pytest.skip("no file system in memory here")
    path = (tmp_path if folder == "disk" else Path(folder)) / f"gemel-{os.getpid()}"
    arrays = {
        "file": np.arange(6, dtype=np.int64).reshape(2, 3),
        "bearing/mean": np.array([1.5, np.nan, -np.inf]),
        "mask": np.array([[True], [False]]),
        "empty": np.zeros((0, 4), np.float32),
        "one": np.array(7, np.int8),
        "every other": np.arange(20, dtype=np.float32)[::2],
        "when": np.array(["2026-03-01"], "M8[ns]"),
        "large": np.arange(3_000_001, dtype=np.float32),  # more than the writer takes at once
        "last": np.zeros(0),
    }
    book = {"names": ["ä", "b"], "deep": {"x": [1, 2.5, None]}}
    try:
        save(path, arrays, book)
        back, read = load(path)
    finally:
        path.unlink(missing_ok=True)
    assert read == book and list(back) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        assert back[name].ctypes.data % 64 == 0 or not back[name].size


def test_a_fleet_restarts_with_its_rows_and_its_names(tmp_path: Path) -> None:
    rows, slots = grown(100), Slots()
    slots.add([f"pump-{k}" for k in range(100)])
    slots.discard(["pump-7"])
    rows.keep(np.arange(100) != 7)
    names = {f"slots.{name}": array for name, array in slots.arrays().items()}
    save(tmp_path / "fleet", rows.columns() | names, {"count": rows.count})
    arrays, book = load(tmp_path / "fleet")
    kept = {name.removeprefix("slots."): arrays.pop(name) for name in names}
    again, slots = Rows.of(FIELDS, arrays, book["count"]), Slots.of(kept)
    assert again["instant"][slots.find("pump-42")] == 2042
    assert slots.add(["fan-1"]).tolist() == [99] and len(slots) == 100
    again.reach(200)
    assert (again["mean"][:99] == np.delete(np.arange(100), 7)).all()


def test_a_restored_fleet_is_changed_in_place_and_its_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "fleet"
    save(path, grown(64).columns(), {})
    before = path.read_bytes()
    arrays, _ = load(path)
    rows = Rows.of(FIELDS, arrays, 64)
    rows["mean"][:] = -1
    assert (arrays["mean"] == -1).all() and path.read_bytes() == before
    save(path, rows.columns(), {})
    assert (load(path)[0]["mean"] == -1).all()
    assert (rows["slow"][:64] == np.arange(1000, 1064)).all(), "a map outlives its file's name"


@pytest.mark.parametrize("verify", [True, False])
def test_every_flipped_byte_is_said_or_harmless(tmp_path: Path, verify: bool) -> None:
    path = tmp_path / "fleet"
    save(path, grown(16).columns(), {"note": "warm"})
    whole, (arrays, book) = path.read_bytes(), load(path)
    arrays = {name: array.copy() for name, array in arrays.items()}
    said = set()
    for place in [*range(0, 400), *range(4096, len(whole), 5)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            back, read = load(path, verify=verify)
        except Invalid as told:
            assert told.code == "fleetfile.damaged"
            said.add(told.message)
        else:
            assert read == book
            if verify:
                assert all((back[name] == array).all() for name, array in arrays.items())
    sums = {f"the column '{name}' does not fit its checksum" for name in FIELDS}
    assert said >= {"its head does not fit its checksum", "it is no snapshot of a fleet"}
    assert said & sums == (sums if verify else set())


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_a_file_cut_short_is_said(tmp_path: Path, share: float) -> None:
    path = tmp_path / "fleet"
    save(path, grown(2000).columns(), {})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Invalid) as told:
        load(path, verify=False)
    assert told.value.code == "fleetfile.damaged"


def test_what_is_not_there_not_ours_or_of_another_time_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        load(tmp_path / "fleet")
    assert missing.value.code == "fleetfile.missing"
    (tmp_path / "page").write_text("<html>" * 100)
    with pytest.raises(Invalid, match="no snapshot of a fleet"):
        load(tmp_path / "page")
    with pytest.raises(Unavailable) as unreadable:
        load(tmp_path)
    assert unreadable.value.code == "fleetfile.unreadable"
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable) as unwritable:
        save(tmp_path / "file" / "fleet", {}, {})
    assert unwritable.value.code == "fleetfile.unwritable"


def test_what_would_need_pickle_is_refused(tmp_path: Path) -> None:
    for arrays, book, code in (
        ({"words": np.array(["a"], dtype=object)}, {}, "snapshot.object_array"),
        ({"pairs": np.zeros(2, "f4,i8")}, {}, "snapshot.object_array"),
        ({}, {"array": np.ones(2)}, "snapshot.book"),
    ):
        with pytest.raises(GemelError) as told:
            save(tmp_path / "fleet", arrays, book)
        assert told.value.code == code
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("point", ["snapshot.before_rename", "snapshot.after_rename"])
def test_a_stop_around_the_rename_leaves_the_old_or_the_new(
    tmp_path: Path, point: str, stopped: list[str]
) -> None:
    path = tmp_path / "fleet"
    save(path, grown(16).columns(), {"sequence": 1})
    stopped.append(point)
    with pytest.raises(KeyboardInterrupt):
        save(path, grown(32).columns(), {"sequence": 2})
    assert load(path)[1]["sequence"] == (1 if point == "snapshot.before_rename" else 2)
    stopped.clear()
    save(path, grown(48).columns(), {"sequence": 3})
    assert load(path)[1]["sequence"] == 3 and [file.name for file in tmp_path.iterdir()] == [
        "fleet"
    ]


# --- the row log ---------------------------------------------------------------------------------


def test_changes_come_back_in_order_and_those_of_the_snapshot_are_passed_over(
    tmp_path: Path,
) -> None:
    log, live = RowLog(tmp_path / "rows", KINDS), grown(64)
    kept = {name: column.copy() for name, column in live.columns().items()}
    for number in range(1, 6):
        rows = np.arange(number, 64, 7)
        for name in live:
            live[name][rows] = number
        log.append([log.record(number, rows, live)])
        if number == 2:
            kept = {name: column.copy() for name, column in live.columns().items()}
    log.close()
    log = RowLog(tmp_path / "rows", KINDS)
    assert log.replay(kept, after=2) == 5
    assert all((kept[name] == live[name]).all() for name in live)
    assert log.replay(kept, after=5) == 5


def test_a_note_comes_before_its_rows_so_that_a_fleet_can_grow(tmp_path: Path) -> None:
    log, live = RowLog(tmp_path / "rows", KINDS), grown(16)
    log.append([log.record(1, [], live, {"add": ["old"]})])
    live.reach(40)
    live["mean"][39] = 7
    log.append([log.record(2, [39], live, {"add": ["pump-39"]})])
    restored, names = grown(16), []
    with pytest.raises(Conflict, match="row 39, and the columns have 16") as told:
        log.replay(restored, after=1)
    assert told.value.code == "rowlog.row"

    def grow(note: dict) -> None:
        names.extend(note["add"])
        restored.reach(40)

    assert log.replay(restored, after=1, told=grow) == 2
    assert names == ["pump-39"] and restored["mean"][39] == 7


@given(st.data())
@settings(max_examples=40)
def test_a_log_cut_anywhere_gives_the_whole_appends_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "rows"
    log, live = RowLog(path, KINDS), grown(16)
    ends = [path.stat().st_size]
    for number in range(1, 5):
        live["instant"][number] = -number
        log.append([log.record(number, [number], live), log.record(number, [number + 8], live)])
        ends.append(path.stat().st_size)
    log.close()
    cut = data.draw(st.integers(ends[0], ends[-1]))
    os.truncate(path, cut)
    if data.draw(st.booleans()) and cut not in ends:  # the length came to the disk, the pages not
        path.write_bytes(path.read_bytes().ljust(ends[-1], b"Z"))
    whole = sum(end <= cut for end in ends) - 1
    log, back, left = RowLog(path, KINDS), grown(16), path.read_bytes()
    assert log.replay(back, after=0) == whole
    assert [number for number in range(1, 5) if back["instant"][number] == -number] == [
        *range(1, whole + 1)
    ]
    assert path.read_bytes() == left, "who only reads changes nothing"
    log.append([log.record(9, [0], live)])
    assert path.read_bytes()[: ends[whole]] == left[: ends[whole]]
    assert RowLog(path, KINDS).replay(back, after=0) == 9


def test_damage_before_the_end_is_said_and_nothing_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    log, live = RowLog(path, KINDS), grown(16)
    begin = path.stat().st_size
    for number in range(1, 4):
        log.append([log.record(number, [number], live)])
    last = begin + 2 * (path.stat().st_size - begin) // 3
    whole = path.read_bytes()
    for place in range(last):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(Invalid) as told:
            RowLog(path, KINDS)
        assert told.value.code == "rowlog.damaged"
        assert path.stat().st_size == len(whole)


def test_a_log_of_other_fields_is_refused(tmp_path: Path) -> None:
    RowLog(tmp_path / "rows", KINDS).close()
    with pytest.raises(Conflict) as told:
        RowLog(tmp_path / "rows", KINDS | {"mean": np.float64})
    assert told.value.code == "rowlog.fields"


def test_a_log_counts_with_the_snapshot_that_it_follows_and_no_other(tmp_path: Path) -> None:
    log, live = RowLog(tmp_path / "rows", KINDS, "monday"), grown(16)
    log.append([log.record(1, [1], live)])
    log.close()
    later = RowLog(tmp_path / "rows", KINDS | {"mean": np.float64}, "tuesday")
    assert later.replay(live, after=0) == 0
    assert RowLog(tmp_path / "rows", KINDS, "monday").replay(live, after=0) == 1
    later.append([later.record(7, [2], live)])
    later.close()
    assert RowLog(tmp_path / "rows", KINDS, "monday").replay(live, after=0) == 0


def test_one_writes_and_others_read(tmp_path: Path) -> None:
    path, live = tmp_path / "rows", grown(16)
    one, other = RowLog(path, KINDS), RowLog(path, KINDS)
    one.append([one.record(1, [1], live)])
    assert RowLog(path, KINDS).replay(live, after=0) == 1

    def refused() -> None:
        with pytest.raises(Conflict) as told:
            other.append([other.record(1, [2], live)])
        assert told.value.code == "rowlog.busy"

    refused()
    one.close()
    refused()  # it does not know of the first one's change
    path.rename(tmp_path / "away")
    late = RowLog(tmp_path / "away", KINDS)
    late.append([late.record(2, [2], live)])
    (tmp_path / "away").unlink()
    with pytest.raises(Conflict):
        late.append([late.record(3, [3], live)])


def test_a_closed_log_and_a_place_that_cannot_hold_one_say_so(tmp_path: Path) -> None:
    log = RowLog(tmp_path / "rows", KINDS)
    change = log.record(1, [0], grown(16))
    log.close()
    log.close()
    for attempt in (lambda: log.append([change]), lambda: RowLog(tmp_path, KINDS)):
        with pytest.raises(Unavailable) as told:
            attempt()
        assert told.value.code == "rowlog.unwritable"


@pytest.mark.parametrize("point", ["rowlog.before_fsync", "rowlog.after_fsync"])
def test_a_stop_around_the_fsync_keeps_all_changes_before_it(
    tmp_path: Path, point: str, stopped: list[str]
) -> None:
    log, live = RowLog(tmp_path / "rows", KINDS), grown(16)
    log.append([log.record(1, [1], live)])
    stopped.append(point)
    with pytest.raises(KeyboardInterrupt):
        log.append([log.record(2, [2], live)])
    stopped.clear()
    log = RowLog(tmp_path / "rows", KINDS)
    assert log.replay(live, after=0) == 2  # written, and this stop took nothing from the system
    log.append([log.record(3, [3], live)])
    assert RowLog(tmp_path / "rows", KINDS).replay(live, after=0) == 3


@pytest.mark.parametrize("lines", [1, 4, 11, 23, 60])
def test_kill_minus_nine_loses_no_acknowledged_change(tmp_path: Path, lines: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(lines)]
    os.kill(writer.pid, signal.SIGKILL)
    rest, _ = writer.communicate()
    said += [int(line) for line in rest.split("\n")[:-1]]

    columns, book = load(tmp_path / "fleet")
    kinds = {"mean": np.float32, "instant": np.int64}
    reached = RowLog(tmp_path / "rows", kinds).replay(columns, after=book["sequence"])
    assert said[-1] <= reached <= said[-1] + 3
    draw, truth = np.random.default_rng(3), np.zeros(50_000, np.int64)
    for number in range(1, reached + 1):
        truth[draw.choice(50_000, 200, replace=False)] = number
    assert (columns["instant"] == truth).all() and (columns["mean"] == truth).all()
