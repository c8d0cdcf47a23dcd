"""Writes the gold sets of the kernel library: the same physics, solved by someone else.

    python tests/gold_library.py

Each kernel's equations are written here a second time, for one asset and with `math`, and solved by
SciPy's DOP853 at a tolerance of 1e-11, input by input. Nothing of `gemel` is imported.
"""

import json
from collections.abc import Callable
from math import asinh, cos, exp, log, pi, sin, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

LIBRARY = Path(__file__).parent.parent / "src" / "gemel" / "kernels" / "library"
SOURCE = "tests/gold_library.py: the same equations solved by SciPy DOP853, rtol = atol = 1e-11"

Row = dict[str, float]
Rates = Callable[[Any, Row, Row], list[float]]
Reads = Callable[[Any, Row, Row], Row]
Start = Callable[[Row, Row], list[float]]


class Twin(NamedTuple):
    """One kernel, written a second time: its constants, and its equations."""

    stem: str
    kernel: str
    p: Row
    start: Start
    rates: Rates
    reads: Reads


# --- bearings ------------------------------------------------------------------------------------

RAIMONDI = {  # S: r/c f, h₀/c, Q/(rcNl), Q_s/Q
    0.00474: (0.514, 0.03, 4.82, 0.973), 0.0188: (1.05, 0.1, 4.74, 0.919),
    0.0446: (1.70, 0.2, 4.62, 0.842), 0.121: (3.22, 0.4, 4.33, 0.680),
    0.264: (5.79, 0.6, 3.99, 0.497), 0.631: (12.8, 0.8, 3.59, 0.280),
    1.33: (26.4, 0.9, 3.37, 0.150), 13.3: (262.53, 0.99, 3.16, 0.015),
}  # fmt: skip


def chart(number: float) -> tuple[float, float, float, float]:
    """Friction (by logarithms), film, flow and side flow, at one Sommerfeld number."""
    at, known = log(number), [log(s) for s in RAIMONDI]
    columns = list(zip(*RAIMONDI.values(), strict=True))
    friction = exp(np.interp(at, known, np.log(columns[0])))
    return friction, *(float(np.interp(at, known, c)) for c in columns[1:])


def film(y: Any, u: Row, p: Row) -> tuple[float, float, float, float, float, float]:
    """r/c f, least film m, flow, side flow, clearance m, pressure Pa."""
    r, length = p["radius"] / 1000, p["length"] / 1000
    c = (p["clearance"] + y[1]) / 1e6
    pressure = u["load"] * 1000 / (2 * r * length)
    viscosity = p["viscosity"] / 1000 * exp(643 / (y[0] + 70.6) - 643 / 110.6)
    number = (r / c) ** 2 * viscosity * u["speed"] / 60 / pressure
    friction, thin, oil, side = chart(number)
    return friction, thin * c, oil * r * c * u["speed"] / 60 * length, side, c, pressure


def petroff_rates(y: Any, u: Row, p: Row) -> list[float]:
    friction, least, oil, side, c, pressure = film(y, u, p)
    speed = 2 * pi * p["radius"] / 1000 * u["speed"] / 60
    heat = friction * c / (p["radius"] / 1000) * u["load"] * 1000 * speed
    out = 2 * y[0] - u["oil_inlet"]  # what stays in carries the whole rise, what leaks half of it
    carried = 1.75e6 * oil * ((1 - side) * (out - u["oil_inlet"]) + side * (y[0] - u["oil_inlet"]))
    worn = p["wear_rate"] * pressure / 1e6 * speed * exp(-least * 1e6 / p["roughness"])
    return [(heat - carried) / (p["capacity"] * 1000), worn]


def petroff_reads(y: Any, u: Row, p: Row) -> Row:
    friction, _, _, _, c, _ = film(y, u, p)
    return {"film_temperature": y[0], "torque": friction * c * u["load"] * 1000}


def life_rates(y: Any, u: Row, p: Row) -> list[float]:
    n = u["speed"]
    reference = (45000 / n**0.83 if n < 1000 else 4500 / sqrt(n)) / sqrt(p["pitch"])
    actual = p["viscosity"] * exp(902 / (u["temperature"] + 95) - 902 / 135)
    kappa = min(max(actual / reference, 0.1), 4.0)
    if kappa < 0.4:
        line = 2.5671 - 2.2649 / kappa**0.054381
    elif kappa < 1:
        line = 2.5671 - 1.9987 / kappa**0.19087
    else:
        line = 2.5671 - 1.9987 / kappa**0.071739
    inner = 1 - line**0.83 * (p["cleanliness"] * p["fatigue_limit"] / u["load"]) ** (1 / 3)
    factor = min(0.1 / inner**9.3, 50) if inner > 0 else 50
    hours = 1e6 / (60 * n) * (p["rating"] / u["load"]) ** 3 * factor * p["own_life"]
    return [1 / (3600 * hours)]


def defect_rates(y: Any, u: Row, p: Row) -> list[float]:
    rate = p["growth"] / 3600 * u["speed"] / 1500
    return [0.0, rate * y[1], rate * y[2], rate * y[3]]


def defect_reads(y: Any, u: Row, p: Row) -> Row:
    f, z = u["speed"] / 60, p["balls"]
    cage = f / 2 * (1 - p["ratio"] * cos(p["angle"] * pi / 180)) * (1 - y[0])
    levels = [p["floor"] + p["gain"] * (f / 25) ** 2 * a for a in y[1:]]
    names = ("outer_level", "inner_level", "ball_level")
    return {"outer_line": z * cage, "inner_line": z * (f - cage)} | dict(
        zip(names, levels, strict=True)
    )


# --- cracks and insulation -----------------------------------------------------------------------


def crack_rates(y: Any, u: Row, p: Row) -> list[float]:
    applied = p["geometry"] * u["stress_range"] * sqrt(pi * y[0] / 1000)
    if applied <= p["threshold"]:
        return [0.0, 0.0]
    material = p["growth"] * 1e-9 / 10 ** p["exponent"]  # C, m/cycle
    return [1000 * u["cycle_rate"] * exp(y[1]) * material * applied ** p["exponent"], 0.0]


def insulation_rates(y: Any, u: Row, p: Row) -> list[float]:
    settled = u["ambient"] + p["rise"] * u["load"] ** 1.6
    kelvin = p["activation"] / 8.617333262e-5
    faster = exp(kelvin / 383.15 - kelvin / (y[0] + 273.15))
    return [(settled - y[0]) / p["lag"] / 3600, faster / p["life"] / 3600]


# --- cells ---------------------------------------------------------------------------------------

CHARGES = [0.01 * k for k in (0, 1, 2, 3, 4, 6, 8, 10, 12.5, 15, *range(20, 101, 5))]


def rest(charge: float) -> float:
    """Chen and Rincón-Mora's open-circuit voltage, between the library's points."""
    bend = [-1.031 * exp(-35 * s) + 3.685 for s in CHARGES]
    rise = [0.2156 * s - 0.1178 * s**2 + 0.3201 * s**3 for s in CHARGES]
    return float(np.interp(charge, CHARGES, np.add(bend, rise)))


def stiffer(y: Any, u: Row, p: Row) -> float:
    return float(y[4]) * exp(p["cold"] / (u["temperature"] + 273.15) - p["cold"] / 298.15)


def cell_rates(y: Any, u: Row, p: Row) -> list[float]:
    i, g = u["current"], stiffer(y, u, p)
    cycles = abs(i) / 2 / (p["capacity"] * 3600)
    return [
        -i / 3600 / p["capacity"] / y[3],
        (p["r_fast"] * g * i - y[1]) / p["tau_fast"],
        (p["r_slow"] * g * i - y[2]) / p["tau_slow"],
        -p["fade"] * cycles,
        p["growth"] * cycles,
    ]


def cell_reads(y: Any, u: Row, p: Row) -> Row:
    return {"voltage": rest(y[0]) - y[1] - y[2] - p["ohmic"] * stiffer(y, u, p) * u["current"]}


REDLICH = [
    -31593.7, 0.106747, 24606.4, -78561.9, 13317.9, 307387.0, 84916.1, -1.07469e6, 2285.04,
    990894.0, 283920.0, -161513.0, -469218.0,
]  # fmt: skip
R, F = 8.3144621, 96487.0


def nasa_rates(y: Any, u: Row, p: Row) -> list[float]:
    """In charges and volumes, as the paper writes it, both electrodes."""
    i, kelvin = u["current"], u["temperature"] + 273.15
    most, volume = y[5] / 0.6, 2e-5
    charge_bulk, charge_surface = y[0] * most * 0.9, y[1] * most * 0.1
    diffused = charge_bulk / (0.9 * volume) - charge_surface / (0.1 * volume)
    diffused /= p["diffusion"] / volume
    kinetics = []
    for exchange, x in ((p["exchange_negative"], y[1]), (p["exchange_positive"], 1 - y[1])):
        kinetics.append(R * kelvin / F / 0.5 * asinh(i / (2 * exchange * (x * (1 - x)) ** 0.5)))
    return [
        -diffused / (most * 0.9),
        (diffused - i) / (most * 0.1),
        (i * y[6] - y[2]) / p["tau_ohmic"],
        (kinetics[0] - y[3]) / p["tau_negative"],
        (kinetics[1] - y[4]) / p["tau_positive"],
        -p["fade"] * abs(i),
        p["growth"] * abs(i),
    ]


def nasa_reads(y: Any, u: Row, p: Row) -> Row:
    kelvin, xn, xp = u["temperature"] + 273.15, y[1], 1 - y[1]
    inner = sum(
        a * ((2 * xp - 1) ** (k + 1) - 2 * xp * k * (1 - xp) / (2 * xp - 1) ** (1 - k))
        for k, a in enumerate(REDLICH)
    )
    up = 4.03 + R * kelvin / F * log((1 - xp) / xp) + inner / F
    un = 0.01 + R * kelvin / F * log((1 - xn) / xn) + 86.19 * (2 * xn - 1) / F
    return {"voltage": up - un - y[2] - y[3] - y[4]}


# --- water and air -------------------------------------------------------------------------------


def suction(y: Any, u: Row, p: Row) -> tuple[float, float, float]:
    """Speed and inner flow over rated, and the NPSH that is missing, m."""
    s = u["speed"] / p["rated_speed"]
    q = u["flow_rate"] / p["rated_flow"] + y[0] * s
    vapour = 10 ** (8.07131 - 1730.63 / (233.426 + u["temperature"])) * 133.322 / 1e5
    there = (u["suction"] - vapour) * 1e5 / (998 * 9.80665)
    return s, q, max(p["npsh_rated"] * (0.4 * s**2 + 0.6 * q**2) - there, 0)


def pump_rates(y: Any, u: Row, p: Row) -> list[float]:
    s, _, missing = suction(y, u, p)
    return [p["erosion"] * s**3 * (1 + 10 * missing), 0.0]


def pump_reads(y: Any, u: Row, p: Row) -> Row:
    s, q, _ = suction(y, u, p)
    lifted = p["shutoff"] * s**2 - (p["shutoff"] - p["rated_head"]) * q**2
    drawn = p["idle"] * s**3 + (p["full"] - p["idle"]) * s**2 * q
    return {"discharge": u["suction"] + 998 * 9.80665 * lifted / 1e5, "power": drawn * (1 + y[1])}


def tank_reads(y: Any, u: Row, p: Row) -> Row:
    orifice = p["kv"] / (3600 * sqrt(200))  # m²
    speed = sqrt(2 * 9.80665 * y[0]) if y[0] > 1e-3 else sqrt(2 * 9.80665e-3) * max(y[0], 0) / 1e-3
    return {"gauge": y[0], "outflow": 3600 * orifice * speed * u["opening"] * (1 - y[1])}


def tank_rates(y: Any, u: Row, p: Row) -> list[float]:
    return [(u["inflow"] - tank_reads(y, u, p)["outflow"]) / 3600 / p["area"], 0.0]


def zone_rates(y: Any, u: Row, p: Row) -> list[float]:
    air = p["coupling"] * (y[1] - y[0]) + (p["vent"] + y[2]) * (u["outdoor"] - y[0])
    air += u["heating"] * 1000 + 0.3 * p["aperture"] * u["sun"]
    mass = p["coupling"] * (y[0] - y[1]) + p["wall"] * (u["outdoor"] - y[1])
    mass += 0.7 * p["aperture"] * u["sun"]
    return [air / p["c_air"] / 1000, mass / p["c_mass"] / 1000, 0.0]


def incubator_rates(y: Any, u: Row, p: Row) -> list[float]:
    given = p["g_heater"] * (y[0] - y[1])
    lost = (p["g_box"] + y[2]) * (y[1] - u["room"])
    return [(u["power"] - given) / p["c_heater"], (given - lost) / p["c_box"], -y[2] / 1800]


# --- the twins, and their days -------------------------------------------------------------------

TWINS = {
    "PetroffBearing": Twin(
        "petroff", "PetroffBearing",
        {"radius": 50, "length": 100, "clearance": 60, "viscosity": 30, "capacity": 60,
         "roughness": 2, "wear_rate": 1e-4},
        lambda u, p: [u["oil_inlet"], 0.0], petroff_rates, petroff_reads,
    ),
    "RollingBearing": Twin(
        "bearing_life", "RollingBearing",
        {"rating": 14.8, "fatigue_limit": 0.335, "pitch": 39, "viscosity": 68, "cleanliness": 0.5,
         "own_life": 3.49, "quiet": 0.8, "growth": 1.8},
        lambda u, p: [0.0], life_rates,
        lambda y, u, p: {"vibration": p["quiet"] * exp(p["growth"] * y[0])},
    ),
    "BearingDefects": Twin(
        "defect_frequencies", "BearingDefects",
        {"balls": 9, "ratio": 0.20338, "angle": 0, "growth": 0.01, "gain": 5, "floor": 0.3},
        lambda u, p: [0.01, 0.0, 0.0, 0.0], defect_rates, defect_reads,
    ),
    "ParisCrack": Twin(
        "paris_crack", "ParisCrack",
        {"growth": 10, "exponent": 3, "geometry": 1.12, "threshold": 3, "toughness": 60,
         "stress_ratio": 0.1},
        lambda u, p: [1.0, 0.0], crack_rates, lambda y, u, p: {"length": y[0]},
    ),
    "InsulationAgeing": Twin(
        "arrhenius", "InsulationAgeing",
        {"rise": 80, "lag": 3, "activation": 1.2926, "life": 180_000, "shape": 4},
        lambda u, p: [u["ambient"] + p["rise"] * u["load"] ** 1.6, 0.0], insulation_rates,
        lambda y, u, p: {"temperature": y[0], "polymerisation": 1000 / (1 + 4 * y[1])},
    ),
    "LithiumCell": Twin(
        "battery", "LithiumCell",
        {"capacity": 0.85, "ohmic": 0.0745, "r_fast": 0.0467, "tau_fast": 32.8, "r_slow": 0.0498,
         "tau_slow": 223, "cold": 2000, "fade": 2e-4, "growth": 5e-4},
        lambda u, p: [0.8, 0.0, 0.0, 1.0, 1.0], cell_rates, cell_reads,
    ),
    "Electrochemistry": Twin(
        "electrochemistry", "Electrochemistry",
        {"diffusion": 140, "exchange_negative": 0.928, "exchange_positive": 77.06,
         "tau_ohmic": 6.08671, "tau_negative": 1001.38, "tau_positive": 46.4311, "fade": 1e-3,
         "growth": 1e-7},
        lambda u, p: [0.6, 0.6, 0.0, 0.0, 0.0, 7600.0, 0.117215], nasa_rates, nasa_reads,
    ),
    "CentrifugalPump": Twin(
        "pump", "CentrifugalPump",
        {"rated_speed": 1480, "rated_flow": 100, "shutoff": 40, "rated_head": 32, "idle": 5,
         "full": 11.2, "npsh_rated": 2.5, "erosion": 2e-9},
        lambda u, p: [0.0, 0.0], pump_rates, pump_reads,
    ),
    "Tank": Twin(
        "tank", "Tank", {"area": 2, "kv": 40, "height": 2.5},
        lambda u, p: [1.0, 0.0], tank_rates, tank_reads,
    ),
    "ThermalZone": Twin(
        "thermal_zone", "ThermalZone",
        {"c_air": 1500, "c_mass": 25_000, "coupling": 400, "vent": 60, "wall": 50, "aperture": 3},
        lambda u, p: [20.0, (20 * 400 + u["outdoor"] * 50) / 450, 0.0], zone_rates,
        lambda y, u, p: {"thermometer": y[0]},
    ),
    "Incubator": Twin(
        "thermal_zone", "Incubator",
        {"c_box": 267.56, "g_box": 0.5763, "c_heater": 329.25, "g_heater": 1.6705},
        lambda u, p: [u["room"], u["room"], 0.0], incubator_rates,
        lambda y, u, p: {"thermometer": y[1]},
    ),
}  # fmt: skip

# twin: each case's name, constants changed, seconds a step, tolerance; and the row at step k of 36
CASES: dict[str, tuple[list[tuple[str, Row, float, float]], Callable[[int], Row]]] = {
    "PetroffBearing": (
        [("a shift with two stops", {}, 60, 2e-3),
         ("thick oil, narrow", {"viscosity": 60, "clearance": 45}, 60, 2e-3)],
        lambda k: {"speed": 3000 if k % 18 < 14 else 200, "load": 15 + 5 * sin(k / 5),
                   "oil_inlet": 42 + 3 * sin(k / 9)},
    ),
    "RollingBearing": (
        [("three years of months", {}, 2_592_000, 1e-6),
         ("dirty", {"cleanliness": 0.1, "own_life": 0.5}, 259_200, 1e-6)],
        lambda k: {"speed": 400 + 90 * (k % 20), "load": 2 + sin(k / 3),
                   "temperature": 70 + 20 * sin(k / 7)},
    ),
    "BearingDefects": (
        [("sound", {}, 21_600, 1e-9), ("angular contact", {"angle": 25, "balls": 12}, 3600, 1e-9)],
        lambda k: {"speed": 1500 + 300 * sin(k / 4)},
    ),
    "ParisCrack": (
        [("steel", {}, 7200, 1e-7),
         ("a low threshold", {"threshold": 1, "exponent": 2.5}, 3600, 1e-7)],
        lambda k: {"stress_range": 110 + 15 * sin(k / 3), "cycle_rate": 0.5 + 0.02 * k},
    ),
    "InsulationAgeing": (
        [("a day and a half", {}, 3600, 5e-3), ("hot", {"rise": 110, "life": 2000}, 3600, 0.1)],
        lambda k: {"ambient": 20 + 8 * sin(k / 4), "load": 0.8 + 0.3 * sin(k / 6)},
    ),
    "LithiumCell": (
        [("out and in", {}, 60, 5e-5), ("worn", {"fade": 0.02, "cold": 3000}, 60, 5e-5)],
        lambda k: {"current": 0.8 if k % 20 < 10 else -0.6 * (k % 3), "temperature": 15 + 0.3 * k},
    ),
    "Electrochemistry": (
        [("2 A", {}, 60, 1e-4), ("slow diffusion", {"diffusion": 250, "fade": 0.01}, 60, 1e-4)],
        lambda k: {"current": 2.0 if k % 9 < 7 else -1.0, "temperature": 18.95 + 0.2 * k},
    ),
    "CentrifugalPump": (
        [("a day", {}, 3600, 1e-9), ("starved and eroding", {"erosion": 1e-6}, 3600, 1e-5)],
        lambda k: {"speed": 1480 - 10 * (k % 12), "flow_rate": 90 + 20 * sin(k / 4),
                   "suction": 1.1 - 0.03 * (k % 31), "temperature": 20 + k},
    ),
    "Tank": (
        [("an hour", {}, 100, 1e-6), ("a wide valve", {"kv": 80}, 100, 1e-4)],
        lambda k: {"inflow": 9 + 8 * sin(k / 5), "opening": 0.6 + 0.4 * sin(k / 7)},
    ),
    "ThermalZone": (
        [("nine hours", {}, 900, 1e-3), ("a light hut", {"c_mass": 5000, "vent": 120}, 900, 1e-3)],
        lambda k: {"outdoor": 5 + 4 * sin(k / 8), "heating": 2.0 * (k % 8 < 4),
                   "sun": max(0, 300 * sin(k / 12))},
    ),
    "Incubator": (
        [("on and off", {}, 30, 1e-3), ("a small heater", {"c_heater": 150}, 30, 5e-3)],
        lambda k: {"power": 18.67 * (k % 6 < 3), "room": 21 + 0.05 * k},
    ),
}  # fmt: skip


def case(twin: Twin, name: str, changed: Row, dt: float, tolerance: float) -> dict[str, Any]:
    """One case: a row's inputs hold over the dt seconds that end at it."""
    p = twin.p | changed
    rows = [{k: round(float(v), 4) for k, v in CASES[twin.kernel][1](t).items()} for t in range(36)]
    y = np.array(twin.start(rows[0], p), float)
    out = [twin.reads(y, rows[0], p)]
    for row in rows[1:]:
        y = solve_ivp(
            lambda _, y, row=row: twin.rates(y, row, p),
            (0, dt),
            y,
            "DOP853",
            rtol=1e-11,
            atol=1e-11,
        ).y[:, -1]
        out.append(twin.reads(y, row, p))
    return {
        "name": name, "parameters": changed, "dt": dt, "tolerance": tolerance,
        "inputs": {key: [row[key] for row in rows] for key in rows[0]},
        "expect": {key: [round(float(read[key]), 10) for read in out] for key in out[0]},
    }  # fmt: skip


def sets() -> dict[str, dict[str, Any]]:
    """The gold sets, by file name."""
    found: dict[str, dict[str, Any]] = {}
    for name, twin in TWINS.items():
        cases = [case(twin, *settings) for settings in CASES[name][0]]
        one = {"kernel": f"{name} 1.0", "source": SOURCE, "cases": cases}
        found.setdefault(twin.stem, {})[name] = one
    return {
        stem: {"sets": many} if len(many) > 1 else next(iter(many.values()))
        for stem, many in found.items()
    }


if __name__ == "__main__":
    for stem, gold in sets().items():
        path = LIBRARY / f"{stem}.gold.json"
        path.write_text(json.dumps(gold, separators=(",", ":")) + "\n", encoding="utf-8")
