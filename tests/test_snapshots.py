"""Snapshots: whole or not there."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel import hooks
from gemel.errors import GemelError
from gemel.store.snapshots import Snapshots

WRITER = """
import sys
from pathlib import Path
import numpy as np
from gemel.store.snapshots import Snapshots
snapshots = Snapshots(Path(sys.argv[1]))
tick = 0
while True:
    tick += 1
    snapshots.save(tick, {"mean": np.full(200_000, float(tick))}, {"tick": tick})
    sys.stdout.write(f"{tick}\\n")
    sys.stdout.flush()
"""


def save(snapshots: Snapshots, *ticks: int) -> None:
    for tick in ticks:
        snapshots.save(tick, {"mean": np.full(3, tick)}, {"tick": tick})


def test_a_snapshot_comes_back_with_every_type_and_shape(tmp_path: Path) -> None:
    arrays = {
        "file": np.arange(6, dtype=np.int64).reshape(2, 3),
        "bearing/mean": np.array([1.5, np.nan, -np.inf]),
        "mask": np.array([[True], [False]]),
        "empty": np.zeros((0, 4), np.float32),
        "one": np.array(7, np.int8),
    }
    book = {"names": ["ä", "b"], "deep": {"x": [1, 2.5, None]}}
    Snapshots(tmp_path).save(12, arrays, book)
    tick, back, read = Snapshots(tmp_path).latest() or (0, {}, {})
    assert (tick, read, list(back)) == (12, book, list(arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype and back[name].shape == array.shape


@given(
    kind=st.sampled_from(["f8", "f4", "i8", "i4", "i1", "?", "U3"]),
    shape=st.sampled_from([(200,), (200, 3), (200, 2, 2), (64, 2), (63, 2)]),
    alike=st.lists(st.booleans(), min_size=4, max_size=4),
    lies=st.sampled_from("CF"),
    value=st.sampled_from([0.0, -0.0, float("nan"), 1.5]),
)
def test_a_column_of_one_value_is_written_once_and_comes_back(
    kind: str, shape: tuple[int, ...], alike: list[bool], lies: str, value: float
) -> None:
    rng = np.random.default_rng(1)
    every = rng.integers(-9, 9, shape) / 2.0
    if len(shape) == 1:
        every[:] = value if alike[0] else every
    else:
        columns = every.reshape(len(every), -1)
        columns[:, np.flatnonzero(alike[: columns.shape[1]])] = value
        columns[5, 0] = -value  # another sign is another value, of zero too
    with np.errstate(invalid="ignore"):
        array = np.array(every.astype(kind), order=lies)  # type: ignore[call-overload]
    with TemporaryDirectory() as folder:
        Snapshots(Path(folder)).save(1, {"a": array}, {})
        _, back, _ = Snapshots(Path(folder)).latest() or (0, {}, {})
    assert back["a"].tobytes() == array.tobytes() and back["a"].shape == shape
    assert back["a"].flags.writeable


def test_a_fleet_that_is_alike_takes_little_room(tmp_path: Path) -> None:
    path = Snapshots(tmp_path).save(1, {"cov": np.ones((10_000, 12, 12))}, {})
    assert path.stat().st_size < 3_000


def test_the_last_three_are_kept_and_a_limit_chooses_an_earlier_one(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    assert snapshots.latest() is None
    save(snapshots, 2, 9, 10, 100)
    assert snapshots.ticks() == [100, 10, 9]
    assert snapshots.latest(not_after=99)[0] == 10
    assert snapshots.latest(not_after=8) is None


def test_a_damaged_snapshot_is_passed_over(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    save(snapshots, 1, 2, 3)
    whole = (tmp_path / "3.snapshot").read_bytes()
    (tmp_path / "3.snapshot").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "2.snapshot").write_bytes((tmp_path / "1.snapshot").read_bytes())  # another tick's
    assert snapshots.latest()[0] == 1


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    save(snapshots, 5)
    path = tmp_path / "5.snapshot"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        found = snapshots.latest()
        assert found is None or (found[1]["mean"].tolist(), found[2]) == ([5, 5, 5], {"tick": 5})


def test_what_would_need_pickle_is_refused(tmp_path: Path) -> None:
    for arrays, book, code in (
        ({"words": np.array(["a"], dtype=object)}, {}, "snapshot.object_array"),
        ({}, {"array": np.ones(2)}, "snapshot.book"),
    ):
        with pytest.raises(GemelError) as told:
            Snapshots(tmp_path).save(1, arrays, book)
        assert told.value.code == code


@pytest.mark.parametrize("point", ["snapshot.before_rename", "snapshot.after_rename"])
def test_a_stop_around_the_rename_leaves_the_old_or_the_new(tmp_path: Path, point: str) -> None:
    snapshots = Snapshots(tmp_path)
    save(snapshots, 1)

    def stop(here: str) -> None:
        if here == point:
            raise KeyboardInterrupt

    hooks.set_callback(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            save(snapshots, 2)
    finally:
        hooks.set_callback(None)
    assert snapshots.latest()[0] == (1 if point == "snapshot.before_rename" else 2)
    save(snapshots, 3)
    assert not list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize("lines", [1, 4, 9])
def test_kill_minus_nine_leaves_the_last_acknowledged_snapshot_or_a_later_one(
    tmp_path: Path, lines: int
) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(lines)]
    os.kill(writer.pid, signal.SIGKILL)
    rest, _ = writer.communicate()
    said += [int(line) for line in rest.split("\n")[:-1]]
    tick, arrays, book = Snapshots(tmp_path).latest()
    assert said[-1] <= tick <= said[-1] + 1
    assert (arrays["mean"] == tick).all() and book == {"tick": tick}
