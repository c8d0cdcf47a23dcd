"""A person's own CSV becomes a plant that compiles and replays, or a message that helps."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from gemel.clock import ManualClock, format_instant
from gemel.errors import Conflict, GemelError, Invalid, NotFound
from gemel.flow.fleet import load_plan
from gemel.flow.host import Host
from gemel.starter import init, words

HOURS = 300


def wave(k: int) -> float:
    return math.sin(k / 50)


def wide(path: Path) -> None:
    """Epoch seconds, three assets, units in every spelling, a column of words."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            ["timestamp", "asset", "speed [rpm]", "bearing_temp_degC", "Power (kW)", "status"]
        )
        for k in range(HOURS):
            for twin in ("p 1", "p 2", "p/3"):
                values = [1500 + 100 * wave(k), 60 + 5 * wave(k - 10), 20 + 2 * wave(k)]
                out.writerow([1_700_000_000 + 60 * k, twin, *(f"{v:.2f}" for v in values), "ok"])


def long(path: Path) -> None:
    """Remarks on top, semicolons, decimal commas, German words, day first, no zone, units."""
    lines = ["# exported", "Zeit;Signal;Messwert;Einheit;Anlage"]
    for k in range(HOURS):
        when = f"01.03.2024 {k // 60:02d}:{k % 60:02d}"
        for twin in ("Pumpe 1", "Pumpe 2"):
            speed, heat = f"{1500 + 100 * wave(k):.1f}", f"{60 + 5 * wave(k - 10):.2f}"
            lines.append(f"{when};Drehzahl;{speed};1/min;{twin}")
            lines.append(f"{when};Lagertemperatur;{heat.replace('.', ',')};°C;{twin}")
    path.write_text("\n".join(lines), encoding="utf-8-sig")


def split(path: Path) -> None:
    """Tabs, a date and a time column month first, one asset, gaps, no unit."""
    lines = ["Date\tTime\tflow\tvalve position"]
    for k in range(HOURS):
        flow = "n/a" if k % 7 == 0 else f"{3 + wave(k):.3f}"
        lines.append(f"05/{13 + k // 144}/2024\t{k // 6 % 24:02d}:{k % 6}0:00\t{flow}\t{k % 5}")
    path.write_text("\n".join(lines))


SHAPES: list[tuple[Any, str, list[str], dict[str, str]]] = [
    (wide, "wide", ["p-1", "p-2", "p-3"], {"speed": "rpm", "bearing_temp": "degC", "power": "kW"}),
    (long, "long", ["Pumpe-1", "Pumpe-2"], {"drehzahl": "rpm", "lagertemperatur": "degC"}),
    (split, "wide", ["data"], {"flow_value": "1", "valve_position": "1"}),
]


@pytest.mark.parametrize(("write", "shape", "twins", "units"), SHAPES)
def test_a_csv_becomes_a_plant_that_replays_at_once(
    write: Any, shape: str, twins: list[str], units: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / "data.csv")
    before = (tmp_path / "data.csv").read_bytes()
    report = init(tmp_path / "data.csv", tmp_path / "mine")
    assert (report["shape"], sorted(report["twins"])) == (shape, twins)
    assert {name: told["unit"] for name, told in report["signals"].items()} == units
    assert (tmp_path / "data.csv").read_bytes() == before
    plan = load_plan(tmp_path / "mine" / "plant.toml")
    assert sorted(plan.plant.twins) == twins
    with Host(plan, tmp_path / "mine.gemel", clock=ManualClock()) as host:
        assert host.wait(60.0) and host.failure is None, host.failure
        row = host.ledger.last()
    assert row is not None
    book = row.books["file"]
    assert book["received"] == book["stored"] == report["samples"]
    assert words(report).splitlines()[-1] == f"next: {report['next']}"


def test_the_first_kernel_tracks_the_data_it_was_made_from(tmp_path: Path) -> None:
    wide(tmp_path / "data.csv")
    report = init(tmp_path / "data.csv", tmp_path / "mine")
    assert report["target"] == "bearing_temp" and report["inputs"]
    plan = load_plan(tmp_path / "mine" / "plant.toml")
    with Host(plan, tmp_path / "mine.gemel", clock=ManualClock()) as host:
        assert host.wait(60.0)
        assert host.loop is not None
        held = host.loop.memory.fleets["first"]
    assert (held.nis < 3).all()
    assert (held.health["too high"][0] > 0).all()


def test_limits_come_from_the_data_with_room_to_spare(tmp_path: Path) -> None:
    wide(tmp_path / "data.csv")
    init(tmp_path / "data.csv", tmp_path / "mine")
    plan = load_plan(tmp_path / "mine" / "plant.toml")
    speed = plan.plant.interfaces["Asset"].telemetry["speed"]
    assert 0 <= speed.low < 1400 and 1600 < speed.high < 2000
    assert 0.03 < speed.rate < 0.3
    assert speed.stuck >= 20 * 60


def test_times_without_a_zone_are_taken_in_the_zone_given_and_said_so(tmp_path: Path) -> None:
    split(tmp_path / "data.csv")
    report = init(tmp_path / "data.csv", tmp_path / "mine", zone="America/New_York")
    assert report["from"] == "2024-05-13T04:00:00Z"
    assert any("America/New_York" in text for text in report["warnings"])
    assert "America/New_York" in (tmp_path / "mine" / "plant.toml").read_text()
    assert format_instant(0).endswith("Z")


def test_cells_that_are_no_numbers_are_left_out_and_told_by_line(tmp_path: Path) -> None:
    rows = [f"2024-01-01T{k // 60:02d}:{k % 60:02d}:00Z,{k}" for k in range(100)]
    rows[7] = "2024-01-01T00:07:00Z,broken"
    (tmp_path / "a.csv").write_text("\n".join(["time,load", *rows]))
    report = init(tmp_path / "a.csv", tmp_path / "mine")
    assert report["samples"] == 99
    assert any("line 9: 'broken'" in text for text in report["warnings"])


def test_a_plant_is_never_written_over(tmp_path: Path) -> None:
    wide(tmp_path / "data.csv")
    init(tmp_path / "data.csv", tmp_path / "mine")
    with pytest.raises(Conflict, match=r"init\.exists"):
        init(tmp_path / "data.csv", tmp_path / "mine")


HOPELESS: list[tuple[bytes, str, str]] = [
    (b"", "line 1", "it is empty"),
    (b"PK\x03\x04\0\0", "line 1", "not a text file"),
    (b"a,b\n1,2\n3,4\n5,6\n", "line 2", "no column holds times"),
    (b"time,a\n2024-01-01,x\n2024-01-02,y\n2024-01-03,z\n", "line 2", "no column of numbers"),
    (b"time,a\n2024-01-01T00:00Z,1\n2024-01-02T00:00Z,1,5\n", "line 3", "3 cells"),
    (b"time,a\n2024-01-01T00:00:00Z,1\n", "line 1", "1 rows"),
]


@pytest.mark.parametrize(("content", "place", "what"), HOPELESS)
def test_a_hopeless_file_is_told_by_line_with_a_mend(
    content: bytes, place: str, what: str, tmp_path: Path
) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    with pytest.raises(Invalid) as error:
        init(tmp_path / "data.csv", tmp_path / "mine")
    assert place in error.value.where and what in error.value.message and error.value.mend
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("zone", "name", "kind"), [("Mars", "a.csv", Invalid), ("UTC", "b", NotFound)]
)
def test_what_is_not_there_is_told(
    zone: str, name: str, kind: type[GemelError], tmp_path: Path
) -> None:
    split(tmp_path / "a.csv")
    with pytest.raises(kind):
        init(tmp_path / name, tmp_path / "mine", zone=zone)
