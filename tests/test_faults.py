"""Faults by their keys: the same seed does the same, on any wire, over any cut, in any plant."""

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from tests.test_oracle import FAULTS, HOUR, STEP, over_http
from typer.testing import CliRunner

from gemel.cli import app
from gemel.clock import SECOND, format_instant
from gemel.connect.decode import decode_telemetry
from gemel.errors import Denied, Invalid, NotFound
from gemel.plant.faults import KINDS, PHYSICAL, Episodes, Fault, read_faults
from gemel.plant.frames import GARBLED, Writer
from gemel.plant.oracle import expect, read_sent
from gemel.plant.simulator import PlantConfig, Simulator
from gemel.plant.truth import START, SteamHall
from gemel.plant.way import GARBAGE, OTHER_SIGNAL, OTHER_TWIN, Rows, Way
from gemel.plant.wires import FRAME, To, ToHttp, read_to
from gemel.records import Batch

NOWHERE = ToHttp("http://127.0.0.1:1", "")  # a wire that is never opened: all of it waits


def faults(folder: Path) -> tuple[Fault, ...]:
    path = folder / "faults.toml"
    path.write_text(
        FAULTS + '[[fault]]\nkind = "flood"\nchance = 0.5\nwindow = "1h"\nlasts = "20min"'
    )
    return read_faults(path, START)


def drive(folder: Path, to: To, steps: list[int], seed: int = 7) -> pl.DataFrame:
    """The truth of a run; cut into several, each started anew from what the last has saved."""
    config = PlantConfig(folder, to, seed, every=STEP / SECOND, faults=faults(folder.parent))
    at = START
    for count in steps:
        hall = Simulator(config)
        at += count * STEP
        hall.advance(at)
        hall.save()
    return read_sent(folder)


def held(folder: Path) -> str:
    """Every time that a fault held."""
    return (folder / "truth" / "faults.jsonl").read_text()


def test_the_same_seed_does_the_same_over_any_wire_and_another_does_not(tmp_path: Path) -> None:
    lines = drive(tmp_path / "lines", NOWHERE, [40])
    frames = drive(tmp_path / "frames", ToHttp("http://127.0.0.1:2", "", rows=FRAME), [40])
    other = drive(tmp_path / "other", NOWHERE, [40], seed=8)
    assert lines.equals(frames) and not lines.equals(other)
    assert held(tmp_path / "lines") == held(tmp_path / "frames") != held(tmp_path / "other")


def test_a_plant_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    straight = drive(tmp_path / "straight", NOWHERE, [45])
    cut = drive(tmp_path / "cut", NOWHERE, [14, 1, 30])
    assert cut.equals(straight)
    assert held(tmp_path / "cut") == held(tmp_path / "straight")


def test_what_was_not_taken_goes_again_after_a_restart(tmp_path: Path) -> None:
    config = PlantConfig(tmp_path, NOWHERE, faults=(Fault("garbage", "st1", START),))
    first = Simulator(config)
    first.advance(START + 5 * 60 * SECOND)
    first.save()
    before = first.wire.unsent()
    second = Simulator(config)
    second.wire.send(second._unsent)
    assert second.wire.unsent() == before and len(before) == 5 * 11


def test_who_is_hit_hangs_on_the_twin_and_not_on_the_others() -> None:
    fault = Fault("dropout", "*", START, chance=0.3, window=3600.0, lasts=600.0)
    few, many = ([f"st{k}" for k in range(count)] for count in (3, 300))
    for number in range(50):
        small, large = (
            Episodes(fault, few, 7).window(number),
            Episodes(fault, many, 7).window(number),
        )
        mine = large[0] < 3
        assert all(np.array_equal(a, b[mine]) for a, b in zip(small, large, strict=True))


def test_luck_keeps_to_its_chance_and_an_episode_to_its_window() -> None:
    fault = Fault("dropout", "*", START, chance=0.3, window=3600.0, lasts=600.0, share=0.2)
    episodes = Episodes(fault, [f"st{k}" for k in range(500)], 7)
    hits = 0
    for number in range(200):
        twins, begin, end = episodes.window(number)
        opens = START + number * HOUR
        assert ((begin >= opens) & (end <= opens + HOUR) & (end - begin == 600 * SECOND)).all()
        hits += len(twins)
    assert hits / 100_000 == pytest.approx(0.3, abs=0.01)
    twins = np.arange(500)
    lucky = [episodes.lucky(twins, START + k * SECOND).mean() for k in range(200)]
    assert np.mean(lucky) == pytest.approx(0.2, abs=0.01)


def test_every_kind_does_what_it_says_and_nothing_to_the_others(tmp_path: Path) -> None:
    """Of one bearing of two turbines, half an hour long; every other sample is as measured."""
    for kind in KINDS:
        how: dict[str, Any] = {"delay": 600.0, "unit": "kg", "scale": 1.8, "offset": 32.0}
        fault = Fault(kind, "st1-b1", START, START + 6 * STEP, **how)
        config = PlantConfig(tmp_path / kind, NOWHERE, every=STEP / SECOND, faults=(fault,))
        hall = Simulator(config)
        hall.advance(START + 20 * STEP)
        hall.record.write()
        rows = read_sent(tmp_path / kind)
        others = rows.filter(pl.col("done") == "")
        assert others.filter(pl.col("stated") != pl.col("instant")).is_empty(), kind
        assert others.filter(pl.col("value") != pl.col("measured")).is_empty(), kind
        mine = rows.filter(pl.col("done") != "")
        assert mine.is_empty() == (kind in PHYSICAL), kind
        assert set(mine["twin"]) <= {"st1-b1"}, kind
        assert _did(kind, mine), kind


def _did(kind: str, rows: pl.DataFrame) -> bool:
    """Whether what was sent shows the fault."""
    value, measured, instant = rows["value"], rows["measured"], rows["instant"]
    behind = (rows["sent"] - instant) / SECOND
    shown = {
        "stuck": lambda: rows.group_by("signal").n_unique()["value"].to_list() == [1] * 3,
        "drift": lambda: (value > measured).sum() >= 10,
        "noise": lambda: 0.5 < (value - measured).std() < 1.5,
        "scale": lambda: np.allclose(value, measured * 1.8 + 32),
        "unit": lambda: set(rows["unit"]) == {"kg"} and (value == measured).all(),
        "not_a_number": lambda: value.is_nan().all(),
        "clock_offset": lambda: set(rows["stated"] - instant) == {60 * SECOND},
        "clock_drift": lambda: (rows["stated"] > instant).all(),
        "unknown_twin": lambda: set(rows["sent_as"]) == {"other twin"},
        "unknown_signal": lambda: set(rows["sent_as"]) == {"other signal"},
        "dropout": lambda: rows["number"].is_null().all() and len(rows) == 15,
        "duplicate": lambda: set(behind) == {600.0} and (value == measured).all(),
        "correction": lambda: np.allclose(value, measured + 1) and set(behind) == {600.0},
        "reorder": lambda: 0 < behind.mean() < 600 and not rows["instant"].is_sorted(),
        "late": lambda: set(behind) == {600.0},
        "outage": lambda: rows["sent"].n_unique() == 1 and rows["instant"].is_sorted(),
        "garbage": lambda: set(rows["sent_as"]) == {"garbage"} and len(rows) == 5,
        "flood": lambda: len(rows) == 4 * 9 * 3 and rows["instant"].n_unique() == 36,
    }
    return kind in PHYSICAL or bool(shown[kind]())


def test_json_and_arrow_say_the_same_of_any_rows() -> None:
    hall = SteamHall(7)
    slots, rng = hall.slots, np.random.default_rng(7)
    for _ in range(50):
        count = int(rng.integers(1, 60))
        rows = Rows.of(rng.integers(0, len(slots.twin), count), START, rng.normal(size=count))
        rows.stated[:] += rng.integers(0, 3, count)
        rows.unit[:] = rng.integers(0, 2, count)
        rows.sent_as[:] = rng.choice([0, 0, 0, OTHER_TWIN, OTHER_SIGNAL], count)
        written = [Writer(slots, ["", "K"], size).parcels(rows) for size in (0, 7)]
        lines, frames = ([read(p.payload, p.twin) for p in parcels] for parcels in written)
        assert sum(lines, []) == sum(frames, [])
        assert len(sum(lines, [])) == count


def read(payload: bytes, twin: str) -> list[Any]:
    decoded = decode_telemetry(payload, twin or None, received_at=START, source="x")
    assert not decoded.dead
    batch: Batch = decoded.batch
    columns = (batch.twin, batch.signal, batch.instant.tolist(), batch.value.tolist(), batch.unit)
    return list(zip(*columns, strict=True))


def test_sound_frames_are_the_same_whole_or_in_part() -> None:
    hall = SteamHall(7)
    way = Way(hall.slots, (), 7)
    rows = way.take(START + STEP, hall.measured()).main
    for part in (rows, rows.part(slice(3, 20)), rows.part(np.array([0, 5, 31]))):
        whole = [read(p.payload, p.twin) for p in Writer(hall.slots, [""], 9).parcels(part)]
        lines = [read(p.payload, p.twin) for p in Writer(hall.slots, [""]).parcels(part)]
        assert sum(whole, []) == sum(lines, [])


def test_what_is_garbled_is_one_dead_letter_each() -> None:
    for payload in GARBLED:
        for twin in ("st1", None):
            decoded = decode_telemetry(payload, twin, received_at=0, source="x")
            assert len(decoded.batch) == 0 and len(decoded.dead) == 1 == decoded.received
    rows = Rows.of(np.zeros(4, np.int64), START, np.zeros(4))
    rows.sent_as[:] = GARBAGE
    sent = [p.payload for p in Writer(SteamHall(7).slots, [""]).parcels(rows)]
    assert sorted(sent) == sorted(GARBLED)


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ('kind = "gremlin"', "fault.unknown"),
        ("", "fault.unknown"),
        ('kind = "stuck"\nwhere = "x"', "fault.key"),
        ('kind = "late"', "fault.key"),
        ('kind = "wear"\nchance = 0.1', "fault.key"),
        ('kind = "stuck"\nwindow = "1h"\nlasts = "1min"', "fault.key"),
        ('kind = "stuck"\nwindow = "1h"\nchance = 0.1\nlasts = "2h"', "fault.value"),
        ('kind = "dropout"\nshare = 1.5', "fault.value"),
        ('kind = "dropout"\nstart = "2h"\nend = "1h"', "fault.value"),
        ('kind = "dropout"\nstart = "soon"', "fault.value"),
        ('kind = "dropout"\nshare = "much"', "fault.value"),
        ('kind = "flood"\nsize = 1', "fault.value"),
        ("kind =", "fault.file"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_where_it_stands(
    tmp_path: Path, table: str, code: str
) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(f"[[fault]]\n{table}\n")
    with pytest.raises(Invalid) as told:
        read_faults(path, START)
    assert told.value.code == code


def test_a_fault_of_nobody_is_refused() -> None:
    slots = SteamHall(7).slots
    with pytest.raises(Invalid, match="'st9'"):
        Way(slots, (Fault("stuck", "st9"),), 7)
    with pytest.raises(Invalid, match="'pressure'"):
        Way(slots, (Fault("stuck", "st1", signal="pressure"),), 7)
    with pytest.raises(NotFound, match="truth"):
        expect(Path("nowhere"), None, "line")  # type: ignore[arg-type]


# ---- wires ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", "st1", "http://", "kafka:/x", "ftp://host/x", "file:///tmp/x", "mqtt://"]
)
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        read_to(url)


def test_a_password_in_an_address_is_not_shown() -> None:
    for url in ("mqtt://u:secret@host/a/+/telemetry", "kafka://u:secret@host:9092/line"):
        to = read_to(url)
        assert "secret" not in repr(to) and "secret" not in str(to)
    assert "abc" not in repr(read_to("http://host:8787?source=line", token="abc"))
    with pytest.raises(Invalid, match="JSON"):
        read_to("mqtt://host/a/+/telemetry", arrow=True)


def test_a_server_that_comes_later_gets_all_of_it_once(tmp_path: Path) -> None:
    with over_http(tmp_path, 0) as (scene, to):
        assert isinstance(to, ToHttp)
        config = PlantConfig(tmp_path / "line", to, every=STEP / SECOND, faults=())
        hall = Simulator(config)
        scene.clock.at += 10 * STEP
        hall.advance(scene.clock.at)  # nothing is connected yet
        assert hall.wire.flush(0.0) > 0
        hall.open()
        assert hall.wire.flush(30) == 0
        hall.close()
        scene.wait("line", hall.record.number)
        assert scene.books("line")["stored"] == hall.record.number == 320


def test_the_command_joins_a_running_gemel_and_ends_when_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text('[[fault]]\nkind = "garbage"\nshare = 0.5\n')
    with over_http(tmp_path, 0) as (scene, to):
        assert isinstance(to, ToHttp)
        words = f"plant --data {tmp_path / 'data'} --to {to.url}?source=line --format arrow"
        words += f" --faults {tmp_path / 'f.toml'} --every 200ms --for 1s --twins 50"
        told = CliRunner().invoke(app, words.split())
        assert told.exit_code == 0, told.output
        expected = expect(tmp_path / "data", scene.plan, "line")
        scene.wait("line", expected.books["received"])
        assert scene.books("line") == expected.books
        assert expected.books["dead"] > 0 and expected.books["received"] > 5 * 160
        assert (
            expected.books["rejected"] == 5 * 4 * 32
        )  # of four turbines that are not in the plant


def test_a_wrong_token_or_source_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    with over_http(tmp_path, 0) as (_, to):
        assert isinstance(to, ToHttp)
        for wrong in (ToHttp(to.url, "guess", "line"), ToHttp(to.url, to.token, "nobody")):
            hall = Simulator(PlantConfig(tmp_path / wrong.token[:5], wrong, faults=()))
            hall.open()
            hall.advance(START + 60 * SECOND)
            assert hall.wire.flush(30) == 10
            with pytest.raises(Denied, match="does not take telemetry"):
                hall.advance(START + 120 * SECOND)
            hall.close()
            assert len(hall.wire.unsent()) == 10


def test_a_flood_is_taken_in_and_the_others_go_on_beside_it(tmp_path: Path) -> None:
    with over_http(tmp_path, FRAME) as (scene, to):
        assert isinstance(to, ToHttp)
        url, header = f"{to.url}/api/v1/telemetry", {"Authorization": f"Bearer {to.token}"}
        flood = (Fault("flood", "st1*", START, size=4000.0),)
        config = PlantConfig(tmp_path / "line", to, every=STEP / SECOND, faults=flood)
        hall = Simulator(config)
        hall.open()
        scene.clock.at += 5 * STEP
        sender = threading.Thread(target=hall.advance, args=(scene.clock.at,))
        sender.start()
        calm = 0
        with httpx.Client(headers=header, trust_env=False, timeout=30.0) as other:
            while sender.is_alive() or hall.wire.flush(0.0):
                when = format_instant(START + (calm + 1) * SECOND)
                body = {"twin": "st2", "time": when, "values": {"speed": 3000.0 + calm % 7}}
                assert other.post(url, content=json.dumps(body).encode()).status_code == 202
                calm += 1
        sender.join()
        hall.close()
        scene.wait("line", hall.record.number)
        scene.wait("http", calm)
        assert scene.books("http")["stored"] == calm > 0
        expected = expect(tmp_path / "line", scene.plan, "line", margin=0.0)
        assert scene.books("line") == expected.books
        assert expected.books["stored"] == hall.record.number > 250_000
        order = [e.source for e in scene.host.journal.read(0, 100_000) if e.batch is not None]
        first, last = order.index("line"), len(order) - order[::-1].index("line")
        assert "http" in order[first:last], "nobody else got in while the flood went on"
