"""Exact derivatives: every rule against its finite difference, and refusals that name the line."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemel.errors import Invalid
from gemel.kernels import dual
from gemel.kernels.dual import Dual, gradient, value_of

STEP = 1e-6
POSITIVE = {np.log, np.log10, np.sqrt, np.power}
KINKED = {np.absolute, np.maximum, np.minimum}
RULES = sorted(dual._RULES, key=lambda u: u.__name__)

numbers = st.floats(0.2, 2.5).flatmap(lambda size: st.sampled_from([size, -size]))


def domain(ufunc: np.ufunc, values: list[float]) -> list[float]:
    """Keep away from where a rule has no derivative."""
    if ufunc in POSITIVE:
        return [abs(v) for v in values]
    if ufunc is np.log1p:
        return [abs(v) - 0.15 for v in values]
    if ufunc is np.tan:
        return [v / 2.0 for v in values]
    if ufunc in KINKED and len(values) == 2 and abs(values[0] - values[1]) < 0.01:
        return [values[0], values[1] + 0.1]
    return values


@pytest.mark.parametrize("ufunc", RULES, ids=lambda u: u.__name__)
@given(a=numbers, b=numbers)
@settings(max_examples=40)
def test_a_rule_is_its_finite_difference(ufunc: np.ufunc, a: float, b: float) -> None:
    values = domain(ufunc, [a, b][: ufunc.nin])
    seeded: list[Any] = [Dual(np.array([v]), {k: 1.0}) for k, v in enumerate(values)]
    exact = gradient(ufunc(*seeded), ufunc.nin, 1)[0]
    for k in range(ufunc.nin):
        moved = [
            ufunc(*[v + sign * STEP * (j == k) for j, v in enumerate(values)]) for sign in (1, -1)
        ]
        slope = (moved[0] - moved[1]) / (2 * STEP)
        assert exact[k] == pytest.approx(slope, rel=1e-5, abs=1e-6)


@given(x=numbers)
def test_where_clip_and_interp_follow_the_side_that_was_taken(x: float) -> None:
    def curve(v: Any) -> Any:
        chosen = np.where(v > 0.0, np.exp(-v), v * v)
        return chosen + np.clip(v, -1.05, 1.55) + np.interp(v, [-2.0, 0.1, 2.0], [0.0, 3.0, 1.0])

    if min(abs(x - kink) for kink in (0.0, -1.05, 1.55, -2.0, 0.1, 2.0)) < 1e-3:
        x += 0.01
    exact = gradient(curve(Dual(np.array([x]), {0: 1.0})), 1, 1)[0, 0]
    slope = (curve(np.array([x + STEP])) - curve(np.array([x - STEP])))[0] / (2 * STEP)
    assert exact == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_the_dead_side_of_where_is_never_mixed_in() -> None:
    x = Dual(np.array([-1.0, 4.0]), {0: 1.0})
    safe = np.where(x > 0.0, np.sqrt(np.maximum(x, 0.0)), 0.0)
    np.testing.assert_array_equal(gradient(safe, 1, 2)[:, 0], [0.0, 0.25])


def test_the_chain_rule_holds_through_a_long_expression() -> None:
    def f(x: Any, y: Any) -> Any:
        return np.tanh(x * y) ** 3 / (1.0 + np.exp(-y)) - 2.0 * np.sqrt(x + 3.0)

    x, y = 0.7, -1.3
    exact = gradient(f(Dual(np.array([x]), {0: 1.0}), Dual(np.array([y]), {1: 1.0})), 2, 1)[0]
    slopes = [
        (f(x + STEP, y) - f(x - STEP, y)) / (2 * STEP),
        (f(x, y + STEP) - f(x, y - STEP)) / (2 * STEP),
    ]
    np.testing.assert_allclose(exact, slopes, rtol=1e-6)
    assert value_of(f(x, y)) == f(x, y)


def python_if(x: Any) -> Any:
    if x > 0:  # line: if
        return x
    return -x


def python_math(x: Any) -> Any:
    return math.exp(x)  # line: math


def chained(x: Any) -> Any:
    return 0 < x < 1  # line: chained


def python_max(x: Any) -> Any:
    return max(x, 0.0)  # line: max


def python_and(x: Any) -> Any:
    return (x > 0) and (x < 1)  # line: and


def no_rule(x: Any) -> Any:
    return np.arcsinh(x)  # line: rule


def reduction(x: Any) -> Any:
    return np.median(x)  # line: median


@pytest.mark.parametrize(
    ("author", "mark"),
    [
        (python_if, "if"),
        (python_math, "math"),
        (chained, "chained"),
        (python_max, "max"),
        (python_and, "and"),
        (no_rule, "rule"),
        (reduction, "median"),
    ],
)
def test_a_refusal_names_the_line_and_the_numpy_form(author: Any, mark: str) -> None:
    with open(__file__, encoding="utf-8") as source:
        lines = source.read().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.endswith(f"# line: {mark}"))
    with pytest.raises(Invalid) as told:
        author(Dual(np.array([0.5]), {0: 1.0}))
    assert told.value.code == "kernel.not_traceable"
    assert told.value.where == f"test_dual.py line {line}, in {author.__name__}"
    assert "np." in told.value.mend
