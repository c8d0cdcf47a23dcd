"""The lake: history as known then, written once."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel import hooks
from gemel.errors import GemelError
from gemel.store.lake import SCHEMAS, Lake


def telemetry(*facts: dict[str, Any]) -> pa.Table:
    usual = {
        "twin": "a",
        "signal": "x",
        "instant": 0,
        "value": 0.0,
        "quality": 0,
        "reason": "",
        "fate": "stored",
        "source": "hall",
        "received_at": 0,
        "tick": 1,
    }
    return pa.Table.from_pylist([usual | fact for fact in facts])


def values(table: pa.Table) -> list[tuple[str, str, int, float]]:
    rows = table.select(["twin", "signal", "instant", "value"]).to_pylist()
    return [tuple(row.values()) for row in rows]


def test_a_tick_is_written_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert lake.known("telemetry") == -1 and lake.telemetry().num_rows == 0
    assert lake.append("telemetry", telemetry({}), tick=3)
    assert not Lake(tmp_path).append("telemetry", telemetry({"instant": 9}), tick=3)
    assert not lake.append("telemetry", telemetry({"instant": 9}), tick=2)
    assert lake.append("telemetry", telemetry({"instant": 9}), tick=4)
    assert Lake(tmp_path).known("telemetry") == 4
    assert [row[2] for row in values(lake.telemetry())] == [0, 9]


def test_a_stop_around_the_write_neither_loses_nor_doubles(tmp_path: Path) -> None:
    here = ""

    def stop(point: str) -> None:
        if point == here:
            raise KeyboardInterrupt

    for tick, point in enumerate(("lake.before_write", "lake.after_write"), 1):
        here = point
        hooks.set_callback(stop)
        try:
            with pytest.raises(KeyboardInterrupt):
                Lake(tmp_path).append("telemetry", telemetry({"instant": tick}), tick)
        finally:
            hooks.set_callback(None)
        Lake(tmp_path).append("telemetry", telemetry({"instant": tick}), tick)
    assert [row[2] for row in values(Lake(tmp_path).telemetry())] == [1, 2]


def test_the_latest_fact_speaks_and_the_earlier_ones_stay_known(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("telemetry", telemetry({"value": 1.0}, {"value": 2.0, "fate": "correction"}), 1)
    later = {"value": 3.0, "fate": "correction", "tick": 2, "quality": 2, "reason": "range"}
    lake.append("telemetry", telemetry(later, {"value": 9.0, "tick": 2, "source": "other"}), 2)
    assert [row[3] for row in values(lake.telemetry(as_known_at=1))] == [2.0]
    assert [row[3] for row in values(lake.telemetry())] == [3.0, 9.0]
    assert [row[3] for row in values(lake.telemetry(good_only=True))] == [9.0]
    assert lake.telemetry(as_known_at=0).num_rows == 0


facts = st.lists(
    st.fixed_dictionaries(
        {
            "twin": st.sampled_from(["a", "b"]),
            "signal": st.sampled_from(["x", "y"]),
            "instant": st.integers(0, 2),
            "value": st.integers(0, 9).map(float),
            "fate": st.sampled_from(["stored", "correction", "late", "duplicate", "rejected"]),
        }
    ),
    max_size=12,
)


@settings(max_examples=15)
@given(ticks=st.lists(facts, min_size=1, max_size=4))
def test_as_known_at_agrees_with_a_plain_list(
    tmp_path_factory: pytest.TempPathFactory, ticks: list[list[dict[str, Any]]]
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    told = [[fact | {"tick": tick} for fact in rows] for tick, rows in enumerate(ticks, 1)]
    for tick, rows in enumerate(told, 1):
        if rows:
            lake.append("telemetry", telemetry(*rows), tick)
    for known in range(len(ticks) + 1):
        naive = {
            (fact["twin"], fact["signal"], fact["instant"]): fact["value"]
            for rows in told[:known]
            for fact in rows
            if fact["fate"] not in ("duplicate", "rejected")
        }
        listed = [(*key, value) for key, value in sorted(naive.items())]
        assert values(lake.telemetry(as_known_at=known)) == listed
        cut = [r for r in listed if r[0] == "a" and r[1] == "y" and 1 <= r[2] < 2]
        assert values(lake.telemetry(["a"], ["y"], 1, 2, as_known_at=known)) == cut


def test_estimates_findings_and_events_are_read_by_name(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    usual = {"twin": "a", "binding": "bearing", "instant": 1, "std": 0.5, "known_at": 2}
    for tick, mean in ((1, 60.0), (2, 61.0)):
        both = [usual | {"name": name, "mean": mean, "tick": tick} for name in ("wear", "heat")]
        lake.append("estimates", pa.Table.from_pylist(both), tick)
    assert lake.estimates(names=["wear"])["mean"].to_pylist() == [61.0]
    assert lake.estimates(names=["wear"], as_known_at=1)["mean"].to_pylist() == [60.0]
    assert lake.estimates(twins=["b"]).num_rows == 0
    same = [{"name": "service", "body": json.dumps({"n": n}), "instant": 5} for n in (1, 2)]
    lake.append("events", pa.Table.from_pylist([event | {"tick": 1} for event in same]), 1)
    assert lake.events("service")["body"].to_pylist() == ['{"n": 1}', '{"n": 2}']
    assert lake.events("service", as_known_at=0).num_rows == 0
    form = {name: "" for name in "id kind twin binding subject severity text evidence".split()}
    form |= {"instant": 1, "closed_at": 0, "statistic": 4.0, "threshold": 3.0}
    for tick, status in ((1, "open"), (2, "closed")):
        rows = pa.Table.from_pylist([form | {"status": status, "tick": tick}])
        lake.append("findings", rows, tick)
    assert lake.findings()["status"].to_pylist() == ["closed"]
    assert lake.findings(as_known_at=1)["status"].to_pylist() == ["open"]


def test_a_name_is_never_a_piece_of_a_query(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    odd = "a'; DROP TABLE facts; --"
    lake.append("telemetry", telemetry({"twin": odd}, {"twin": "b"}), 1)
    assert values(lake.telemetry([odd])) == [(odd, "x", 0, 0.0)]


def test_another_process_reads_while_it_is_written(tmp_path: Path) -> None:
    lake, stop = Lake(tmp_path), threading.Event()
    lake.append("telemetry", telemetry({"instant": 1, "tick": 1}), 1)

    def write() -> None:
        for tick in range(2, 500):
            if stop.is_set():
                return
            lake.append("telemetry", telemetry({"instant": tick, "tick": tick}), tick)

    writer = threading.Thread(target=write)
    writer.start()
    reads = (
        "import sys; from pathlib import Path; from gemel.store.lake import Lake\n"
        "seen = [Lake(Path(sys.argv[1])).telemetry()['instant'].to_pylist() for _ in range(6)]\n"
        "assert all(rows == list(range(1, len(rows) + 1)) for rows in seen), seen\n"
        "assert len(seen[-1]) >= len(seen[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", reads, str(tmp_path)], capture_output=True, text=True
    )
    stop.set()
    writer.join()
    assert done.returncode == 0, done.stderr


def test_wrong_columns_types_and_tables_are_refused(tmp_path: Path) -> None:
    for table, rows, code in (
        ("telemetry", telemetry({}).drop_columns(["fate"]), "lake.columns"),
        ("telemetry", telemetry({"value": "warm"}), "lake.columns"),
        ("rumours", telemetry({}), "lake.table"),
    ):
        with pytest.raises(GemelError) as told:
            Lake(tmp_path).append(table, rows, 1)
        assert told.value.code == code


def test_the_tables_have_the_columns_of_the_contract() -> None:
    said = {
        "telemetry": "twin signal instant value quality reason fate source received_at tick",
        "estimates": "twin binding name instant mean std known_at tick",
        "events": "name instant body tick",
    }
    for table, columns in said.items():
        assert set(SCHEMAS[table].names) == {*columns.split(), "row"}
