"""The reference kernels' equations and numbers, in plain Python for the peers.

Owns    functions of scalars: whatever has + − × ÷ and an `exp` runs through them, so floats, NumPy
        columns and JAX columns all do. Derivatives are written out by hand, zeros left out.
Never   imports Gemel: the peers' environment has none. `tests/test_reference.py` holds it to
        `benchmarks/reference.py`.
"""

from collections.abc import Callable
from typing import Any

TICK = 10.0  # s
Exp = Callable[[Any], Any]
Row = tuple[Any, ...]

START = (50.0, 0.05, 0.0, 0.0)
START_STD = (2.0, 0.03, 0.1, 0.3)
NOISE = (0.03, 3e-5, 1e-3, 3e-4)  # per √s
SENSOR_NOISE = (0.5, 0.1)
TYPICAL = (60.0, 1.0, 0.5, 0.72, 0.012, 2.0, 40.0, 25.0, 2e-6, 0.03, 2.0, 3.0)

HOUSING = (0.48, 0.012, 1 / 60, 1 / 120, 25.0)
HOUSING_START, HOUSING_NOISE, HOUSING_SPREAD = 40.0, 0.5, 0.15

WEARING = (0.6, 0.012, 1 / 60, 2e-4, 0.03)
WEARING_START, WEARING_NOISE = (60.0, 0.1), (0.2, 1e-3)

# --- ReferenceBearing ----------------------------------------------------------------------------


def rates(exp: Exp, x: Row, u: Row, p: Row) -> Row:
    """x' of temperature, wear and bias; the drift stands still."""
    temperature, wear, bias = x[:3]
    speed, load = u
    capacity, loss, draught, friction, thinning, grip, heating, ambient, pace, haste = p[:10]
    power = speed * load
    film = friction * exp(thinning * (60.0 - temperature)) * (1.0 + grip * wear)
    heat = (film + bias) * power * heating
    cooled = (loss + draught * speed) * (temperature - ambient)
    return (
        (heat - cooled) / capacity,
        pace * power * exp(haste * (temperature - 80.0)),
        -bias / 600.0,
    )


def slopes(exp: Exp, x: Row, u: Row, p: Row) -> tuple[Row, Row]:
    """`rates`, and its derivatives: temperature by temperature, wear, bias; wear by temperature."""
    temperature, wear, bias = x[:3]
    speed, load = u
    capacity, loss, draught, friction, thinning, grip, heating, ambient, pace, haste = p[:10]
    power = speed * load
    scale = power * heating / capacity
    thick = friction * exp(thinning * (60.0 - temperature))
    film = thick * (1.0 + grip * wear)
    cooling = (loss + draught * speed) / capacity
    worn = pace * power * exp(haste * (temperature - 80.0))
    rate = ((film + bias) * scale - cooling * (temperature - ambient), worn, -bias / 600.0)
    return rate, (-thinning * film * scale - cooling, grip * thick * scale, scale, haste * worn)


def readings(x: Row, u: Row, p: Row) -> Row:
    """Oil temperature and vibration."""
    temperature, wear, bias, drift = x
    hum, rattle = p[10:]
    speed = u[0]
    return (
        temperature + drift,
        hum * speed * speed + rattle * speed * wear * (1.0 + wear) + 0.5 * bias,
    )


def vibration_by_wear(x: Row, u: Row, p: Row) -> Any:
    """The one derivative of `readings` that is not a constant: the others are 1, 1 and 1/2."""
    return p[11] * u[0] * (1.0 + 2.0 * x[1])


def step(exp: Exp, x: Row, u: Row, p: Row, h: float) -> Row:
    """One RK4 step of all four states."""
    still = x[3]
    at = x[:3]
    k1 = rates(exp, at, u, p)
    k2 = rates(exp, _moved(at, 0.5 * h, k1), u, p)
    k3 = rates(exp, _moved(at, 0.5 * h, k2), u, p)
    k4 = rates(exp, _moved(at, h, k3), u, p)
    sixth = h / 6.0
    return (
        at[0] + sixth * (k1[0] + 2.0 * (k2[0] + k3[0]) + k4[0]),
        at[1] + sixth * (k1[1] + 2.0 * (k2[1] + k3[1]) + k4[1]),
        at[2] + sixth * (k1[2] + 2.0 * (k2[2] + k3[2]) + k4[2]),
        still,
    )


def _moved(x: Row, h: float, k: Row) -> Row:
    return (x[0] + h * k[0], x[1] + h * k[1], x[2] + h * k[2])


def step_jacobian(exp: Exp, x: Row, u: Row, p: Row, h: float) -> tuple[Row, Row]:
    """One RK4 step, and the seven derivatives of it that move, exact.

    ∂T⁺/∂(T, w, b) · ∂w⁺/∂(T, w, b) · ∂b⁺/∂b; the drift's is 1 and all others are 0.
    """
    still = x[3]
    at, sixth = x[:3], h / 6.0
    k1, j1 = slopes(exp, at, u, p)
    k2, j2 = slopes(exp, _moved(at, 0.5 * h, k1), u, p)
    k3, j3 = slopes(exp, _moved(at, 0.5 * h, k2), u, p)
    k4, j4 = slopes(exp, _moved(at, h, k3), u, p)
    b2 = 1.0 - 0.5 * h / 600.0  # the bias' own column decays by itself
    b3 = 1.0 - 0.5 * h / 600.0 * b2
    b4 = 1.0 - h / 600.0 * b3
    push = j1[2]  # how the bias heats: the same at every stage
    stages = (j1, j2, j3, j4)
    t_t, w_t = _column(stages, h, 1.0, 0.0, None)
    t_w, w_w = _column(stages, h, 0.0, 1.0, None)
    t_b, w_b = _column(stages, h, 0.0, 0.0, (push, push * b2, push * b3, push * b4))
    b_b = 1.0 - sixth / 600.0 * (1.0 + 2.0 * (b2 + b3) + b4)
    after = (
        at[0] + sixth * (k1[0] + 2.0 * (k2[0] + k3[0]) + k4[0]),
        at[1] + sixth * (k1[1] + 2.0 * (k2[1] + k3[1]) + k4[1]),
        at[2] + sixth * (k1[2] + 2.0 * (k2[2] + k3[2]) + k4[2]),
        still,
    )
    return after, (t_t, t_w, t_b, w_t, w_w, w_b, b_b)


def _column(stages: Row, h: float, t: float, w: float, pushes: Row | None) -> tuple[Any, Any]:
    """∂(T⁺, w⁺) by one seed: RK4 on t' = J_tt t + J_tw w + push, w' = J_wt t."""
    (tt1, tw1, _, wt1), (tt2, tw2, _, wt2), (tt3, tw3, _, wt3), (tt4, tw4, _, wt4) = stages
    half = 0.5 * h
    if pushes is None:
        a1, c1 = (tt1, wt1) if t else (tw1, None)  # a unit seed: only its own column of J
        t2 = t + half * a1
        w2 = half * c1 if c1 is not None else w
        a2, c2 = tt2 * t2 + tw2 * w2, wt2 * t2
        t3, w3 = t + half * a2, w + half * c2
        a3, c3 = tt3 * t3 + tw3 * w3, wt3 * t3
        t4, w4 = t + h * a3, w + h * c3
        a4, c4 = tt4 * t4 + tw4 * w4, wt4 * t4
    else:
        a1, c1 = pushes[0], None
        t2 = half * a1
        a2, c2 = tt2 * t2 + pushes[1], wt2 * t2
        t3, w3 = half * a2, half * c2
        a3, c3 = tt3 * t3 + tw3 * w3 + pushes[2], wt3 * t3
        t4, w4 = h * a3, h * c3
        a4, c4 = tt4 * t4 + tw4 * w4 + pushes[3], wt4 * t4
    sixth = h / 6.0
    first = c1 if c1 is not None else 0.0
    return (
        t + sixth * (a1 + 2.0 * (a2 + a3) + a4),
        w + sixth * (first + 2.0 * (c2 + c3) + c4),
    )


# --- Housing and Wearing -------------------------------------------------------------------------


def housing_step(exp: Exp, x: Any, u: Row, p: Row, h: float) -> Any:
    """One RK4 step of the housing's temperature."""
    speed, load = u
    friction, thinning, loss, draught, ambient = p
    power = friction * speed * load
    cooling = loss + draught * speed
    k1 = power * exp(thinning * (60.0 - x)) - cooling * (x - ambient)
    at = x + 0.5 * h * k1
    k2 = power * exp(thinning * (60.0 - at)) - cooling * (at - ambient)
    at = x + 0.5 * h * k2
    k3 = power * exp(thinning * (60.0 - at)) - cooling * (at - ambient)
    at = x + h * k3
    k4 = power * exp(thinning * (60.0 - at)) - cooling * (at - ambient)
    return x + h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)


def wearing_step(exp: Exp, x: Row, load: Any, p: Row, h: float) -> Row:
    """One Euler step of temperature and wear, before the noise."""
    temperature, wear = x
    friction, thinning, loss, pace, haste = p
    heat = friction * load * exp(thinning * (60.0 - temperature))
    rate = heat - loss * (temperature - 25.0)
    worn = pace * load * exp(haste * (temperature - 80.0))
    return temperature + h * rate, wear + h * worn
