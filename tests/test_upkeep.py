"""Upkeep of history: whatever is joined, rolled up, dropped or erased, the answers stay true."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.clock import SECOND
from gemel.flow.derived import Derived
from gemel.flow.outcome import Outcome
from gemel.graph.plantfile import Keeping
from gemel.labels import Labels
from gemel.records import REJECTED, STORED, Judged
from gemel.store import upkeep
from gemel.store.delta import KEPT, MADE
from gemel.store.lake import SCHEMAS, Lake
from gemel.store.rollups import Tier, aggregate
from gemel.store.upkeep import Upkeep
from gemel.store.wanted import Wanted

WIDTH, WIDE = 2, 4  # s: the roll-ups of the tests
DAY = 86_400
KEY = ("source", "twin", "signal", "instant")


def telemetry(*facts: dict[str, Any]) -> pa.Table:
    usual = {"twin": "a", "signal": "x", "instant": 0, "value": 0.0, "quality": 0, "reason": ""}
    usual |= {"fate": "stored", "source": "hall", "received_at": 0, "tick": 1}
    names = [name for name in SCHEMAS["telemetry"].names if name != "row"]
    schema = pa.schema([SCHEMAS["telemetry"].field(name) for name in names])
    return pa.Table.from_pylist([usual | fact for fact in facts], schema)


def at(seconds: float) -> int:
    return int(seconds * SECOND)


class Naive:
    """History as a list, asked the plain way."""

    def __init__(self) -> None:
        self.facts: list[dict[str, Any]] = []

    def erase(self, twin: str, before: int) -> None:
        self.facts = [f for f in self.facts if f["twin"] != twin or f["instant"] >= before]

    def latest(self, known: int | None) -> list[dict[str, Any]]:
        told = {
            tuple(f[k] for k in KEY): f for f in self.facts if known is None or f["tick"] <= known
        }
        return [told[key] for key in sorted(told, key=lambda k: (k[1:], k[0]))]

    def sums(self, width: int, by: list[str], known: int | None) -> list[tuple[Any, ...]]:
        groups: dict[tuple[Any, ...], list[float]] = {}
        for fact in self.latest(known):
            if fact["quality"] < 2:
                key = (*(fact[name] for name in by), fact["instant"] // at(width) * at(width))
                groups.setdefault(key, []).append(fact["value"])
        return [
            (*key, len(v), min(v), max(v), pytest.approx(sum(v) / len(v)))
            for key, v in sorted(groups.items())
        ]

    def newest(self, known: int | None) -> list[tuple[Any, ...]]:
        told: dict[tuple[str, str], dict[str, Any]] = {}
        for k, fact in enumerate(self.facts):
            if known is None or fact["tick"] <= known:
                old = told.get((fact["twin"], fact["signal"]))
                if old is None or (fact["instant"], fact["tick"], k) >= old["order"]:
                    order = (fact["instant"], fact["tick"], k)
                    told[fact["twin"], fact["signal"]] = fact | {"order": order}
        return [(*key, told[key]["instant"], told[key]["value"]) for key in sorted(told)]


samples = st.fixed_dictionaries(
    {
        "twin": st.sampled_from(["a", "b"]),
        "signal": st.sampled_from(["x", "y"]),
        "source": st.sampled_from(["hall", "hall", "other"]),
        "instant": st.integers(0, 12).map(lambda s: at(s)),
        "value": st.integers(-9, 9).map(float),
        "quality": st.sampled_from([0, 0, 1, 2]),
        "again": st.sampled_from(["correction", "late"]),
    }
)
moments = st.one_of(
    st.lists(samples, min_size=1, max_size=9),
    st.tuples(st.just("round"), st.integers(0, 14)),
    st.tuples(st.just("join")),
    st.tuples(st.just("erase"), st.sampled_from(["a", "b"]), st.integers(0, 13)),
)


@settings(max_examples=20)
@given(story=st.lists(moments, min_size=2, max_size=9))
def test_any_story_of_facts_and_upkeep_agrees_with_a_plain_list(
    tmp_path_factory: pytest.TempPathFactory, story: list[Any]
) -> None:
    lake, naive = Lake(tmp_path_factory.mktemp("lake")), Naive()
    keep = Upkeep(lake, Keeping(rollup={float(WIDTH): float("inf"), float(WIDE): float("inf")}))
    tick = 0
    for moment in story:
        if isinstance(moment, list):
            tick += 1
            tell(lake, naive, moment, tick)
        elif moment[0] == "round":
            list(keep.round(at(moment[1])))
        elif moment[0] == "join":
            join_all(lake, keep)
        else:
            naive.erase(moment[1], at(moment[2]))
            keep.erase(moment[1], at(moment[2]), tick)
    for known in (None, *range(tick + 1)):
        assert_alike(lake, naive, known)


def tell(lake: Lake, naive: Naive, facts: list[dict[str, Any]], tick: int) -> None:
    """A key's first fact is stored, as the quality stage would have it, every later one is not."""
    there = {tuple(f[k] for k in KEY) for f in naive.facts}
    rows = []
    for fact in facts:
        key = tuple(fact[k] for k in KEY)
        plain = {name: value for name, value in fact.items() if name != "again"}
        fate = fact["again"] if key in there else "stored"
        rows.append(plain | {"fate": fate, "tick": tick})
        there.add(key)
    naive.facts += rows
    lake.append("telemetry", telemetry(*rows), tick)


def join_all(lake: Lake, keep: Upkeep) -> None:
    several, upkeep.SEVERAL = upkeep.SEVERAL, 2
    try:
        for table, keys in upkeep.ORDER.items():
            list(keep._join(lake.table(table), keys))
        for width in (WIDTH, WIDE):
            list(keep._join(Tier(lake, at(width)).table, ("signal", "twin")))
    finally:
        upkeep.SEVERAL = several


def assert_alike(lake: Lake, naive: Naive, known: int | None) -> None:
    columns = ["source", "twin", "signal", "instant", "value", "quality"]
    told = lake.telemetry(as_known_at=known).select(columns).to_pylist()
    assert told == [{name: f[name] for name in columns} for f in naive.latest(known)]
    newest = lake.latest(as_known_at=known).select(["twin", "signal", "instant", "value"])
    assert [tuple(row.values()) for row in newest.to_pylist()] == naive.newest(known)
    for by in (["signal"], ["twin", "signal"]):
        for rolled in (True, False):
            found = aggregate(lake, Wanted(known=known), at(WIDE), by, rolled=rolled)
            columns = [*by, "instant", "count", "min", "max", "mean"]
            rows = [tuple(row[name] for name in columns) for row in found.to_pylist()]
            assert rows == naive.sums(WIDE, by, known), (by, rolled, known)


@settings(max_examples=15)
@given(
    facts=st.lists(samples, min_size=1, max_size=20),
    span=st.tuples(st.integers(0, 14), st.integers(0, 14)),
    closed=st.integers(0, 14),
)
def test_an_aggregate_of_a_part_of_time_is_that_of_its_facts(
    tmp_path_factory: pytest.TempPathFactory, facts: Any, span: tuple[int, int], closed: int
) -> None:
    lake, naive, (start, end) = Lake(tmp_path_factory.mktemp("lake")), Naive(), span
    tell(lake, naive, facts, 1)
    list(Upkeep(lake, Keeping(rollup={float(WIDTH): float("inf")})).round(at(closed)))
    naive.facts = [f for f in naive.facts if at(start) <= f["instant"] < at(end)]
    found = aggregate(lake, Wanted(start=at(start), end=at(end)), at(WIDE), ["signal"])
    columns = ["signal", "instant", "count", "min", "max", "mean"]
    rows = [tuple(row[name] for name in columns) for row in found.to_pylist()]
    assert rows == naive.sums(WIDE, ["signal"], None)


def test_a_roll_up_answers_without_the_facts(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    days = [{"instant": at(k * DAY / 4), "value": float(k % 7)} for k in range(40)]
    lake.append("telemetry", telemetry(*days), 1)
    hourly = Keeping(retention=2.0 * DAY, rollup={3600.0: float("inf")})
    before = aggregate(lake, Wanted(), at(DAY), ["signal"], rolled=False)
    told = list(Upkeep(lake, hourly).round(at(10 * DAY)))
    assert any("dropped" in step for step in told)
    kept = lake.kept_from()
    assert kept == at(8 * DAY) and lake.table("telemetry").mark(KEPT) == kept
    assert min(lake.telemetry()["instant"].to_pylist()) == kept
    assert aggregate(lake, Wanted(), at(DAY), ["signal"]) == before
    assert lake.latest()["instant"].to_pylist() == [days[-1]["instant"]]
    lake.append("telemetry", telemetry({"instant": 5, "fate": "late", "tick": 2}), 2)
    list(Upkeep(lake, hourly).round(at(10 * DAY)))
    assert aggregate(lake, Wanted(), at(DAY), ["signal"]) == before  # too late for its roll-up


def test_a_roll_up_declared_later_does_not_hide_what_an_older_one_tells(tmp_path: Path) -> None:
    lake, ever = Lake(tmp_path), float("inf")
    lake.append("telemetry", telemetry(*({"instant": at(k * DAY)} for k in range(10))), 1)
    before = aggregate(lake, Wanted(), at(DAY), ["signal"])
    for widths in ({3600.0: ever}, {3600.0: ever, float(DAY): ever}):
        list(Upkeep(lake, Keeping(2.0 * DAY, widths)).round(at(10 * DAY)))
    assert lake.telemetry().num_rows == 2
    assert aggregate(lake, Wanted(), at(DAY), ["signal"]) == before
    for by in (["signal"], ["twin", "signal"]):
        late = aggregate(lake, Wanted(start=at(8 * DAY)), at(DAY), by)
        assert late["count"].to_pylist() == [1, 1]


def test_a_roll_up_has_its_own_retention(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("telemetry", telemetry(*({"instant": at(k * DAY)} for k in range(10))), 1)
    list(Upkeep(lake, Keeping(rollup={3600.0: 3.0 * DAY})).round(at(10 * DAY)))
    tier = Tier(lake, at(3600))
    assert tier.table.mark(KEPT) == at(7 * DAY) and tier.table.mark(MADE) == at(10 * DAY)
    assert min(part.low["instant"] for part in tier.table.look().parts) == at(7 * DAY)
    assert lake.telemetry().num_rows == 10  # of the facts nothing was said: they stay


def test_nothing_is_dropped_whose_roll_up_is_not_there(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("telemetry", telemetry(*({"instant": at(k * DAY)} for k in range(10))), 1)
    list(Upkeep(lake, Keeping(retention=float(DAY))).round(at(10 * DAY)))
    assert lake.telemetry().num_rows == 10


def test_joining_goes_on_beside_a_writer_and_loses_nothing(tmp_path: Path) -> None:
    lake, stop = Lake(tmp_path), threading.Event()
    keep, ended = Upkeep(lake, Keeping(rollup={1.0: float("inf")})), []

    def tend() -> None:
        while not stop.is_set():
            ended.append(list(keep.round(at(50))))

    thread = threading.Thread(target=tend)
    thread.start()
    for tick in range(1, 61):
        lake.append("telemetry", telemetry({"instant": at(tick), "tick": tick}), tick)
    stop.set()
    thread.join()
    assert any("joined" in step for steps in ended for step in steps)
    list(keep.round(at(60)))
    assert lake.telemetry()["instant"].to_pylist() == [at(tick) for tick in range(1, 61)]
    assert len(lake.table("telemetry").look().parts) < 30
    assert sum(aggregate(lake, Wanted(), at(1), ["signal"])["count"].to_pylist()) == 60


def test_an_erasure_leaves_no_file_that_holds_what_was_erased(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    secret, open_ = {"twin": "secret", "instant": 5}, {"twin": "open", "instant": 5}
    lake.append("telemetry", telemetry(secret, open_), 1)
    keep = Upkeep(lake, Keeping(rollup={1.0: float("inf")}))
    list(keep.round(at(9)))
    assert keep.erase("secret", 6, 1) == 2  # the sample, and it as the newest value
    assert lake.telemetry(as_known_at=1)["twin"].to_pylist() == ["open"]
    assert lake.latest()["twin"].to_pylist() == ["open"]
    files = list(tmp_path.rglob("*.parquet"))
    assert files and not any(b"secret" in file.read_bytes() for file in files)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"secret" in path.read_bytes() for path in files)  # nor a bound of a file


def test_a_fact_told_after_the_erasure_is_a_new_fact(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("telemetry", telemetry({"instant": 5, "tick": 1}), 1)
    lake.append("telemetry", telemetry({"instant": 5, "tick": 2, "fate": "late"}), 2)
    Upkeep(lake).erase("a", 9, 1)
    assert lake.telemetry()["tick"].to_pylist() == [2]


def test_what_is_taken_in_once_more_hides_what_was_there(tmp_path: Path) -> None:
    lake, reach = Lake(tmp_path), at(10)
    derived = Derived(lake, reach)
    words = [Labels.of(["a", "a"]), Labels.of(["x", "x"])]
    for tick, received, value in ((1, 5, 1.0), (2, 90, 2.0)):
        small = [np.zeros(2, np.int8) for _ in range(3)]
        instants, numbers = np.array([at(1), at(85)]), np.array([value, value])
        slots = np.zeros(2, np.int64)
        judged = Judged("hall", at(received), *words, instants, numbers, slots, *small)
        if tick == 1:  # the second of the two had not come yet
            judged = replace(judged, fate=np.array([STORED, REJECTED], np.int8))
        derived.take(tick, at(received), Outcome(judged=[judged]))
    derived.write(2)
    assert lake.telemetry()["fate"].to_pylist() == ["correction", "stored"]
    assert aggregate(lake, Wanted(), at(DAY), ["signal"])["mean"].to_pylist() == [2.0]
