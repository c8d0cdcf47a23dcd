"""Compiled code computes what NumPy computes, lane by lane, wherever the fleet is cut."""

import pickle
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from benchmarks.reference import ReferenceBearing
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gemel import interp2
from gemel.engines.local import Local
from gemel.errors import Bug, GemelError, Invalid
from gemel.kernels import draws, filters
from gemel.kernels.emit import LANES, TILE
from gemel.kernels.expression import MEANING, Graph, apply
from gemel.kernels.native import Native, compile_, padded, shared
from gemel.kernels.program import Program

Author = Callable[..., Any]
Columns = dict[str, NDArray[Any]]
REALS: dict[str, Any] = {"f": np.float32, "d": np.float64}


def traced(author: Author, *names: str, kinds: dict[str, str] | None = None) -> Program:
    """A program of an author's function: what it returns, by name."""
    graph = Graph()
    told = author(*(graph.input(name, (kinds or {}).get(name, "f")) for name in names))
    return Program.of("test", graph, told if isinstance(told, dict) else {"out": told}, kinds)


def run(program: Program, real: str, given: Columns, steps: tuple[int, int] = (0, 1)) -> Columns:
    """Every column after a compiled run; those that are only written begin as 0."""
    native, lanes = Native(program, real), next(iter(given.values())).shape[-1]
    columns = {name: np.zeros(padded(lanes), kind) for name, kind in native.columns.items()}
    for name, kind in native.columns.items():
        if name in given:
            rest = padded(lanes) - lanes
            wide = [(0, 0)] * (given[name].ndim - 1) + [(0, rest)]
            columns[name] = np.ascontiguousarray(np.pad(given[name], wide, mode="edge"), kind)
    native.apply(columns, padded(lanes), steps)
    return {name: column[..., :lanes] for name, column in columns.items()}


def compiled(author: Author, real: str, *values: Any) -> Any:
    """What the compiled function gives."""
    names = [f"x{k}" for k in range(len(values))]
    given = {name: np.atleast_1d(np.asarray(v)) for name, v in zip(names, values, strict=True)}
    return run(traced(author, *names), real, given)["out"]


# ---- elementary functions ------------------------------------------------------------------------

COUNT = 40_000
TRUE = np.longdouble
FINE = bool(np.finfo(np.longdouble).eps < 1e-18)  # else the truth itself is off by half a place


def spread(seed: int, low: float, high: float) -> NDArray[np.float64]:
    """Sizes of all orders between two, of either sign."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(np.log(low), np.log(high), COUNT))
    return np.where(rng.random(COUNT) < 0.5, -size, size)


def even(seed: int, low: float, high: float) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(low, high, COUNT)


WIDE = {"f": (1.2e-38, 3e38), "d": (2.3e-308, 1e308)}
STATED: dict[str, tuple[Any, float, Callable[[str], list[NDArray[np.float64]]]]] = {
    "exp": (np.exp, 2, lambda r: [even(1, -87, 88) * (1 if r == "f" else 8)]),
    "exp of little": (np.exp, 2, lambda r: [spread(2, 1e-12, 1)]),
    "expm1": (np.expm1, 5, lambda r: [np.append(spread(3, 1e-30, 1), even(4, -20, 80))]),
    "log": (np.log, 2, lambda r: [np.abs(spread(5, *WIDE[r]))]),
    "log near 1": (np.log, 2, lambda r: [even(6, 0.5, 2)]),
    "log1p": (np.log1p, 2, lambda r: [np.append(spread(7, 1e-30, 0.99), even(8, 0, 1e3))]),
    "sin": (np.sin, 3, lambda r: [even(9, -100, 100)]),
    "sin of little": (np.sin, 3, lambda r: [spread(10, 1e-20, 1)]),
    "sin of much": (np.sin, 3, lambda r: [even(11, -1e6, 1e6)]),
    "cos": (np.cos, 3, lambda r: [even(12, -100, 100)]),
    "cos of much": (np.cos, 3, lambda r: [even(13, -1e6, 1e6)]),
    "tan": (np.tan, 5, lambda r: [even(14, -100, 100)]),
    "tanh": (np.tanh, 2, lambda r: [np.append(spread(15, 1e-20, 30), even(16, -2, 2))]),
    "arctan2": (np.arctan2, 3, lambda r: [spread(17, 1e-10, 1e10), spread(18, 1e-10, 1e10)]),
    "arctan": (np.arctan, 3, lambda r: [even(19, -3, 3)]),
    "log10": (np.log10, 3, lambda r: [np.abs(spread(20, 1e-30, 1e30))]),
    "hypot": (np.hypot, 3, lambda r: [spread(21, 1e-9, 1e9), spread(22, 1e-9, 1e9)]),
    "arccos": (np.arccos, 5, lambda r: [even(23, -1, 1)]),
    "sinh": (np.sinh, 5, lambda r: [spread(24, 1e-10, 20)]),
    "power": (np.power, 1, lambda r: [np.abs(spread(25, 1e-3, 1e3)), even(26, -5, 5)]),
}


def places(found: Any, true: Any, real: str) -> Any:
    """The error in units of the last place of the true value."""
    last = np.spacing(np.abs(true.astype(REALS[real]))).astype(TRUE)
    return np.abs(found.astype(TRUE) - true) / last


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", STATED)
def test_an_elementary_function_is_as_exact_as_it_says(name: str, real: str) -> None:
    ufunc, bound, arguments = STATED[name]
    values = [a.astype(REALS[real]) for a in arguments(real)]
    true = ufunc(*(v.astype(TRUE) for v in values))
    error = places(compiled(ufunc, real, *values), true, real)
    limit = np.full(error.shape, bound + (0 if FINE or real == "f" else 0.5))
    if name == "power" and real == "d":
        limit = 2.0 + np.abs(values[1] * np.log(values[0]))
    worst = int(np.argmax(error - limit))
    assert (error <= limit).all(), f"{float(error[worst])} at {[float(v[worst]) for v in values]}"


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(
    "ufunc",
    [np.exp, np.expm1, np.log, np.log1p, np.sin, np.cos, np.tan, np.tanh, np.sqrt, np.floor]
    + [lambda x: x**1.7, lambda x: 2.0**x]
    + [lambda x: np.arctan2(x, 1.0), lambda x: np.arctan2(1.0, x)],
)
def test_nan_stays_nan(ufunc: Any, real: str) -> None:
    assert np.isnan(compiled(ufunc, real, np.nan)).all()


@pytest.mark.parametrize("real", REALS)
def test_the_ends_of_the_number_line(real: str) -> None:
    inf, held = np.inf, 87.0 if real == "f" else 708.0
    ends = compiled(np.exp, real, [-inf, -1e4, 1e4, inf])
    assert (ends > 0).all() and np.isfinite(ends).all()
    np.testing.assert_allclose(np.log(ends), [-held, -held, held + 1, held + 1], rtol=1e-6)
    np.testing.assert_array_equal(compiled(np.log, real, [0.0, -1.0, inf]), [-inf, np.nan, inf])
    np.testing.assert_array_equal(compiled(np.log1p, real, [-1.0, inf]), [-inf, inf])
    np.testing.assert_array_equal(compiled(np.tanh, real, [-inf, inf, 0.0]), [-1.0, 1.0, 0.0])
    np.testing.assert_array_equal(compiled(np.expm1, real, [-inf, 0.0]), [-1.0, 0.0])
    far = compiled(np.sin, real, spread(30, 1e6, 3e38))
    assert (np.abs(far) <= 1.0).all()


@pytest.mark.parametrize("real", REALS)
def test_angles_and_powers_are_numpys_in_every_quadrant(real: str) -> None:
    y, x = np.meshgrid([-2.0, -1.0, 0.0, 0.5, 3.0], [-2.0, -1.0, 0.0, 0.5, 3.0])
    found = compiled(np.arctan2, real, y.ravel(), x.ravel())
    np.testing.assert_allclose(found, np.arctan2(y, x).ravel(), rtol=3e-7)
    y, x = np.meshgrid([-3.0, -2.0, -0.5, 0.0, 0.5, 2.0, 3.0], [-2.0, -0.5, 0.0, 1.0, 7.0])
    with np.errstate(all="ignore"):
        wanted = np.power(x, y).ravel()
    np.testing.assert_allclose(compiled(np.power, real, x.ravel(), y.ravel()), wanted, rtol=3e-7)


# ---- every operation, and any of them together ---------------------------------------------------

NEEDS = {"log": "above", "sqrt": "above", "pow": "above", "log1p": "above"}
TRUTHS = {"and", "or", "not"}
WORDS = {"word", "high", "low"}


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("op", sorted(set(MEANING) - WORDS))
def test_every_operation_is_numpys(op: str, real: str) -> None:
    rng = np.random.default_rng(3)
    count = 3 if op == "where" else 1 if op in ONE_ARGUMENT else 2
    values = [rng.normal(size=256).astype(REALS[real]) for _ in range(count)]
    if op in NEEDS:
        values[0] = np.abs(values[0])
    if op in ("eq", "ne"):
        values[1] = np.where(rng.random(256) < 0.5, values[0], values[1])

    def author(*x: Any) -> Any:
        parts = [v > 0.1 for v in x] if op in TRUTHS else list(x)
        if op == "where":
            parts[0] = x[0] > 0.1
        if op in ("sin_turns", "cos_turns"):
            return x[0].graph.add(op, (x[0].index,), "f")
        return apply(x[0].graph, op, *parts)

    made = traced(author, *(f"x{k}" for k in range(count)))
    given = {f"x{k}": v for k, v in enumerate(values)}
    wanted = made.run(given, real=REALS[real])["out"]
    found = run(made, real, given)["out"]
    assert found.dtype == wanted.dtype
    close = 2e-6 if real == "f" else 1e-14
    near_0 = close if "turns" in op else 1e-15  # where NumPy rounds 2πx first
    np.testing.assert_allclose(found, wanted, rtol=close, atol=near_0)


ONE_ARGUMENT = {
    "neg", "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "tanh", "abs", "floor",
    "not", "sin_turns", "cos_turns",
}  # fmt: skip
POINTS = np.array([-2.0, -0.5, 0.1, 1.0, 3.0])
LONG = np.linspace(-3.0, 3.0, 40)
PLANE = np.random.default_rng(4).normal(size=(5, 40))
NUDGE = 0.0271828  # numbers that are equal but for rounding are kept from where an answer jumps
STEPS: list[Author] = [
    lambda a, b, c: a + b,
    lambda a, b, c: a - b,
    lambda a, b, c: a * np.tanh(b),
    lambda a, b, c: a / (1.0 + b * b),
    lambda a, b, c: np.exp(-a * a),
    lambda a, b, c: np.expm1(np.tanh(a)),
    lambda a, b, c: np.log1p(a * a) - np.log(1.0 + b * b),
    lambda a, b, c: np.sqrt(np.abs(a) + 0.1),
    lambda a, b, c: np.sin(a) * np.cos(b),
    lambda a, b, c: np.tan(np.tanh(a)),
    lambda a, b, c: np.arctan2(a + NUDGE, b),
    lambda a, b, c: (0.5 + a * a) ** np.tanh(b),
    lambda a, b, c: np.maximum(a, b) + np.minimum(b, c),
    lambda a, b, c: np.where(a > b + NUDGE, c, np.where(b <= c - NUDGE, a, -b)),
    lambda a, b, c: np.where((a > NUDGE) & (b < 1 + NUDGE) | ~(c >= a + NUDGE), a, 0.3),
    lambda a, b, c: 1.0 * (a > NUDGE) + 2.0 * (b < c + NUDGE),
    lambda a, b, c: np.floor(a + NUDGE) + np.ceil(b + NUDGE) * np.sign(c + NUDGE),
    lambda a, b, c: np.interp(a, POINTS, [1.0, 0.0, 2.0, 2.0, -1.0]),
    lambda a, b, c: np.interp(a, LONG, np.sin(LONG)),
    lambda a, b, c: interp2(a, b, POINTS, LONG, PLANE),
]
lines = st.lists(
    st.tuples(st.sampled_from(range(len(STEPS))), *[st.integers(0, 10**6)] * 3),
    min_size=1,
    max_size=12,
)
MIXED = {"x0": "f", "x1": "f", "x2": "d", "last": "f", "whole": "d"}


def stacked(program: list[tuple[int, ...]], *inputs: Any) -> dict[str, Any]:
    """A straight line of steps, each on three of the values so far."""
    values = list(inputs)
    for step, *at in program:
        values.append(STEPS[step](*(values[k % len(values)] for k in at)))
    return {"last": values[-1], "whole": sum(values[1:], values[0])}


@given(lines, st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_any_program_is_numpys(program: list[tuple[int, ...]], seed: int) -> None:
    made = traced(lambda *x: stacked(program, *x), "x0", "x1", "x2", kinds=MIXED)
    rng = np.random.default_rng(seed)
    given = {f"x{k}": rng.normal(size=64).astype(np.float32).astype(float) for k in range(3)}
    for real, close in (("d", 1e-13), ("f", 3e-6)):
        wanted = made.run(given)
        nudged = [
            made.run({name: v * (1 + close * rng.choice([-1, 1], 64)) for name, v in given.items()})
            for _ in range(4)
        ]
        found = run(made, real, given)
        for name, true in wanted.items():
            # what a last place of the inputs moves
            moved = np.max([np.abs(other[name] - true) for other in nudged], axis=0)
            allowed = close * (30 + 10 * np.abs(true)) + 30 * moved
            assert (np.abs(found[name] - true) <= allowed).all()


# ---- vectors -------------------------------------------------------------------------------------


@lru_cache
def reference() -> Program:
    return filters.ekf(ReferenceBearing)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.parametrize("make", [filters.ekf, filters.ukf])
def test_the_reference_filter_is_packed_arithmetic_alone(make: Any) -> None:
    text = Native(make(ReferenceBearing)).assembly()
    code = [line.split("#")[0].split() for line in text.splitlines() if line.startswith("\t")]
    words = [parts[0] for parts in code if parts and not parts[0].startswith(".")]
    arithmetic = re.compile(r"v?(add|sub|mul|div|sqrt|max|min|fn?m(add|sub)\d*|rndscale|cmp\w*)")
    packed = [w for w in words if arithmetic.fullmatch(w[:-2]) and w[-2:] in ("ps", "pd")]
    scalar = [w for w in words if arithmetic.fullmatch(w[:-2]) and w[-2:] in ("ss", "sd")]
    assert len(packed) > 300 and not scalar
    assert not [w for w in words if w.startswith("call")]


def plausible(part: str, rest: str) -> tuple[float, float]:
    """The middle of a column's numbers, and how wide they lie."""
    layout = ReferenceBearing.layout
    if part == "x":
        return layout.states[rest].start, layout.states[rest].start_std
    if part == "D":
        return layout.states[rest].start_std ** 2, 0.0
    if part == "p":
        return layout.parameters[rest].typical, 0.0
    known = {"u": (1.0, 0.1), "dt": (10.0, 0.0), "parts": (1.0, 0.0), "inflate": (1.0, 0.0)}
    known["y"] = (50.0, 3.0) if rest == "oil_temperature" else (2.0, 0.3)
    return known.get(part, (0.0, 0.0))


def fleet(lanes: int) -> Columns:
    """Columns of the reference filter."""
    rng = np.random.default_rng(0)
    columns: Columns = {}
    for name, kind in Native(reference()).columns.items():
        part, _, rest = name.partition(".")
        middle, wide = plausible(part, rest)
        normal = (middle + wide * rng.normal(size=lanes)).astype(kind)
        columns[name] = rng.random(lanes) < 0.8 if kind is np.bool_ else normal
    return columns


def bits(columns: Columns) -> dict[str, bytes]:
    return {name: column.tobytes() for name, column in columns.items()}


def copied(columns: Columns) -> Columns:
    return {name: column.copy() for name, column in columns.items()}


def test_threads_and_cuts_change_no_bit() -> None:
    native, lanes = Native(reference()), 40 * TILE
    start = fleet(lanes)
    whole = copied(start)
    native.apply(whole, lanes, (0, 3))
    wanted = bits(whole)
    assert wanted != bits(start)
    for threads in (1, 2):
        there = copied(start)
        Local(threads).run(native, native.table(there, lanes), 0, lanes, (0, 3))
        assert bits(there) == wanted
    rng = np.random.default_rng(5)
    for _ in range(5):
        there = copied(start)
        table = native.table(there, lanes)
        cuts = np.unique(rng.integers(0, lanes // LANES, 20)) * LANES
        edges = [0, *(int(c) for c in cuts if c), lanes]
        pieces = [(a, b) for a, b in zip(edges, edges[1:], strict=False)]
        rng.shuffle(pieces)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda p, t=table: native.run(t, *map(int, p), steps=(0, 3)), pieces))
        assert bits(there) == wanted


@pytest.mark.parametrize("poison", [np.nan, np.inf, -1e30])
def test_no_asset_feels_its_neighbours(poison: float) -> None:
    lanes, sick = 5 * LANES, 37
    calm, ill = fleet(lanes), fleet(lanes)
    for column in ill.values():
        if column.dtype != np.bool_:
            column[sick] = poison
    for columns in (calm, ill):
        Native(reference()).apply(columns, lanes, (0, 4))
    others = np.arange(lanes) != sick
    for name in calm:
        assert calm[name][others].tobytes() == ill[name][others].tobytes()


def test_a_lane_is_the_same_wherever_it_stands() -> None:
    start = fleet(TILE + 5 * LANES)
    turned = {name: np.roll(column, 7) for name, column in start.items()}
    for columns in (start, turned):
        Native(reference()).apply(columns, TILE + 5 * LANES, (0, 2))
    for name, column in start.items():
        assert np.roll(column, 7).tobytes() == turned[name].tobytes()


# ---- columns and time ----------------------------------------------------------------------------


def test_columns_that_replace_each_other_are_all_read_before_they_are_written() -> None:
    made = traced(lambda x, y, z: {"x": y, "y": z + x, "z": x * 10.0}, "x", "y", "z")
    there = run(made, "d", {"x": np.ones(32), "y": np.full(32, 2.0), "z": np.full(32, 3.0)})
    assert [there[name][5] for name in "xyz"] == [2.0, 4.0, 10.0]


def test_a_history_is_a_loop_over_its_steps() -> None:
    def author(x: Any, u: Any, seen: Any, gain: Any) -> dict[str, Any]:
        step = x.graph.add("step", (), "f")
        moved = np.where(seen > 0.5, x + gain * (u - x), x + 0.01 * step)
        return {"x": moved, "track": np.sin(moved), "high": moved > 0.3}

    made, lanes, steps = traced(author, "x", "u", "seen", "gain"), 2 * TILE + 3 * LANES, (3, 40)
    rng = np.random.default_rng(6)
    count = steps[1] - steps[0]
    columns: Columns = {
        "x": rng.normal(size=lanes),
        "u": rng.normal(size=(count, lanes)),
        "seen": rng.random((count, lanes)),
        "gain": np.repeat(rng.random((count, 1)), TILE, axis=1),
        "track": np.zeros((count, lanes)),
        "high": np.zeros((count, lanes), np.bool_),
    }
    x = columns["x"].copy()
    Native(made, "d").apply(columns, lanes, steps)
    for k in range(count):
        now = {name: columns[name][k] for name in ("u", "seen")} | {"gain": columns["gain"][k, :1]}
        told = made.run({"x": x} | now, step=steps[0] + k)
        x = told["x"]
        np.testing.assert_allclose(columns["track"][k], told["track"], rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(columns["high"][k], told["high"])
    np.testing.assert_allclose(columns["x"], x, rtol=1e-12, atol=1e-12)


def test_what_all_lanes_share_is_given_once() -> None:
    graph = Graph()
    x, a, b = (graph.input(name) for name in "xab")
    made = Program.of("test", graph, {"x": x * a + b}, uniform=["b"])
    lanes = 2 * TILE
    columns: Columns = {
        "x": np.arange(lanes, dtype=np.float32),
        "a": shared(2.0),
        "b": np.array([[1.0], [5.0]], np.float32),
    }
    Native(made).apply(columns, lanes, (0, 2))
    np.testing.assert_array_equal(columns["x"], 4.0 * np.arange(lanes) + 7.0)


LANES_3 = 3 * LANES
WRONG: dict[str, Any] = {
    "missing": None,
    "type": np.zeros(LANES_3),
    "byte order": np.zeros(LANES_3, ">f4"),
    "length": np.zeros(LANES_3 - 1, np.float32),
    "stride": np.zeros(2 * LANES_3, np.float32)[::2],
    "transposed": np.zeros((LANES_3, 4), np.float32).T,
    "one number": np.float32(1.0),
    "list": [0.0] * LANES_3,
    "steps": np.zeros((2, LANES_3), np.float32),
    "frozen": np.broadcast_to(np.zeros(LANES_3, np.float32), (4, LANES_3)),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_column_that_does_not_fit_is_refused_by_name(fault: str) -> None:
    native = Native(traced(lambda x, y: {"x": x + y}, "x", "y"))
    columns = {"x": WRONG[fault], "y": np.zeros(LANES_3, np.float32)}
    if fault == "missing":
        del columns["x"]
    with pytest.raises(Invalid) as told:
        native.apply(columns, LANES_3, (0, 4))
    assert told.value.code == "native.column" and "'x'" in told.value.message


def test_lanes_come_in_whole_vectors() -> None:
    native = Native(traced(lambda x: {"x": x + 1.0}, "x"))
    with pytest.raises(Bug) as told:
        native.apply({"x": np.zeros(17, np.float32)}, 17)
    assert told.value.code == "native.lanes" and isinstance(told.value, GemelError)
    assert [padded(n) for n in (0, 1, 16, 17)] == [0, 16, 16, 32]


# ---- random numbers ------------------------------------------------------------------------------


def drawn(real: str, keys: Any, steps: tuple[int, int], count: int = 6) -> Columns:
    """Normal numbers and uniform ones of some steps: (steps, lanes) each."""

    def author(key: Any) -> dict[str, Any]:
        normals = {f"z{k}": draws.normal(key.graph, key, k) for k in range(count)}
        return normals | {"u": draws.uniform(key.graph, key, 4)}

    made = traced(author, "key", kinds={"key": "k"})
    native = Native(made, real)
    size = (steps[1] - steps[0], len(keys))
    columns = {name: np.zeros(size, kind) for name, kind in native.columns.items()}
    columns["key"] = keys
    native.apply(columns, len(keys), steps)
    return columns


KEYS = draws.lane_keys(7, np.arange(64, dtype=np.uint64), 32)


@pytest.mark.parametrize("real", REALS)
def test_random_numbers_are_numpys(real: str) -> None:
    native = drawn(real, KEYS, (5, 9))
    close = 1e-13 if real == "d" else 5e-6
    for k in range(6):
        for row, step in enumerate(range(5, 9)):
            np.testing.assert_allclose(
                native[f"z{k}"][row], draws.normals(KEYS, step, k), rtol=close, atol=close
            )
    assert (native["u"] > 0).all() and (native["u"] <= 1).all()


def test_normal_numbers_are_normal_and_owe_each_other_nothing() -> None:
    steps, lanes = 100, len(KEYS)
    native = drawn("f", KEYS, (0, steps))
    z = np.stack([native[f"z{k}"] for k in range(6)]).astype(np.float64)
    count = z[0].size
    for k in range(6):
        one = z[k].ravel()
        assert abs(one.mean()) < 4 / np.sqrt(count)
        assert abs(one.var() - 1) < 4 * np.sqrt(2 / count)
        assert abs((one**3).mean()) < 4 * np.sqrt(15 / count)
        assert abs((one**4).mean() - 3) < 4 * np.sqrt(96 / count)
        beyond = np.mean(np.abs(one) > 3.0)
        assert abs(beyond - 0.0026998) < 4 * np.sqrt(0.0027 / count)

    def unrelated(a: Any, b: Any) -> bool:
        return all(
            abs(np.mean(f(a) * g(b)))
            < 5 * np.sqrt(np.mean(f(a) ** 2) * np.mean(g(b) ** 2) / a.size)
            for f in (np.asarray, lambda v: v * v - 1)
            for g in (np.asarray, lambda v: v * v - 1)
        )

    for a in range(6):
        for b in range(a):
            assert unrelated(z[a], z[b])  # between draws
        assert unrelated(z[a][1:], z[a][:-1])  # between steps
        assert unrelated(z[a][:, 1:], z[a][:, :-1])  # between paths
        assert unrelated(z[a][:, 32:], z[a][:, :-32])  # between twins
    assert len(np.unique(z[0])) > 0.97 * steps * lanes


# ---- wherever it goes ----------------------------------------------------------------------------


def test_equal_programs_share_their_code() -> None:
    one, two = (Native(traced(lambda x: np.exp(x) + 1.0, "x")) for _ in range(2))
    assert one.code is two.code and one.code is not Native(one.program, "d").code


def test_code_that_is_let_go_takes_no_other_along() -> None:
    for _ in range(3):
        made = compile_(traced(lambda x: {"x": x + 1.0}, "x"), "f")
        del made
    assert compiled(lambda x: x - 1.0, "f", 3.0)[0] == 2.0


def test_a_compiled_program_pickles_as_what_it_computes() -> None:
    native = Native(reference())
    here, there = fleet(LANES), fleet(LANES)
    native.apply(here, LANES)
    sent = pickle.dumps(native)
    assert len(sent) < 200_000
    pickle.loads(sent).apply(there, LANES)
    assert bits(here) == bits(there)


SPAWNED = """
import pickle, sys
native, columns, steps = pickle.load(open(sys.argv[1], "rb"))
native.apply(columns, len(columns["x.wear"]), steps)
pickle.dump(columns, open(sys.argv[1], "wb"))
"""
FORKED = """
import os, pickle, sys
native, columns, steps = pickle.load(open(sys.argv[1], "rb"))
native.apply({name: c.copy() for name, c in columns.items()}, len(columns["x.wear"]), steps)
child = os.fork()
if not child:
    native.apply(columns, len(columns["x.wear"]), steps)
    pickle.dump(columns, open(sys.argv[1], "wb"))
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.parametrize("script", [SPAWNED, FORKED], ids=["spawned", "forked"])
def test_another_process_computes_the_same_bits(script: str, tmp_path: Any) -> None:
    native, columns, steps = Native(reference()), fleet(TILE), (0, 3)
    place = tmp_path / "work"
    place.write_bytes(pickle.dumps((native, columns, steps)))
    native.apply(columns, TILE, steps)
    subprocess.run([sys.executable, "-c", script, str(place)], check=True)
    assert bits(pickle.loads(place.read_bytes())) == bits(columns)
