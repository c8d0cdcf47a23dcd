"""A kernel becomes a graph: folded, shared, differentiated, and refused where it cannot be one."""

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gemel import interp2
from gemel.errors import Invalid
from gemel.kernels import dual, filters
from gemel.kernels.draws import MOST, normal
from gemel.kernels.dual import Dual, value_of
from gemel.kernels.expression import COMPOSED, UFUNCS, Graph, Symbol, evaluate, narrow, widen
from gemel.kernels.library.journal_bearing import JournalBearing
from gemel.kernels.program import Program

Author = Callable[..., Any]


def program(author: Author, *names: str, kinds: str = "f", wanted: str = "f") -> Program:
    """An author's function of some inputs, traced."""
    graph = Graph()
    result = author(*(graph.input(name, kinds) for name in names))
    return Program.of("test", graph, {"out": result}, {"out": wanted})


def operations(author: Author, *names: str) -> list[str]:
    """What is left to compute."""
    return [n.op for n in program(author, *names).nodes if n.op not in ("input", "constant")]


def value(author: Author, **inputs: Any) -> Any:
    """What the traced function gives."""
    return program(author, *inputs).run(inputs)["out"]


def slopes(author: Author, **inputs: Any) -> list[Any]:
    """The traced derivative by each input."""
    graph = Graph()
    seeds = [Dual(graph.input(name), {k: 1.0}) for k, name in enumerate(inputs)]
    found = author(*seeds).grad
    outputs = {str(k): found.get(k, 0.0) for k in range(len(seeds))}
    return list(Program.of("slopes", graph, outputs).run(inputs).values())


# ---- folding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("author", "left"),
    [
        (lambda x: x + 0.0, []),
        (lambda x: 1.0 * x - 0, []),
        (lambda x: 0 - (0 - x), []),
        (lambda x: x * np.exp(0.0), []),
        (lambda x: 0.0 * np.exp(x), []),
        (lambda x: x - x, []),
        (lambda x: (x + 1) * 0, []),
        (lambda x: np.where(2.0 > 1.0, x, np.exp(x)), []),
        (lambda x: np.where(x > 0, x, x), []),
        (lambda x: x + (-(x * x)), ["mul", "sub"]),
        (lambda x: (-x) * (-x), ["mul"]),
        (lambda x: -(x - 3.0), ["sub"]),
        (lambda x: np.log(np.e * np.e) * x, ["mul"]),
        (lambda x: (x > 0) & np.True_, ["lt"]),
        (lambda x: (x > 0) | np.True_, []),
        (lambda x: x / 4.0, ["mul"]),
        (lambda x: x / 3.0, ["div"]),  # 1/3 is not exact: the same bits as NumPy's
    ],
)
def test_what_is_known_or_neutral_costs_nothing(author: Author, left: list[str]) -> None:
    assert operations(author, "x") == left
    assert value(author, x=1.75) == pytest.approx(author(1.75), rel=1e-15)


def test_equal_expressions_are_computed_once() -> None:
    def author(x: Any, y: Any) -> Any:
        return np.exp(x * y) + 1.0 / np.exp(y * x) + np.exp(x * y)

    assert sorted(operations(author, "x", "y")) == ["add", "add", "div", "exp", "mul"]


def test_what_nobody_asks_for_is_not_in_the_program() -> None:
    graph = Graph()
    x, y = graph.input("x"), graph.input("y")
    np.tanh(y) * 3.0
    kept = Program.of("test", graph, {"out": x + 1.0})
    assert kept.inputs == ("x",) and kept.operations == 1


def test_a_derivative_that_is_structurally_zero_is_no_node() -> None:
    graph = Graph()
    x, y = (Dual(graph.input(name), {k: 1.0}) for k, name in enumerate("xy"))
    both = [3.0 * x + 2.0, np.exp(y), x * y]
    assert [sorted(part.grad) for part in both] == [[0], [1], [0, 1]]
    assert both[0].grad[0] == 3.0
    assert both[2].grad[0].index == y.value.index and both[2].grad[1].index == x.value.index


# ---- powers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exponent", "left"),
    [
        (0, []),
        (1, []),
        (2, ["mul"]),
        (3, ["mul", "mul"]),
        (8, ["mul"] * 3),
        (0.5, ["sqrt"]),
        (-1, ["div"]),
        (-0.5, ["sqrt", "div"]),
        (2.5, ["mul", "sqrt", "mul"]),
        (1.7, ["pow"]),
        (17, ["pow"]),
    ],
)
def test_a_power_by_a_small_known_exponent_is_multiplication(
    exponent: float, left: list[str]
) -> None:
    assert sorted(operations(lambda x: x**exponent, "x")) == sorted(left)


@given(st.integers(-32, 32), st.floats(-3.0, 3.0))
def test_powers_are_numpys(halves: int, x: float) -> None:
    assume(abs(x) > 0.1)
    with np.errstate(invalid="ignore"):
        wanted = np.power(x, halves / 2)
    found = value(lambda v: v ** (halves / 2), x=x)
    np.testing.assert_allclose(found, wanted, rtol=1e-13)


# ---- selection -----------------------------------------------------------------------------------

DEAD = [
    lambda x: np.where(x > 0, np.sqrt(x), 0),
    lambda x: np.where(x > 0, np.log(x), 0),
    lambda x: np.where(x > 0, 1 / x, 0),
    lambda x: np.where(x > 0, x**0.5, 0),
    lambda x: np.where(x > 0, x**0.3, 0),
    lambda x: np.where(x > 0, x**1.5, 0),
    lambda x: np.where(x > 0, x**-1.5, 0),
    lambda x: np.where(x > 0, np.log1p(x - 1), 0),
    lambda x: np.where(x > 0, np.arctan2(x, x), 0),
    lambda x: np.where(x > 0, np.hypot(x, 0.0), 0),
    lambda x: np.where(x > 0, np.arccos(1 / (1 + x)), 0),
    lambda x: np.where(x <= 0, 0, np.where(x > 1, x, np.log(x))),
]


@pytest.mark.parametrize("author", DEAD)
@pytest.mark.parametrize("x", [0.0, -1.0])
def test_the_dead_side_of_a_where_leaves_no_trace(author: Author, x: float) -> None:
    assert value(author, x=x) == 0.0
    assert slopes(author, x=x) == [0.0]
    with np.errstate(all="ignore"):
        assert author(Dual(np.array([x]), {0: 1.0})).grad[0] == 0.0


@pytest.mark.parametrize(
    "author",
    [
        np.sqrt,
        lambda x: x**0.5,
        lambda x: x**0.25,
        lambda x: np.hypot(x, x),
        lambda x: np.arctan2(x, x),
        lambda x: np.sqrt(np.maximum(x, 0.0)),
    ],
)
def test_a_slope_without_bound_is_taken_as_none(author: Author) -> None:
    assert slopes(author, x=0.0) == [0.0]


def test_a_number_is_a_condition_as_in_numpy() -> None:
    chosen = value(lambda x: np.where(x, 2.0, 3.0), x=np.array([0.0, -1.0, 4.0]))
    np.testing.assert_array_equal(chosen, [3.0, 2.0, 2.0])


def test_truths_are_counted_joined_and_compared() -> None:
    x = np.array([-1.0, 0.5, 2.0])
    between = value(lambda v: (v > 0) & (v < 1) | np.logical_not(v > -0.5), x=x)
    np.testing.assert_array_equal(between, [True, True, False])
    np.testing.assert_array_equal(value(lambda v: 1.0 + 2.0 * (v > 0), x=x), [1.0, 3.0, 3.0])
    np.testing.assert_array_equal(value(lambda v: (v > 0) == (v > 1), x=x), [True, False, True])


# ---- tables --------------------------------------------------------------------------------------

POINTS = np.array([-1.0, 0.0, 0.5, 2.0, 7.0])
VALUES = np.array([3.0, -1.0, 4.0, 4.0, 0.5])
LONG = np.cumsum(np.random.default_rng(1).uniform(0.01, 1.0, 300))


@given(st.floats(-3.0, 9.0))
def test_a_table_is_np_interp_and_its_slope_is_the_pieces(x: float) -> None:
    def author(v: Any) -> Any:
        return np.interp(v, POINTS, VALUES)

    assert value(author, x=x) == pytest.approx(author(x), rel=1e-14, abs=1e-14)
    if np.abs(POINTS - x).min() > 1e-5:
        by_hand = (author(x + 1e-6) - author(x - 1e-6)) / 2e-6
        assert slopes(author, x=x)[0] == pytest.approx(by_hand, abs=1e-7)
        assert author(Dual(np.array([x]), {0: 1.0})).grad[0] == pytest.approx(by_hand, abs=1e-7)


@pytest.mark.parametrize("count", [2, 3, 16, 17, 18, 19, 33, 64, 65, 300])
def test_a_table_of_any_length_finds_its_piece(count: int) -> None:
    points, values = LONG[:count], np.sin(LONG[:count])
    x = np.concatenate([points, LONG + 0.003, [-5.0, 1e6]])
    found = value(lambda v: np.interp(v, points, values), x=x)
    np.testing.assert_allclose(found, np.interp(x, points, values), rtol=1e-12, atol=1e-12)


def test_a_table_asked_outside_its_points_is_held_and_flagged() -> None:
    graph = Graph()
    x, y = graph.input("x"), graph.input("y")
    table = np.interp(2.0 * x, POINTS, VALUES) + interp2(x, y, [0, 1], [0, 1], np.eye(2))
    inputs = {"x": np.array([-0.6, 0.2, 3.6]), "y": np.array([0.5, 0.5, 0.5])}
    held, *flags = evaluate(graph, [table.index, *graph.outside], inputs)
    np.testing.assert_allclose(held, [3.5, 4.0 - 1.0 + 0.5, 1.0], atol=1.1)
    np.testing.assert_array_equal(np.any(flags, axis=0), [True, False, True])


XS, YS = np.array([0.0, 1.0, 3.0]), np.array([-1.0, 2.0, 2.5, 6.0])
HEIGHTS = np.random.default_rng(2).normal(size=(3, 4))


def two_tables(x: float, y: float) -> float:
    """Bilinear by two lines of np.interp."""
    return float(np.interp(y, YS, [np.interp(x, XS, column) for column in HEIGHTS.T]))


@given(st.floats(-2.0, 5.0), st.floats(-3.0, 8.0))
def test_a_table_of_two_arguments_is_linear_in_each(x: float, y: float) -> None:
    def author(a: Any, b: Any) -> Any:
        return interp2(a, b, XS, YS, HEIGHTS)

    wanted = two_tables(x, y)
    assert author(x, y) == pytest.approx(wanted, abs=1e-12)
    assert author(np.array([x]), np.array([y]))[0] == pytest.approx(wanted, abs=1e-12)
    assert value(author, x=x, y=y) == pytest.approx(wanted, abs=1e-12)
    if min(np.abs(XS - x).min(), np.abs(YS - y).min()) > 1e-5:
        by_x = (two_tables(x + 1e-6, y) - two_tables(x - 1e-6, y)) / 2e-6
        by_y = (two_tables(x, y + 1e-6) - two_tables(x, y - 1e-6)) / 2e-6
        assert slopes(author, x=x, y=y) == pytest.approx([by_x, by_y], abs=1e-6)


@pytest.mark.parametrize(
    "author",
    [
        lambda x: np.interp(x, [0.0, 2.0, 1.0], [1.0, 2.0, 3.0]),
        lambda x: np.interp(x, [0.0, 1.0], [1.0, 2.0, 3.0]),
        lambda x: np.interp(x, [0.0], [1.0]),
        lambda x: np.interp(x, [0.0, 1.0], [1.0, np.nan]),
        lambda x: interp2(x, x, [0.0, 1.0], [0.0, 0.0], np.eye(2)),
        lambda x: interp2(x, x, [0.0, 1.0], [0.0, 1.0], np.eye(3)),
    ],
)
def test_a_table_that_is_none_is_refused(author: Author) -> None:
    for x in (Graph().input("x"), Dual(np.zeros(3), {0: 1.0})):
        with pytest.raises(Invalid) as told:
            author(x)
        assert told.value.code == "kernel.table"
        assert told.value.where.startswith("test_expression.py line ")


# ---- precision -----------------------------------------------------------------------------------


def test_a_precise_number_keeps_float64_and_the_rest_does_not() -> None:
    graph = Graph()
    slow, fast = graph.input("slow", "d"), graph.input("fast")
    assert (slow + fast).kind == (slow * 2.0).kind == np.exp(slow).kind == "d"
    assert (fast * 0.1).kind == "f" and (slow > fast).kind == "b"
    assert narrow(slow).kind == "f" and narrow(widen(fast, "d")).index == fast.index
    made = Program.of("test", graph, {"slow": slow + 1e-12, "fast": slow * 1.0}, {"slow": "d"})
    assert dict(made.kinds) == {"slow": "d", "fast": "f"}
    out = made.run({"slow": np.ones(1)}, real=np.float32)
    assert (out["slow"].dtype, out["fast"].dtype) == (np.float64, np.float32)
    assert out["slow"][0] - 1.0 == pytest.approx(1e-12, rel=1e-3)


# ---- every function ------------------------------------------------------------------------------


def test_whatever_can_be_traced_can_be_differentiated() -> None:
    assert set(UFUNCS) == set(dual._RULES) | dual._FLAT
    assert not set(COMPOSED) & set(UFUNCS)


INSIDE = {np.arcsin, np.arccos}  # of −1 … 1
ABOVE_0 = {np.log, np.log2, np.log10, np.sqrt, np.power, np.float_power}


@pytest.mark.parametrize("ufunc", [*UFUNCS, *COMPOSED], ids=lambda u: u.__name__)
@given(st.floats(0.2, 2.4), st.floats(0.2, 2.4), st.booleans())
@settings(max_examples=25)
def test_a_traced_function_is_numpys(ufunc: Any, a: float, b: float, below: bool) -> None:
    a = a / 2.5 if ufunc in INSIDE else a
    a = -a if below and ufunc not in ABOVE_0 and ufunc is not np.log1p else a
    assume(ufunc.__name__ not in ("remainder", "floor_divide") or abs(a / b % 1 - 0.5) < 0.4999)
    numbers = [a, b][: ufunc.nin]
    truths = [(a > 0.5), (b > 0.5)][: ufunc.nin]
    joins = ufunc in (np.bitwise_and, np.bitwise_or, np.invert)
    joins = joins or ufunc.__name__.startswith("logical")
    inputs = {f"x{k}": v for k, v in enumerate(numbers)}
    found = value(lambda *x: ufunc(*((v > 0.5) for v in x) if joins else x), **inputs)
    wanted = ufunc(*(np.bool_(t) for t in truths)) if joins else ufunc(*numbers)
    np.testing.assert_allclose(found, wanted, rtol=2e-15, atol=1e-15)


@pytest.mark.parametrize("ufunc", COMPOSED, ids=lambda u: u.__name__)
@given(st.floats(0.2, 2.4), st.floats(0.3, 2.4), st.booleans())
@settings(max_examples=25)
def test_a_composed_function_has_its_slope(ufunc: Any, a: float, b: float, below: bool) -> None:
    a = a / 2.5 if ufunc in INSIDE else a
    numbers = [-a if below and ufunc not in ABOVE_0 else a, b][: ufunc.nin]
    exact = slopes(ufunc, **{f"x{k}": v for k, v in enumerate(numbers)})
    for k, slope in enumerate(exact):
        moved = [ufunc(*(v + s * (j == k) for j, v in enumerate(numbers))) for s in (1e-6, -1e-6)]
        by_hand = (moved[0] - moved[1]) / 2e-6
        assume(abs(by_hand) < 1e3)  # not over a step
        assume(ufunc not in (np.fmax, np.fmin) or abs(a - b) > 1e-3)
        assert slope == pytest.approx(by_hand, rel=1e-5, abs=1e-6)


# ---- whole expressions ---------------------------------------------------------------------------

ONE: dict[str, Author] = {
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "bell": lambda a: np.exp(-a * a),
    "log": lambda a: np.log1p(a * a),
    "root": lambda a: np.sqrt(1.0 + a * a),
    "abs": np.abs,
    "neg": lambda a: -a,
    "cube": lambda a: np.tanh(a) ** 3,
    "power": lambda a: (1.0 + a * a) ** 0.3,
    "table": lambda a: np.interp(a, POINTS, VALUES),
    "fold": lambda a: np.expm1(0.0 * a) + 1.0 * a,
}
TWO: dict[str, Author] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (1.0 + b * b),
    "max": np.maximum,
    "min": np.minimum,
    "angle": lambda a, b: np.arctan2(a, 1.0 + b * b),
    "power": lambda a, b: (1.0 + a * a) ** np.tanh(b),
    "where": lambda a, b: np.where(a > b, a * b, np.sin(b)),
    "dead": lambda a, b: np.where(a > 0.1, np.log(a) + np.sqrt(a) * b, b),
    "table": lambda a, b: interp2(a, b, XS, YS, HEIGHTS),
    "clip": lambda a, b: np.clip(a, b - 1.0, b + 1.0),
}
Tree = Any
leaves: st.SearchStrategy[Tree] = st.sampled_from(["x", "y"]) | st.floats(-2.0, 2.0)
trees = st.recursive(
    leaves,
    lambda part: (
        st.tuples(st.sampled_from(sorted(ONE)), part)
        | st.tuples(st.sampled_from(sorted(TWO)), part, part)
    ),
    max_leaves=12,
)


@np.errstate(all="ignore")
def grown(tree: Tree, x: Any, y: Any) -> Any:
    """The expression that a tree stands for."""
    if isinstance(tree, tuple):
        name, *parts = tree
        return (ONE if len(parts) == 1 else TWO)[name](*(grown(part, x, y) for part in parts))
    return {"x": x, "y": y}.get(tree, tree)


@given(trees, st.floats(-2.0, 2.0), st.floats(-2.0, 2.0))
@settings(max_examples=150)
def test_any_expression_traced_is_itself_and_its_slopes_are_finite_differences(
    tree: Tree, x: float, y: float
) -> None:
    x, y = x + 0.012345, y + 0.023456  # off the round numbers, where kinks hide behind kinks

    def plain(a: Any, b: Any) -> Any:
        return np.float64(grown(tree, np.float64(a), np.float64(b)))

    def seeded(a: Any, b: Any) -> Dual:
        result = grown(tree, a, b)
        return result if isinstance(result, Dual) else Dual(result, {})

    wanted = plain(x, y)
    found = value(lambda a, b: a * 0.0 + grown(tree, a, b), x=x, y=y)
    assert found == pytest.approx(wanted, rel=1e-11, abs=1e-11)

    def by_hand(ahead: float, back: float) -> Any:
        """By x and y, from `back` to `ahead`."""
        across = plain(x + ahead, y) - plain(x - back, y), plain(x, y + ahead) - plain(x, y - back)
        return np.array(across) / (ahead + back)

    sides = by_hand(1e-5, 0.0), by_hand(0.0, 1e-5), by_hand(2e-5, 2e-5)
    assume(all(np.allclose(side, sides[0], rtol=1e-3, atol=1e-3) for side in sides))  # no kink
    wanted = by_hand(1e-5, 1e-5)
    assert slopes(seeded, x=x, y=y) == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    columns = seeded(Dual(np.array([x]), {0: 1.0}), Dual(np.array([y]), {1: 1.0}))
    for k in range(2):
        slope = np.ravel(columns.grad.get(k, 0.0))[0]
        assert slope == pytest.approx(wanted[k], rel=1e-3, abs=1e-3)


# ---- mistakes ------------------------------------------------------------------------------------


def python_if(x: Any) -> Any:
    return x if x > 0 else -x


def python_and(x: Any) -> Any:
    return (x > 0) and (x < 1)


def python_max(x: Any) -> Any:
    return max(x, 0.0)


def python_not(x: Any) -> Any:
    return not (x > 0)


def chained(x: Any) -> Any:
    return 0 < x < 1


def one_of(x: Any) -> Any:
    return x in (1.0, 2.0)


def python_math(x: Any) -> Any:
    return math.exp(x)


def python_float(x: Any) -> Any:
    return float(x)


def python_int(x: Any) -> Any:
    return range(int(x))


def python_round(x: Any) -> Any:
    return round(x, 1)


def a_list(x: Any) -> Any:
    return x + [1.0, 2.0]


def an_array(x: Any) -> Any:
    return x * np.array([1.0, 2.0])


def made_an_array(x: Any) -> Any:
    return np.exp(np.array([x, x]))


def a_text(x: Any) -> Any:
    return x * "2"


def nothing(x: Any) -> Any:
    return np.maximum(x, None)


def unknown_function(x: Any) -> Any:
    return np.arcsinh(x)


def unknown_array_function(x: Any) -> Any:
    return np.round(x, 2)


def a_sum(x: Any) -> Any:
    return np.sum(x)


def a_sum_of_a_list(x: Any) -> Any:
    return np.sum([x, x])


def a_product(x: Any) -> Any:
    return np.dot(x, x)


def a_part(x: Any) -> Any:
    return x[0]


def a_loop(x: Any) -> Any:
    for part in x:
        return part


def an_interp_with_sides(x: Any) -> Any:
    return np.interp(x, [0.0, 1.0], [0.0, 1.0], left=5.0)


def a_table_of_inputs(x: Any) -> Any:
    return np.interp(0.5, [0.0, 1.0], [x, x])


def an_out(x: Any) -> Any:
    return np.exp(x, out=np.zeros(1))


MISTAKES = [
    python_if, python_and, python_max, python_not, chained, one_of, python_math, python_float,
    python_int, python_round, a_list, an_array, made_an_array, a_text, nothing, unknown_function,
    unknown_array_function, a_sum, a_sum_of_a_list, a_product, a_part, a_loop,
    an_interp_with_sides, a_table_of_inputs, an_out,
]  # fmt: skip
OF_SYMBOLS = [a_list, an_array, a_text, nothing]  # a dual of columns may meet a column


@pytest.mark.parametrize("author", MISTAKES, ids=lambda f: f.__name__)
def test_a_mistake_names_the_authors_line_and_the_mend(author: Author) -> None:
    line = author.__code__.co_firstlineno + 1
    symbol = Graph().input("x")
    asked = [symbol, Dual(symbol, {0: 1.0})]
    asked += [] if author in OF_SYMBOLS else [Dual(np.zeros(2), {0: 1.0})]
    for x in asked:
        with pytest.raises(Invalid) as told:
            author(x)
        assert told.value.code == "kernel.not_traceable"
        assert told.value.where == f"test_expression.py line {line}, in {author.__name__}"
        assert told.value.mend


def test_numbers_cannot_be_joined_like_truths() -> None:
    x = Graph().input("x")
    with pytest.raises(Invalid) as told:
        x & (x > 0)
    assert "(x > 0) & (x < 1)" in told.value.mend


def test_two_traces_do_not_mix() -> None:
    with pytest.raises(Invalid) as told:
        Graph().input("x") + Graph().input("x")
    assert told.value.code == "kernel.foreign_symbol"


# ---- a program is a value ------------------------------------------------------------------------


def test_a_program_pickles_and_is_the_same_there() -> None:
    made = filters.ekf(JournalBearing)
    there = pickle.loads(pickle.dumps(made))
    assert there == made and there.hash == made.hash


def test_a_program_has_the_same_hash_in_any_process() -> None:
    script = (
        "from gemel.kernels import filters\n"
        "from gemel.kernels.library.journal_bearing import JournalBearing\n"
        "print(filters.ekf(JournalBearing).hash, filters.ukf(JournalBearing).hash)\n"
    )
    wanted = [filters.ekf(JournalBearing).hash, filters.ukf(JournalBearing).hash]
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert told.stdout.split() == wanted


def test_other_mathematics_has_another_hash() -> None:
    made = [program(lambda x, k=k: x * k, "x") for k in (2.0, 2.0, 3.0)]
    assert made[0].hash == made[1].hash != made[2].hash


def test_a_symbol_is_told_from_a_number() -> None:
    x = Graph().input("x")
    assert isinstance(x * 2.0, Symbol) and value_of(Dual(x, {})) is x


def test_more_random_numbers_than_a_step_has_are_refused() -> None:
    graph = Graph()
    key = graph.input("key", "k")
    normal(graph, key, MOST - 1)
    with pytest.raises(Invalid) as told:
        normal(graph, key, MOST)
    assert told.value.code == "kernel.draws"
