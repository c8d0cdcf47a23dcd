"""Writes the gold sets of the wind kernels: the same physics, solved by someone else.

    python tests/gold_bearings.py

The equations are written here a second time, in hours and in one vector, and solved by SciPy's
DOP853 at a tolerance of 1e-11, input by input. Nothing of `gemel` is imported.
"""

import json
from collections.abc import Callable
from math import exp, tanh
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

LIBRARY = Path(__file__).parent.parent / "src" / "gemel" / "kernels" / "library"
SOURCE = "tests/gold_bearings.py: the same equations solved by SciPy DOP853, rtol = atol = 1e-11"

WORKED = "the worked example of GE's digital-twin starter kit"

ROTOR = {
    "friction": 1.4, "loading": 0.5, "thinning": 0.03, "cooling": 0.11, "outside": 0.4,
    "offset": 0.0,
}  # fmt: skip
GENERATOR = {
    "air_lag": 0.6, "fan_at": 9.0, "fan_lead": 1.0, "fan_width": 1.5, "thermostat": 57.0,
    "iron": 35.0, "copper": 40.0, "stator_cooling": 0.5, "stator_fan": 2.2, "friction": 9.0,
    "shear": 0.5, "thinning": 0.03, "conduction": 0.28, "cooling": 1.1, "fan": 0.8, "offset": 3.0,
    "probe_lag": 0.1,
}  # fmt: skip
SICK = {"friction": 14.0, "shear": 0.4, "fan": 0.3, "thermostat": 62.0, "probe_lag": 0.15}

Inputs = dict[str, list[float]]


def rotor(y: Any, u: dict[str, float], p: dict[str, float]) -> list[float]:
    n, q = max(u["rotor_speed"], 0) / 17, max(u["power"], 0) / 2000
    around = (1 - p["outside"]) * u["nacelle"] + p["outside"] * u["ambient"] + p["offset"]
    heat = p["friction"] * n * (1 + p["loading"] * q) / exp(p["thinning"] * (y[0] - 25))
    return [heat + p["cooling"] * (around - y[0])]


def generator(y: Any, u: dict[str, float], p: dict[str, float]) -> list[float]:
    bearing, stator, air, probe = y
    n, q = u["generator_speed"] / 1800, max(u["power"], 0) / 2000
    over = u["nacelle"] - u["ambient"]
    wanted = (p["fan_at"] - over - p["fan_lead"] * (u["nacelle"] - air)) / p["fan_width"]
    duty = 1 / (1 + exp(-wanted)) / (1 + exp(-(stator - p["thermostat"]) / 2))
    on = (1 + tanh((u["generator_speed"] - 900) / 60)) / 2
    grease = p["friction"] * (n ** p["shear"] if n > 0 else 0.0)
    grease /= exp(p["thinning"] * (bearing - 40))
    lost = p["cooling"] * (1 + p["fan"] * duty) * (bearing - u["nacelle"] - p["offset"])
    stator_lost = p["stator_cooling"] * (1 + p["stator_fan"] * duty) * (stator - u["nacelle"])
    return [
        grease + p["conduction"] * (stator - bearing) - lost,
        p["iron"] * on + p["copper"] * q * q - stator_lost,
        (u["nacelle"] - air) / p["air_lag"],
        (bearing - probe) / p["probe_lag"],
    ]


def solve(
    rates: Callable[..., list[float]], start: list[float], u: Inputs, p: dict[str, float], dt: float
) -> list[list[float]]:
    """States at each row: the row's inputs hold over the dt seconds that end at it."""
    rows = [dict(zip(u, values, strict=True)) for values in zip(*u.values(), strict=True)]
    y, out = np.array(start), [list(start)]
    for row in rows[1:]:
        found = solve_ivp(
            lambda _, y, row=row: rates(y, row, p),
            (0, dt / 3600),
            y,
            "DOP853",
            rtol=1e-11,
            atol=1e-11,
        )
        y = found.y[:, -1]
        out.append(y.tolist())
    return out


def weather(steps: int) -> Inputs:
    """Two days in the life of a turbine: a calm, a storm, a stop; on the file's resolution."""
    t = np.arange(steps) / steps
    wind = np.clip(1.1 * np.sin(7 * t) + 0.35 * np.sin(41 * t) + 0.3, 0, 1.6) / 1.6
    running = (wind > 0.08) & ((t < 0.72) | (t > 0.8))
    rotor_speed = np.where(running, 8 + 9 * np.sqrt(wind), 0.4)
    ambient = 12 + 7 * np.sin(9 * t - 1)
    return {
        "rotor_speed": rotor_speed.round(2).tolist(),
        "generator_speed": (rotor_speed * 105.6).round(2).tolist(),
        "power": np.where(running, 2000 * wind**2, -4).round(2).tolist(),
        "ambient": ambient.round(2).tolist(),
        "nacelle": (ambient + 8 + 6 * wind + 2 * np.sin(23 * t)).round(2).tolist(),
    }


def case(
    kind: str, name: str, p: dict[str, float], changed: dict[str, float], dt: float, steps: int,
    tolerance: float,
) -> dict[str, Any]:  # fmt: skip
    """One case: inputs and what the independent solution reads."""
    u = weather(steps)
    speed = "rotor_speed" if kind == "rotor" else "generator_speed"
    u = {key: u[key] for key in (speed, "power", "ambient", "nacelle")}
    if kind == "rotor":
        start = [u["ambient"][0] + 11 + 4 * min(max(u["rotor_speed"][0], 0) / 10, 1)]
        states = solve(rotor, start, u, p | changed, dt)
        expect = {"temperature": [round(s[0], 7) for s in states]}
    else:
        n, nacelle = u["generator_speed"][0] / 1800, u["nacelle"][0]
        start = [nacelle + 12 * n, nacelle + 20 * n, nacelle, nacelle + 12 * n]
        states = solve(generator, start, u, p | changed, dt)
        expect = {"temperature": [round(s[3], 7) for s in states]}
        expect["state.stator"] = [round(s[1], 7) for s in states]
    return {
        "name": name, "parameters": changed, "inputs": u, "dt": dt, "expect": expect,
        "tolerance": tolerance,
    }  # fmt: skip


def sets() -> dict[str, dict[str, Any]]:
    """The gold sets, by file name."""
    rotor_cases = [
        case("rotor", "two days, 10 min a step", ROTOR, {}, 600, 288, 1e-6),
        case("rotor", "worn and cold", ROTOR, {"friction": 3.0, "thinning": 0.05}, 600, 96, 1e-6),
    ]
    generator_cases = [
        case("generator", "two days, 1 min a step", GENERATOR, {}, 60, 288, 1e-4),
        case("generator", "two days, 10 min a step", GENERATOR, {}, 600, 288, 0.2),
        case("generator", "a sick bearing, 1 min a step", GENERATOR, SICK, 60, 144, 1e-4),
    ]
    line = {"temperature": [199.0] * 4, "delta.temperature": [2.0, 4.0, 9.0, 12.0]}
    ge = {
        "name": "3000 rpm, 0.065, 4.0", "parameters": {"slope": 0.065, "intercept": 4.0},
        "inputs": {"speed": [3000.0] * 4}, "dt": 60, "expect": line, "tolerance": 1e-9,
        "readings": {"temperature": [201.0, 203.0, 208.0, 211.0]},
    }  # fmt: skip
    ge_set = {"kernel": "ExpectedTemperature 1.0", "source": WORKED, "cases": [ge]}
    return {
        "expected_temperature": ge_set,
        "rotor_bearing": {"kernel": "RotorBearing 1.0", "source": SOURCE, "cases": rotor_cases},
        "generator_bearing": {
            "kernel": "GeneratorBearing 1.0", "source": SOURCE, "cases": generator_cases,
        },
    }  # fmt: skip


if __name__ == "__main__":
    for stem, gold in sets().items():
        path = LIBRARY / f"{stem}.gold.json"
        path.write_text(json.dumps(gold, separators=(",", ":")) + "\n", encoding="utf-8")
