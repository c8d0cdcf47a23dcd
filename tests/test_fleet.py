"""A fleet in your hands: who is in it, what it is told, where it is kept."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.reference import TICK, Wearing

from gemel import hooks
from gemel.clock import SECOND
from gemel.errors import GemelError, Invalid, NotFound
from gemel.fleet import Fleet
from gemel.kernels.base import Kernel, parameter, sensor, state
from gemel.kernels.base import signal as input_
from gemel.kernels.belief import Track
from gemel.store import fleetfile

MINUTE = 60 * SECOND


class Oven(Kernel):
    """An oven, and the seal of its door that heat wears out."""

    version = "1.0"
    max_step = 60.0
    temperature = state("degC", start=20.0, start_std=2.0, noise=0.01)
    seal = state("1", start=0.0, start_std=0.05, noise=1e-6, precise=True)
    power, room = input_("kW", max_age=300.0), input_("degC")
    heat = parameter("K/s/kW", typical=0.02, spread=0.1, scale="log")
    loss = parameter("1/s", typical=5e-4, spread=0.1, scale="log", bounds=(1e-5, 1e-2))
    thermometer = sensor("degC", noise=0.5)
    glow = sensor("1", noise=0.05)

    def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": u.room}

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        leak = p.loss * (1.0 + x.seal)
        return {
            "temperature": p.heat * u.power - leak * (x.temperature - u.room),
            "seal": 1e-8 * np.exp(0.02 * (x.temperature - 150.0)),
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.temperature, "glow": np.tanh(0.01 * x.temperature) + x.seal}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"too hot": (260.0 - x.temperature) / 240.0, "leaks": 1.0 - x.seal / 0.5}


class Unpaced(Oven):
    """Its steps are as long as its own rates let them be."""

    version = "1.0"
    max_step = float("inf")


class Gauge(Kernel):
    """No state: it only says what should be read."""

    version = "1.0"
    level = input_("m")
    gauge = sensor("m", noise=0.1)

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"gauge": u.level}


PACES = pytest.mark.parametrize("kernel", [Oven, Unpaced])


def named(count: int) -> list[str]:
    return [f"oven-{k}" for k in range(count)]


def told(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """All inputs and sensors of some ovens at one instant."""
    draw = np.random.default_rng(seed)
    return {
        "power": draw.uniform(0.0, 5.0, count),
        "room": np.full(count, 20.0),
        "thermometer": draw.normal(40.0, 5.0, count),
        "glow": draw.normal(0.4, 0.05, count),
    }


def running(count: int, kernel: type[Kernel] = Oven, ticks: int = 3, **choices: Any) -> Fleet:
    """A fleet that has been told a few things, each oven with its own parameters."""
    fleet = Fleet(kernel, named(count), threads=1, **choices)
    fleet.set_parameters({"heat": np.linspace(0.01, 0.03, count)})
    for k in range(1, ticks + 1):
        fleet.tick(k * MINUTE, told(count, k))
    return fleet


def bits(fleet: Fleet, rows: Any = slice(None)) -> dict[str, bytes]:
    """All that is held of some rows: ids, columns, clocks, the spread of their parameters. A
    reading counts where it is seen."""
    _, (*_, arrays) = fleet.__reduce__()
    count = len(fleet)
    held = {"ids": np.array([hash(name) for name in fleet], np.int64)}
    for name, array in arrays.items():
        if name.startswith("at") and len(array) == 1:
            held[name] = np.full(count, array[0])
        elif name.startswith("row.y."):
            held[name] = array * arrays[name.replace(".y.", ".seen.")]
        elif not name.startswith("slot"):
            held[name] = array
    return {name: array[:count][rows].tobytes() for name, array in held.items()}


def pick(values: dict[str, np.ndarray], row: int) -> dict[str, float]:
    return {name: float(value[row]) for name, value in values.items()}


# --- who is here ---------------------------------------------------------------------------------


@PACES
def test_a_fleet_that_grows_keeps_every_number(kernel: type[Kernel]) -> None:
    fleet, still = running(10, kernel), running(10, kernel)
    before = bits(still)
    for size in (11, 16, 17, 33, 300, 1200):
        fleet.add(named(size))
        assert bits(fleet, slice(0, 10)) == before and len(fleet) == size
    late = told(1200, 9)
    fleet.tick(5 * MINUTE, late)
    still.tick(5 * MINUTE, {name: value[:10] for name, value in late.items()})
    assert bits(fleet, slice(0, 10)) == bits(still)
    assert fleet["oven-11"].mean["temperature"] != fleet["oven-12"].mean["temperature"]


def test_an_asset_that_comes_again_is_as_one_that_was_never_here() -> None:
    fleet = running(5)
    fit(fleet, 5)
    fleet.update("oven-1", 9 * MINUTE, {"power": 3.0})
    rest = bits(fleet, [0, 2, 3, 4])
    fleet.remove("oven-1")
    assert bits(fleet) == rest and "oven-1" not in fleet
    fleet.add("oven-1")
    fresh = Fleet(Oven, "oven-1")
    assert bits(fleet, [4]) == bits(fresh) | {"spread": np.zeros((2, 2)).tobytes()}
    assert fleet["oven-1"] == fresh["oven-1"] and fresh["oven-1"].instant is None
    values = pick(told(1), 0)
    assert fleet.update("oven-1", MINUTE, values) == fresh.update("oven-1", MINUTE, values)
    assert bits(fleet, [0, 1, 2, 3]) == rest


def test_ids_and_numbers_stay_together_however_assets_come_and_go() -> None:
    draw, fleet, plain = np.random.default_rng(5), Fleet(Oven), dict[str, float]()
    for _ in range(300):
        name = f"oven-{draw.integers(40)}"
        if name in plain and draw.random() < 0.6:
            gone = [name, *draw.choice([*plain], 2)][: draw.integers(1, 4)]
            fleet.remove(list(dict.fromkeys(gone)))
            plain = {key: value for key, value in plain.items() if key not in gone}
        else:
            fleet.add(name)
            plain[name] = float(np.float32(draw.uniform(0.01, 0.03)))
            fleet.set_parameters({"heat": plain[name]}, name)
        assert list(fleet) == list(plain) and len(fleet) == len(plain) == len(fleet.mean)
        assert dict(zip(fleet, fleet.column("p.heat").tolist(), strict=True)) == plain


def test_removal_leaves_a_fleet_that_is_ticked_fitted_and_foreseen_as_any_other() -> None:
    fleet, whole = running(20), running(20)
    fleet.remove(["oven-3", "oven-0", "oven-19"])
    left = np.delete(np.arange(20), [0, 3, 19])
    assert list(fleet) == [f"oven-{k}" for k in left] and bits(fleet) == bits(whole, left)
    values = told(20, 7)
    whole.tick(9 * MINUTE, values)
    fleet.tick(9 * MINUTE, {name: value[left] for name, value in values.items()})
    assert bits(fleet) == bits(whole, left)
    ahead = {"dt": 600.0, "steps": 30, "paths": 16}
    two = fleet.forecast({"power": 6.0}, **ahead), whole.forecast({"power": 6.0}, **ahead)
    assert (two[0].passage == two[1].passage[left]).all()
    fit(fleet, 17)


def fit(fleet: Fleet, count: int) -> None:
    steps = 60
    draw = np.random.default_rng(1)
    history = {"power": draw.uniform(0, 5, steps), "room": 20.0}
    fleet.fit(
        (100 + np.arange(steps)) * MINUTE,
        history | {"thermometer": 40.0 + draw.normal(0, 5, (steps, count))},
    )


ODD = ["é€𝄞", "a\0b", " ", "ein Name mit Leerzeichen", "x" * 5_000, "\ud800", "'; DROP", "a\nb"]


def test_any_text_is_an_id_and_comes_back_from_the_disk(tmp_path: Path) -> None:
    fleet = Fleet(Oven, ODD)
    fleet.set_parameters({"heat": np.linspace(0.01, 0.03, len(ODD))})
    fleet.save(tmp_path / "odd")
    fleet.remove(ODD[2])
    fleet.add("\udfff")
    fleet.keep()
    again = Fleet.load(tmp_path / "odd", Oven)
    assert list(again) == [*ODD[:2], *ODD[3:], "\udfff"] and bits(again) == bits(fleet)


@pytest.mark.parametrize("count", [0, 1])
def test_no_asset_and_one_asset_are_fleets_too(count: int, tmp_path: Path) -> None:
    for kernel in (Oven, Unpaced):
        fleet = running(count, kernel, ticks=2)
        history = {name: np.tile(value, (5, 1)) for name, value in told(count, 3).items()}
        track = fleet.backfill(MINUTE * np.arange(3, 8), history)
        assert track is not None and track.mean.shape == (5, count, 2)
        assert fleet.cov.shape == (count, 2, 2) and fleet.std.shape == (count, 2)
        assert fleet.forecast({}, dt=60.0, steps=2, paths=4).passage.shape == (count, 4, 2)
        fleet.save(tmp_path / "few")
        again = Fleet.load(tmp_path / "few", kernel)
        assert bits(again) == bits(fleet)
        again.add("late")
        assert again["late"].instant is None and len(again) == count + 1


def test_a_kernel_without_a_state_is_a_fleet_that_only_scores() -> None:
    fleet = Fleet(Gauge, ["a", "b"])
    for k in range(3):
        fleet.tick(k, {"level": 1.0, "gauge": [1.0, 2.0]})
    assert fleet["a"].score < 1.0 < fleet["b"].score and fleet.cov.shape == (2, 0, 0)


# --- one asset and all ---------------------------------------------------------------------------


@PACES
@pytest.mark.parametrize(("count", "row"), [(1, 0), (20, 17), (500, 300), (512, 511), (700, 3)])
def test_an_update_of_one_is_a_tick_in_which_only_that_one_is_told(
    kernel: type[Kernel], count: int, row: int
) -> None:
    one, all_ = running(count, kernel), running(count, kernel)
    others = np.delete(np.arange(count), row)
    still = bits(one, others)
    for minute in (4, 4, 9, 2, 30):  # in step, again, after a gap, late, with a stale input
        values = pick(told(count, minute), row)
        if minute == 30:
            del values["power"], values["glow"]
        alone = {name: np.full(count, np.nan) for name in values}
        for name, value in values.items():
            alone[name][row] = value
        belief = one.update(f"oven-{row}", minute * MINUTE, values)
        all_.tick(minute * MINUTE, alone)
        assert bits(one, [row]) == bits(all_, [row]), minute
        assert belief == all_[f"oven-{row}"]
    assert bits(one, others) == still


def test_an_asset_begins_when_each_of_its_inputs_has_been_told() -> None:
    fleet = Fleet(Oven, ["a", "b"])
    assert fleet.update("a", MINUTE, {"power": 1.0, "thermometer": 80.0}).instant is None
    fleet.tick(2 * MINUTE, {"room": [30.0, np.nan], "thermometer": 80.0})
    begun, waits = fleet["a"], fleet["b"]
    assert begun.instant == 2 * MINUTE and 30.0 < begun.mean["temperature"] < 80.0
    assert waits.instant is None and waits.mean["temperature"] == 20.0


@pytest.mark.parametrize("late", [0, MINUTE, 3 * MINUTE])
def test_an_instant_before_the_last_is_taken_as_the_last(late: int) -> None:
    behind, again = running(4), running(4)
    values = told(4, 8)
    behind.tick(late, values)
    again.tick(3 * MINUTE, values)
    assert bits(behind) == bits(again)
    behind.update("oven-2", late, pick(values, 1))
    again.update("oven-2", 3 * MINUTE, pick(values, 1))
    assert bits(behind) == bits(again) and behind["oven-2"].instant == 3 * MINUTE


@pytest.mark.parametrize("none", [None, np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("name", ["thermometer", "power"])
def test_what_is_no_number_is_as_if_it_were_not_given(name: str, none: Any) -> None:
    values = told(3, 5)
    short = {key: value for key, value in values.items() if key != name}
    ticked, without = running(3), running(3)
    ticked.tick(4 * MINUTE, short | {name: [none, *values[name][1:]]})
    without.tick(4 * MINUTE, values | {name: np.array([np.nan, *values[name][1:]])})
    assert bits(ticked) == bits(without)
    for minute, gone in ((5, none), (6, np.ma.masked_array([9e9] * 3, mask=True))):
        ticked.tick(minute * MINUTE, short | {name: gone})
        without.tick(minute * MINUTE, short)
    assert bits(ticked) == bits(without)
    ticked.update("oven-1", 7 * MINUTE, pick(short, 1) | {name: none})
    without.update("oven-1", 7 * MINUTE, pick(short, 1))
    assert bits(ticked) == bits(without)


@pytest.mark.parametrize("by", ["update", "tick"])
def test_an_input_is_held_for_its_max_age_and_not_a_moment_longer(by: str) -> None:
    def doubt(age: int, told: bool) -> float:
        fleet = running(1)
        at = 3 * MINUTE + age
        values = {"power": 1.0} if told else {}
        fleet.update("oven-0", 3 * MINUTE, {"power": 1.0, "room": 20.0})
        if by == "update":
            return fleet.update("oven-0", at, values).std["temperature"]
        fleet.tick(at, values)
        return fleet["oven-0"].std["temperature"]

    assert doubt(300 * SECOND, False) == doubt(300 * SECOND, True)
    assert doubt(300 * SECOND + 1, False) > 1.1 * doubt(300 * SECOND + 1, True)


def test_an_instant_may_be_written_in_many_ways_and_begin_anywhere() -> None:
    stamp = 1_772_366_400 * SECOND
    forms = [
        "2026-03-01T13:00:00+01:00",
        datetime(2026, 3, 1, 12, tzinfo=UTC),
        np.datetime64("2026-03-01T12"),
        np.int64(stamp),
    ]
    assert [Fleet(Gauge, "a").update("a", at, {"level": 1.0}).instant for at in forms] == [
        stamp
    ] * 4
    beliefs = set()
    for begin in (-(10**18), -MINUTE, 0, stamp):
        fleet = Fleet(Oven, ["a"])
        for k in range(3):
            fleet.tick(begin + k * MINUTE, told(1, k))
        assert fleet["a"].instant == begin + 2 * MINUTE
        beliefs.add((*fleet["a"].mean.values(), *fleet["a"].std.values()))
    assert len(beliefs) == 1


# --- a history -----------------------------------------------------------------------------------

STEPS = 300


def history(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    readings = draw.normal(40.0, 5.0, (STEPS, count))
    readings[draw.random((STEPS, count)) < 0.2] = np.nan
    return {
        "power": np.repeat(draw.uniform(0.0, 5.0, (STEPS // 10, count)), 10, axis=0),
        "room": draw.uniform(15.0, 25.0, STEPS),
        "thermometer": readings,
        "glow": draw.normal(0.4, 0.05, (STEPS, count)).astype(np.float32),
    }


def ticked(fleet: Fleet, instants: np.ndarray, values: dict[str, np.ndarray]) -> list[np.ndarray]:
    means = []
    for k, at in enumerate(instants):
        fleet.tick(at, {name: value[k] for name, value in values.items()})
        means.append(fleet.mean)
    return means


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["ekf", "ukf"])
def test_a_backfill_is_tick_after_tick_wherever_it_is_cut(method: str, threads: int) -> None:
    count, instants = 200, MINUTE * np.arange(1, STEPS + 1)
    values = history(count)
    one = Fleet(Oven, named(count), method=method, threads=1)
    means = ticked(one, instants, values)
    for cuts in ([], [1], [2, 3, 258], [299]):
        fleet = Fleet(Oven, named(count), method=method, threads=threads)
        pieces = []
        for part in np.split(np.arange(STEPS), cuts):
            own = {name: value[part] for name, value in values.items()}
            pieces.append(fleet.backfill(instants[part], own))
        assert bits(fleet) == bits(one), cuts
        assert (np.concatenate([piece.mean for piece in pieces]) == np.float32(means)).all()
        np.testing.assert_allclose(pieces[-1].std[-1], one.std, rtol=1e-6)


@pytest.mark.parametrize("kind", ["uneven", "gap in an input", "no sensor", "long", "unpaced"])
def test_a_history_that_cannot_run_compiled_is_ticks_all_the_same(kind: str) -> None:
    kernel = Unpaced if kind == "unpaced" else Oven
    count, steps = 20, 40
    values = {name: value[:steps] for name, value in history(count).items()}
    instants = MINUTE * np.arange(1, steps + 1)
    if kind == "uneven":
        instants[7:] += SECOND
    if kind == "gap in an input":
        values["power"][3:9, 4] = np.nan
    if kind == "no sensor":
        del values["glow"], values["thermometer"]
    if kind == "long":
        instants = instants * 5
    one, fleet, quiet = (Fleet(kernel, named(count), threads=1) for _ in range(3))
    means = ticked(one, instants, values)
    track = fleet.backfill(instants, values)
    assert quiet.backfill(instants, values, track=False) is None
    assert bits(fleet) == bits(one) == bits(quiet)
    assert isinstance(track, Track) and (track.mean == np.float32(means)).all()


def test_a_history_goes_by_the_unit_of_its_instants() -> None:
    """A datetime64 of minutes is no number of nanoseconds."""
    values = {"power": 1.0, "room": 20.0, "thermometer": np.arange(10.0)}
    begin = np.datetime64("2026-03-01T12:00", "m")
    tracks = []
    for unit in ("m", "us", "ns"):
        instants = (begin + np.arange(10)).astype(f"datetime64[{unit}]")
        tracks.append(Fleet(Oven, ["a"]).backfill(instants, values))
    texts = [f"2026-03-01T12:{k:02}:00Z" for k in range(10)]
    tracks.append(Fleet(Oven, ["a"]).backfill(texts, values))
    assert len({(track.mean.tobytes(), track.instant.tobytes()) for track in tracks}) == 1
    assert tracks[0].instant[1] - tracks[0].instant[0] == MINUTE


# --- what is refused changes nothing -------------------------------------------------------------

T10 = MINUTE * np.arange(10, 20)
READ = {"power": 1.0, "room": 20.0, "thermometer": 30.0}
AHEAD = {"dt": 60.0, "steps": 3, "paths": 4}
REFUSED: dict[str, tuple[str, Callable[[Fleet], object]]] = {
    "an unknown id": ("twin.unknown", lambda f: f["oven"]),
    "an update of an unknown id": ("twin.unknown", lambda f: f.update("oven", 9, READ)),
    "one unknown of two to remove": ("twin.unknown", lambda f: f.remove(["oven-1", "oven"])),
    "parameters of an unknown id": ("twin.unknown", lambda f: f.set_parameters({}, ["oven"])),
    "a forecast of an unknown id": ("twin.unknown", lambda f: f.forecast({}, ids="no", **AHEAD)),
    "an empty id": ("slots.id", lambda f: f.add(["new", ""])),
    "a number as an id": ("slots.id", lambda f: f.add(["new", 7])),
    "an id twice": ("fleet.twice", lambda f: f.add(["new", "new"])),
    "an id here already, twice": ("fleet.twice", lambda f: f.add(["new", "oven-1", "oven-1"])),
    "an unknown column": ("rows.field", lambda f: f.column("x.heat")),
    "an unknown parameter": ("fleet.signal", lambda f: f.set_parameters({"loss": 1e-3, "no": 1})),
    "no parameter": ("fleet.bounds", lambda f: f.set_parameters({"heat": 0.03, "loss": np.nan})),
    "out of bounds": ("fleet.bounds", lambda f: f.set_parameters({"loss": [1e-3, 1.0, 1e-3]})),
    "parameters of four": ("fleet.shape", lambda f: f.set_parameters({"heat": [0.02] * 4})),
    "an unknown reading": (
        "fleet.signal",
        lambda f: f.update("oven-1", T10[0], READ | {"no": 1.0}),
    ),
    "an unknown reading of all": ("fleet.signal", lambda f: f.tick(T10[0], READ | {"no": 1.0})),
    "a parameter as a reading": ("fleet.signal", lambda f: f.tick(T10[0], READ | {"heat": 1.0})),
    "a text": ("fleet.number", lambda f: f.update("oven-1", T10[0], READ | {"glow": "hot"})),
    "a number as a text": (
        "fleet.number",
        lambda f: f.update("oven-1", 9, READ | {"glow": "3"}),
    ),
    "numbers as texts": ("fleet.number", lambda f: f.tick(9, {"glow": ["3", None, 1.0]})),
    "by name": ("fleet.number", lambda f: f.tick(9, {"glow": {"oven-1": 1.0}})),
    "a number without end": ("fleet.number", lambda f: f.update("oven-1", 9, {"glow": 10**400})),
    "numbers without end": ("fleet.number", lambda f: f.tick(9, {"glow": [10**400, 1, 1]})),
    "a text of all": ("fleet.number", lambda f: f.tick(T10[0], READ | {"glow": "hot"})),
    "readings of four": ("fleet.shape", lambda f: f.tick(T10[0], READ | {"glow": [1.0] * 4})),
    "seconds": ("time.unreadable", lambda f: f.tick(3.5, READ)),
    "seconds of one": ("time.unreadable", lambda f: f.update("oven-1", 3.5, READ)),
    "no zone": ("time.unreadable", lambda f: f.tick(datetime(2026, 3, 1), READ)),  # noqa: DTZ001
    "the year 5000": ("time.unreadable", lambda f: f.tick(np.datetime64("5000-01-01"), READ)),
    "no time": ("time.unreadable", lambda f: f.tick(np.datetime64("NaT"), READ)),
    "the year 9999": ("time.unreadable", lambda f: f.tick(10**19, READ)),
    "a history backwards": ("fleet.order", lambda f: f.backfill(T10[::-1], READ)),
    "an instant twice": ("fleet.order", lambda f: f.backfill(T10.repeat(2), READ)),
    "a history known already": ("fleet.order", lambda f: f.backfill(T10 - 9 * MINUTE, READ)),
    "seconds of a history": ("time.unreadable", lambda f: f.backfill(T10 / 1e9, READ)),
    "an unknown history": ("fleet.signal", lambda f: f.backfill(T10, READ | {"no": 1.0})),
    "a history across": ("fleet.shape", lambda f: f.backfill(T10, READ | {"glow": np.ones(3)})),
    "texts of a history": ("fleet.number", lambda f: f.backfill(T10, READ | {"glow": ["a"] * 10})),
    "an uneven fit": ("fleet.uneven", lambda f: f.fit(T10 + 7 * (T10 > T10[4]), READ)),
    "a fit of four": ("fleet.shape", lambda f: f.fit(T10, READ | {"glow": np.ones((10, 4))})),
    "a scenario of a sensor": ("fleet.signal", lambda f: f.forecast({"glow": 1.0}, **AHEAD)),
    "a scenario with a gap": ("forecast.inputs", lambda f: f.forecast({"power": np.nan}, **AHEAD)),
    "a scenario of seven": ("fleet.shape", lambda f: f.forecast({"power": np.ones(7)}, **AHEAD)),
    "of 3 steps or 3 ovens": ("fleet.shape", lambda f: f.forecast({"power": np.ones(3)}, **AHEAD)),
    "no step": ("fleet.horizon", lambda f: f.forecast({}, dt=60.0, steps=-1)),
    "no path": ("fleet.horizon", lambda f: f.forecast({}, dt=60.0, steps=1, paths=0)),
    "back in time": ("fleet.horizon", lambda f: f.forecast({}, dt=-60.0, steps=1)),
    "to keep what was not saved": ("fleet.unsaved", lambda f: f.keep()),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_why_and_changes_nothing(case: str) -> None:
    code, call = REFUSED[case]
    fleet = running(3)
    before = bits(fleet)
    with pytest.raises(GemelError) as said:
        call(fleet)
    assert said.value.code == code and said.value.mend
    assert bits(fleet) == before
    fleet.tick(30 * MINUTE, READ)
    other = running(3)
    other.tick(30 * MINUTE, READ)
    assert bits(fleet) == bits(other)


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("fleet.no_kernel", lambda: Fleet(["oven-1"], Oven)),  # type: ignore[arg-type]
        ("fleet.no_kernel", lambda: Fleet(Oven(), ["oven-1"])),  # type: ignore[arg-type]
        ("fleet.method", lambda: Fleet(Oven, method="kf")),
        ("fleet.threads", lambda: Fleet(Oven, threads=0)),
        ("fleet.twice", lambda: Fleet(Oven, ["a", "b", "a"])),
        ("fleet.empty", lambda: Fleet(Oven).fit(T10, READ)),
        ("fleet.unheard", lambda: Fleet(Oven, "a").forecast({"power": 1.0}, **AHEAD)),
    ],
)
def test_what_is_no_fleet_is_refused(code: str, call: Callable[[], object]) -> None:
    with pytest.raises(GemelError) as said:
        call()
    assert said.value.code == code and said.value.mend


def test_an_empty_choice_of_assets_is_none_of_them_and_one_text_is_one_id() -> None:
    fleet = running(3)
    before = bits(fleet)
    fleet.set_parameters({"heat": 0.09}, [])
    fleet.remove([])
    fleet.add([])
    assert bits(fleet) == before
    assert fleet.forecast({}, ids=[], **AHEAD).passage.shape == (0, 4, 2)
    fleet.set_parameters({"heat": 0.09}, "oven-1")
    fleet.add("north")
    assert list(fleet) == [*named(3), "north"]
    assert (fleet.column("p.heat") == np.float32(0.09)).tolist() == [False, True, False, False]


# --- what is believed ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ekf", "ukf"])
def test_mean_std_and_covariance_agree_and_the_covariance_is_positive_definite(method: str) -> None:
    fleet = running(50, method=method)
    fleet.backfill(MINUTE * np.arange(10, 10 + STEPS), history(50), track=False)
    mean, std, cov = fleet.mean, fleet.std, fleet.cov
    assert (cov == cov.swapaxes(1, 2)).all() and (np.linalg.eigvalsh(cov) > 0.0).all()
    np.testing.assert_allclose(std**2, np.diagonal(cov, axis1=1, axis2=2), rtol=1e-12)
    for row, name in enumerate(fleet):
        belief = fleet[name]
        assert [*belief.mean.values()] == mean[row].tolist()
        assert [*belief.std.values()] == pytest.approx(std[row].tolist(), rel=1e-12)
        assert (
            belief.instant == (9 + STEPS) * MINUTE and np.isfinite([belief.nis, belief.score]).all()
        )


def test_a_scenario_has_a_number_for_each_step_and_asset_however_it_is_written() -> None:
    fleet = running(5)
    power = np.linspace(2.0, 12.0, 5)
    ahead = {"dt": 300.0, "paths": 8}
    whole = fleet.forecast({"power": np.tile(power, (40, 1))}, steps=40, **ahead)
    assert np.isfinite(whole.passage).any() and np.isinf(whole.passage).any()
    for same in (power, power[None], np.tile(power, (40, 1)).tolist()):
        assert (fleet.forecast({"power": same}, steps=40, **ahead).passage == whole.passage).all()
    some = fleet.forecast({"power": power[[4, 1]]}, steps=40, ids=["oven-4", "oven-1"], **ahead)
    assert (some.passage == whole.passage[[4, 1]]).all()
    rising = np.linspace(0.0, 12.0, 40)
    by_time = [fleet.forecast({"power": p}, steps=40, **ahead) for p in (rising, rising[:, None])]
    assert (by_time[0].passage == by_time[1].passage).all()


def test_an_input_that_is_not_named_stays_as_it_is_even_for_as_many_steps_as_assets() -> None:
    fleet = running(5)
    power = np.linspace(2.0, 12.0, 5)
    fleet.tick(4 * MINUTE, {"power": power})
    for steps in (5, 6):
        held = fleet.forecast({}, dt=3000.0, steps=steps, paths=8)
        given = fleet.forecast({"power": power[None]}, dt=3000.0, steps=steps, paths=8)
        assert (held.passage == given.passage).all() and np.isfinite(held.passage).any()


def test_a_new_asset_does_not_make_a_fitted_fleet_surer() -> None:
    fleet = running(4)
    fit(fleet, 4)
    ahead = {"dt": 300.0, "steps": 60, "paths": 32}
    before = fleet.forecast({"power": 8.0}, **ahead).passage
    fleet.add("late")
    after = fleet.forecast({"power": 8.0, "room": 20.0}, ids=named(4), **ahead).passage
    assert (before == after).all() and np.ptp(before[np.isfinite(before)]) > 0.0


# --- on the disk ---------------------------------------------------------------------------------


@PACES
def test_a_saved_fleet_goes_on_to_the_same_bits(kernel: type[Kernel], tmp_path: Path) -> None:
    fleet = running(40, kernel)
    fit(fleet, 40)
    fleet.remove(named(40)[3:9])
    fleet.add("late")
    fleet.update("oven-20", 4 * MINUTE, {"power": 3.0, "glow": 0.4})
    fleet.save(tmp_path / "ovens")
    again = Fleet.load(tmp_path / "ovens", kernel, threads=1)
    assert bits(again) == bits(fleet) and list(again) == list(fleet)
    values = told(len(fleet), 4)
    for own in (fleet, again):
        own.tick(9 * MINUTE, values)
        own.update("oven-0", 10 * MINUTE, {"thermometer": 50.0})
        own.add(["more", "and more"])
        own.backfill(MINUTE * np.arange(11, 30), {"power": 2.0, "room": 20.0, "glow": 0.5})
    assert bits(again) == bits(fleet)
    ahead = {"dt": 600.0, "steps": 20, "paths": 16}
    two = fleet.forecast({"power": 9.0}, **ahead), again.forecast({"power": 9.0}, **ahead)
    assert (two[0].passage == two[1].passage).all()


def go_on(fleet: Fleet, number: int) -> None:
    """A change that hangs on its number alone: an update, mostly."""
    count, name = len(fleet), f"oven-{number % 7}"
    if number % 5 == 0:
        fleet.add([f"guest-{number}", f"friend-{number}"])
    elif number % 11 == 0:
        fleet.remove([*fleet][count // 2])
    elif number % 13 == 0:
        fleet.set_parameters({"heat": 0.01 + 1e-4 * (number % 9)}, [*fleet][-1])
    else:
        fleet.add(name)
        fleet.update(name, (10 + number) * MINUTE, pick(told(1, number), 0))


def test_what_was_kept_since_the_snapshot_comes_back_with_it(tmp_path: Path) -> None:
    path, fleet = tmp_path / "ovens", running(20)
    fleet.save(path)
    snapshot = path.read_bytes()
    for number in range(40):
        go_on(fleet, number)
        if number % 3 == 0:
            fleet.keep()
    fleet.keep()
    assert path.read_bytes() == snapshot, "small changes are appended"
    again = Fleet.load(path, Oven, threads=1)
    assert bits(again) == bits(fleet)
    for own in (fleet, again):
        own.tick(60 * MINUTE, told(len(own)))
    assert bits(again) == bits(fleet)
    del fleet, own  # who writes a log has it alone
    again.update("oven-3", 61 * MINUTE, {"power": 1.0})
    again.keep()
    assert bits(Fleet.load(path, Oven)) == bits(again)


def test_when_all_have_changed_to_keep_is_to_save(tmp_path: Path) -> None:
    path = tmp_path / "ovens"
    for change in (
        lambda f: f.tick(9 * MINUTE, READ),
        lambda f: f.backfill(T10, READ),
        lambda f: f.set_parameters({"heat": 0.025}),
        lambda f: f.column("p.heat").fill(0.015),
        lambda f: fit(f, 20),
    ):
        fleet = running(20)
        fleet.save(path)
        fleet.update("oven-3", 4 * MINUTE, {"power": 1.0})
        fleet.keep()
        change(fleet)
        fleet.keep()
        assert bits(Fleet.load(path, Oven)) == bits(fleet)
        assert [file.name for file in tmp_path.iterdir()] == ["ovens"]


def test_a_log_that_is_torn_loses_only_what_nobody_was_told_of(tmp_path: Path) -> None:
    path, fleet = tmp_path / "ovens", running(20)
    rows = path.with_name("ovens.rows")
    fleet.save(path)
    states, sizes = [], []
    for number in range(6):
        fleet.add(f"guest-{number}")
        fleet.update("oven-3", (10 + number) * MINUTE, {"power": float(number)})
        fleet.keep()
        states.append(bits(fleet))
        sizes.append(rows.stat().st_size)
    whole = rows.read_bytes()
    del fleet  # who writes a log has it alone
    for cut in (sizes[-1] - 1, sizes[-1] - 100, sizes[-2] + 5, sizes[-2]):
        rows.write_bytes(whole[:cut])
        torn = Fleet.load(path, Oven)
        assert bits(torn) == states[-2]
        torn.update("oven-5", 30 * MINUTE, {"power": 2.0})
        torn.keep()
        assert bits(Fleet.load(path, Oven)) == bits(torn)
        del torn
    rows.write_bytes(whole[: sizes[0] - 9] + bytes(3) + whole[sizes[0] - 6 :])
    with pytest.raises(GemelError) as said:
        Fleet.load(path, Oven)
    assert said.value.code == "rowlog.damaged" and said.value.where == str(rows)


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


@pytest.mark.parametrize("point", ["snapshot.before_rename", "snapshot.after_rename"])
def test_a_stop_within_a_save_leaves_what_was_kept_before_or_all(
    tmp_path: Path, stopped: list[str], point: str
) -> None:
    path, fleet = tmp_path / "ovens", running(20)
    fleet.save(path)
    fleet.update("oven-3", 9 * MINUTE, {"power": 4.0})
    fleet.keep()
    before = bits(fleet)
    fleet.tick(10 * MINUTE, READ)
    stopped.append(point)
    with pytest.raises(KeyboardInterrupt):
        fleet.save(path)
    stopped.clear()
    assert bits(Fleet.load(path, Oven)) == (before if "before" in point else bits(fleet))
    fleet.update("oven-4", 11 * MINUTE, {"power": 4.0})
    fleet.keep()
    assert bits(Fleet.load(path, Oven)) == bits(fleet)


def test_a_keep_that_failed_is_made_good_by_the_next(tmp_path: Path, stopped: list[str]) -> None:
    path, fleet = tmp_path / "ovens", running(20)
    fleet.save(path)
    for point in ("rowlog.before_fsync", "rowlog.after_fsync"):
        fleet.remove([*fleet][0])
        stopped.append(point)
        with pytest.raises(KeyboardInterrupt):
            fleet.keep()
        stopped.clear()
        fleet.keep()
        assert bits(Fleet.load(path, Oven)) == bits(fleet)


def test_a_path_is_one_fleets(tmp_path: Path) -> None:
    path, one = tmp_path / "ovens", running(20)
    one.save(path)
    reader, other = Fleet.load(path, Oven), Fleet.load(path, Oven)
    one.update("oven-3", 9 * MINUTE, {"power": 4.0})
    one.keep()

    def refused(fleet: Fleet, code: str) -> None:
        for change in (lambda: fleet.update("oven-3", 9 * MINUTE, {}), lambda: fleet.tick(9, {})):
            change()
            for _ in range(2):
                with pytest.raises(GemelError) as said:
                    fleet.keep()
                assert said.value.code == code
                assert bits(Fleet.load(path, Oven)) == kept

    kept = bits(one)
    refused(other, "rowlog.busy")
    running(3).save(path)
    kept = bits(running(3))
    refused(one, "fleet.replaced")
    refused(reader, "fleet.replaced")
    one.save(tmp_path / "elsewhere")
    assert bits(Fleet.load(tmp_path / "elsewhere", Oven)) == bits(one)


def test_a_file_that_is_no_snapshot_of_this_kernel_is_refused_by_name(tmp_path: Path) -> None:
    path, fleet = tmp_path / "ovens", running(20)
    fleet.save(path)
    newer = type("Oven", (Oven,), {"version": "1.1"})
    hotter = type("Oven", (Oven,), {"heat": parameter("K/s/kW", typical=0.021, spread=0.1)})
    fleetfile.save(tmp_path / "other", {"a": np.ones(3)}, {"made": "elsewhere"})
    whole = path.read_bytes()
    for name, place in (("flipped", 5000), ("head", 100)):
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        (tmp_path / name).write_bytes(flipped)
    (tmp_path / "cut").write_bytes(whole[:6000])
    for name, kernel, code in (
        ("ovens", newer, "fleet.kernel"),
        ("ovens", hotter, "fleet.kernel"),
        ("ovens", Gauge, "fleet.kernel"),
        ("other", Oven, "fleet.kernel"),
        ("flipped", Oven, "fleetfile.damaged"),
        ("head", Oven, "fleetfile.damaged"),
        ("cut", Oven, "fleetfile.damaged"),
        ("missing", Oven, "fleetfile.missing"),
    ):
        with pytest.raises(GemelError) as said:
            Fleet.load(tmp_path / name, kernel)
        assert said.value.code == code and said.value.mend
        assert said.value.where == str(tmp_path / name)


# --- other processes, other threads --------------------------------------------------------------

PLANT = '''
import hashlib, multiprocessing, os, sys, time
import numpy as np
from gemel.clock import SECOND
from gemel.fleet import Fleet
from gemel.kernels.library.tank import Tank

LEVELS = {"inflow": 0.01, "opening": 0.5}


def change(fleet, number):
    """The next of a row of changes that hang on nothing but their number."""
    if number % 7 == 0:
        fleet.add([f"guest-{number}", f"friend-{number}"])
    elif number % 11 == 0:
        fleet.remove([*fleet][number % len(fleet)])
    else:
        name = [*fleet][number % len(fleet)]
        readings = {sensor: 1.0 + 0.01 * number for sensor in Tank.layout.outputs}
        fleet.update(name, (10 + number) * SECOND, LEVELS | readings)


def digest(fleet):
    arrays = [fleet.column(name) for name in fleet.rows]
    told = repr([(name, fleet[name].instant) for name in fleet])
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays) + told.encode()).hexdigest()


def begun(count):
    fleet = Fleet(Tank, [f"tank-{k}" for k in range(count)], threads=2)
    fleet.tick(SECOND, LEVELS)
    return fleet
'''
WRITER = """
from plant import *
fleet, path = begun(3000), sys.argv[1]
fleet.save(path)
number = 0
while True:
    for _ in range(3):
        number += 1
        change(fleet, number)
    fleet.keep()
    print(number, flush=True)
    if number % 12 == 0:
        fleet.save(path)
"""
WORKERS = """
from plant import *

def work(fleet):
    fleet.tick(9 * SECOND, LEVELS)
    fleet.update("tank-7", 12 * SECOND, {"inflow": 0.02})
    fleet.backfill(SECOND * np.arange(20, 40), LEVELS)
    return digest(fleet)

if __name__ == "__main__":
    fleet = begun(5000)
    fleet.tick(2 * SECOND, LEVELS)  # threads are running
    for way in ("fork", "spawn"):
        with multiprocessing.get_context(way).Pool(1) as pool:
            print(pool.apply_async(work, (fleet,)).get(timeout=60))
    print(work(fleet))
"""


def script(folder: Path, text: str) -> list[str]:
    (folder / "plant.py").write_text(PLANT)
    (folder / "main.py").write_text(text)
    return [sys.executable, str(folder / "main.py")]


def test_forked_and_spawned_workers_take_a_fleet_along(tmp_path: Path) -> None:
    ran = subprocess.run(script(tmp_path, WORKERS), capture_output=True, text=True, timeout=100)
    digests = ran.stdout.split()
    assert len(digests) == 3 and len(set(digests)) == 1, ran.stderr


@pytest.mark.parametrize("lines", [2, 30])
def test_kill_minus_nine_loses_nothing_that_was_kept(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "tanks"
    writer = subprocess.Popen(
        [*script(tmp_path, WRITER), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(lines)]
    time.sleep(0.0007 * lines)
    os.kill(writer.pid, signal.SIGKILL)
    said += [int(line) for line in writer.communicate()[0].split("\n")[:-1]]
    plant: dict[str, Any] = {}
    exec(PLANT, plant)
    found = plant["digest"](Fleet.load(path, plant["Tank"]))
    fleet = plant["begun"](3000)
    for number in range(1, said[-1] + 1):
        plant["change"](fleet, number)
    reached = [plant["digest"](fleet)]
    for number in range(said[-1] + 1, said[-1] + 4):
        plant["change"](fleet, number)
    assert found in [*reached, plant["digest"](fleet)]


def test_a_copy_and_a_pickle_are_fleets_of_their_own(tmp_path: Path) -> None:
    fleet = running(20)
    fleet.save(tmp_path / "ovens")
    before = bits(fleet)
    for other in (copy.deepcopy(fleet), copy.copy(fleet), pickle.loads(pickle.dumps(fleet))):
        assert bits(other) == before and repr(other) == repr(fleet)
        other.tick(9 * MINUTE, told(20, 9))
        other.remove("oven-3")
        assert bits(fleet) == before
        with pytest.raises(GemelError, match="snapshot"):
            other.keep()


def test_threads_that_share_a_fleet_come_to_what_one_comes_to() -> None:
    count, each = 64, 40
    shared, alone = running(count), running(count)

    def work(fleet: Fleet, part: int) -> None:
        for k in range(each):
            for row in range(part, count, 4):
                values = pick(told(1, 100 * k + row), 0)
                fleet.update(f"oven-{row}", (10 + k) * MINUTE, values)
            _ = fleet.mean, fleet.cov

    hands = [threading.Thread(target=work, args=(shared, part)) for part in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    for part in range(4):
        work(alone, part)
    assert bits(shared) == bits(alone)


def test_a_forecast_is_asked_by_name_or_by_row() -> None:
    fleet = Fleet(Wearing, ["north", "south"])
    fleet.tick(SECOND, {"load": np.array([1.0, 0.2]), "thermometer": 60.0})
    ahead = fleet.forecast({"load": np.array([1.0, 0.2])}, dt=TICK, steps=50, paths=50)
    assert ahead.rul("south") == ahead.rul(1) and ahead.ids == ("north", "south")
    assert (ahead.first("north") == ahead.first(0)).all()
    with pytest.raises(NotFound) as told:
        ahead.rul("east")
    assert told.value.code == "twin.unknown" and "north" in told.value.mend


def test_no_fleet_runs_in_no_thread() -> None:
    with pytest.raises(Invalid) as told:
        Fleet(Wearing, ["north"], threads=-1)
    assert told.value.code == "fleet.threads"
