"""The simulated hall: laws of physics, seeded faults, obedience, and the same bits again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gemel.clock import SECOND
from gemel.errors import Invalid
from gemel.kernels import estimate
from gemel.kernels.library.journal_bearing import JournalBearing
from gemel.plant.faults import KINDS, PHYSICAL, Fault
from gemel.plant.simulator import history
from gemel.plant.truth import DAY, HOUR, START, SteamHall, demo_faults

WEAR = Fault("wear", "st1-b2", START + int(12 * HOUR) * SECOND)


def run(hall: SteamHall, days: float, dt: float = 600.0) -> SteamHall:
    for _ in range(int(days * DAY / dt)):
        hall.step(dt)
    return hall


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    one, two, other = (run(SteamHall(seed), 0.1, 60.0) for seed in (7, 7, 8))
    assert one.state() == two.state() and one.readings() == two.readings()
    assert one.state() != other.state()


def test_a_restored_hall_goes_on_to_the_same_bits() -> None:
    faults = (*demo_faults(), Fault("cooler_fouling", "st2", START))
    straight = run(SteamHall(7, faults=faults), 0.2, 60.0)
    half = run(SteamHall(7, faults=faults), 0.1, 60.0)
    again = SteamHall.restored(json.loads(json.dumps(half.state())), faults)
    assert run(again, 0.1, 60.0).state() == straight.state()
    assert again.readings() == straight.readings()


def test_a_healthy_hall_stays_near_75_degrees_and_hardly_wears_in_two_weeks() -> None:
    hall = run(SteamHall(7), 14)
    assert (np.abs(hall.temperature - 75.0) < 12.0).all()
    assert (hall.wear > 0).all() and (hall.wear < 0.03).all()


def test_heat_in_equals_heat_out_at_rest() -> None:
    hall = SteamHall(7)
    hall.noise = 0.0
    truth, before = hall.truth, hall.temperature
    load = hall.load[hall.group] / 90.0
    heat = truth.friction * np.exp(-0.0145 * (before - 75.0)) + truth.loading * (
        0.2 + 0.8 * load**1.3
    )
    oil = truth.cooling * (hall.flow / 35.0) ** 0.8 * (before - hall.inlet[hall.group])
    hall_loss = 0.045 * truth.cooling * (before - hall.ambient)
    assert np.allclose(heat, oil + hall_loss, rtol=1e-3)


def test_the_sick_bearing_reaches_its_limit_in_about_a_week_and_nobody_else_does() -> None:
    left = run(SteamHall(7, faults=(WEAR,)), 0.5).remaining()
    assert left[1] is not None and 6.0 < left[1] / DAY < 8.0
    assert [value for k, value in enumerate(left) if k != 1] == [None] * 7


@pytest.mark.parametrize(
    "order", [("st1-b2", "set_oil_flow", 55.0), ("st1", "set_load_limit", 80.0)]
)
def test_more_oil_or_less_load_outlives_a_service_ten_days_later(
    order: tuple[str, str, float],
) -> None:
    hall = run(SteamHall(7, faults=(WEAR,)), 0.5 + 20 / 24)
    assert hall.command(*order)[0]
    left = hall.remaining()[1]
    assert left is None or left > 11.0 * DAY


def test_after_half_a_day_of_fault_the_excess_heat_stands_clear_of_the_noise() -> None:
    sick = run(SteamHall(7, faults=(WEAR,)), 0.5 + 14 / 24)
    well = run(SteamHall(7), 0.5 + 14 / 24)
    assert sick.temperature[1] - well.temperature[1] > 1.0  # against 0.3 K of sensor noise


def test_a_command_is_obeyed_with_a_lag_and_seen_in_the_readings() -> None:
    hall = SteamHall(7)
    assert hall.command("st1-b1", "set_oil_flow", 55)[0]
    hall.step(60.0)
    assert 36.0 < hall.flow[0] < 50.0
    run(hall, 0.02, 60.0)
    assert abs(dict(hall.readings())["st1-b1"]["oil_flow"] - 55.0) < 1.0
    assert hall.command("st1", "set_load_limit", 80)[0]
    run(hall, 0.05, 60.0)
    assert dict(hall.readings())["st1"]["load"] < 81.5


@pytest.mark.parametrize(
    ("twin", "name", "argument", "why"),
    [
        ("st1-b1", "set_oil_flow", 61.0, "outside"),
        ("st1-b1", "set_oil_flow", float("nan"), "outside"),
        ("st1-b1", "set_oil_flow", "45", "number"),
        ("st1-b1", "set_oil_flow", True, "number"),
        ("st1-b1", "set_load_limit", 80.0, "does not take"),
        ("st9", "set_load_limit", 80.0, "does not take"),
        ("st1", "explode", 1.0, "unknown command"),
    ],
)
def test_a_wrong_command_is_refused_with_a_reason_and_changes_nothing(
    twin: str, name: str, argument: object, why: str
) -> None:
    hall = SteamHall(7)
    before = hall.state()
    accepted, detail = hall.command(twin, name, argument)
    assert not accepted and why in detail and hall.state() == before


def test_faults_of_the_way_leave_the_machine_as_it_is() -> None:
    faults = tuple(
        Fault(kind, "st1-b1", START, delay=60.0) for kind in KINDS if kind not in PHYSICAL
    )
    told, plain = SteamHall(7, faults=faults), SteamHall(7)
    assert run(told, 0.1, 60.0).state() == run(plain, 0.1, 60.0).state()
    assert np.array_equal(told.measured(), plain.measured())


def test_a_fouled_cooler_warms_the_oil_of_its_turbine_alone() -> None:
    hall = run(SteamHall(7, faults=(Fault("cooler_fouling", "st2", START),)), 2)
    assert hall.inlet[1] - hall.inlet[0] > 10.0


def test_an_unknown_fault_or_twin_is_refused_when_the_hall_is_built() -> None:
    with pytest.raises(Invalid, match=r"fault 'gremlin'"):
        Fault("gremlin", "st1-b1", START)
    with pytest.raises(Invalid, match=r"'st9'"):
        SteamHall(7, faults=(replace(WEAR, twin="st9"),))


def test_history_is_wide_csv_with_one_row_a_twin_and_instant(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    assert history(path, 0.5, every=600.0) == 72 * 10
    lines = path.read_text().splitlines()
    head = lines[0].replace('"', "").split(",")
    assert head[:3] == ["twin", "time", "speed"] and head[-1] == "oil_inlet"
    assert lines[1].startswith("st1,2017-04-02T12:10:00Z,") and len(lines) == 721
    assert lines[-1].split(",")[1] == "2017-04-03T00:00:00Z"


def test_the_twin_tracks_wear_it_never_sees_and_its_innovations_are_calibrated() -> None:
    kernel, hall = JournalBearing(), SteamHall(7, faults=(WEAR,))
    rows = len(hall.bearings)
    belief, yes = estimate.blank(kernel, rows), np.ones(rows, np.bool_)
    p, nis = np.tile(kernel.typical(), (rows, 1)), []
    for _ in range(1440):
        hall.step(60.0)
        turbine, bearing = hall.shown()
        seen = turbine[hall.group]
        u = np.column_stack([seen[:, [0, 1, 3]], bearing[:, 1:]])
        belief = estimate.update(
            kernel, belief, hall.instant, u, yes, ~yes, bearing[:, :1], yes[:, None], p
        )
        nis.append(belief.nis)
    assert 0.85 < np.mean(nis[240:]) < 1.15
    pace, std = belief.mean[:, 2], np.sqrt(belief.cov[:, 2, 2])
    assert pace[1] > 5.0 * max(np.delete(pace, 1).max(), 0.5)  # half a day of fault is plain
    assert pace[1] > 4.0 * std[1] and np.sqrt(belief.cov[1, 1, 1]) < 0.01
