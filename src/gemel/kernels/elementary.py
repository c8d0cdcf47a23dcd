"""Elementary functions by arithmetic alone: what a processor's vector unit can do.

Owns    exp, log, sin, cos, tanh, atan2, pow, tables as polynomials and selections, for float32 and
        float64.
Never   calls a mathematics library: the same formulas give the same answers wherever LLVM runs.

Every function takes and gives symbols. The primitives that remain: + − × ÷, sqrt, abs, floor, min,
max, comparison, selection, cast, and
    round(x)       to the nearest integer                power2(n)      2ⁿ, −126 ≤ n ≤ 127
    exponent(x)    ⌊log₂ x⌋ of a normal x > 0            mantissa(x)    x / 2^exponent, in [1, 2)

Errors against the true value, in units of the last place (tests/test_native.py holds them):
    exp, log, log1p, tanh ≤ 2 · sin, cos, atan2 ≤ 3 · tan, expm1 ≤ 5
    pow ≤ 1 in float32, ≤ 2 + |y ln x| in float64
Where they leave IEEE: exp is held at e^±87 (float64: e^±708), log of less than the smallest normal
number is that number's, beyond |x| = 1e6 sin and cos only stay in [−1, 1], and −0 counts as 0.
NaN stays NaN.
Source: Moshier, Cephes Mathematical Library (1989); Sun's fdlibm (1993).
"""

from collections import Counter
from typing import Any

import numpy as np

from gemel.kernels.expression import Graph, Node, Symbol, widen
from gemel.kernels.program import Program

LN2 = 0.6931471805599453
TAU = 6.283185307179586


def lower(program: Program, real: str) -> tuple[Graph, dict[str, Symbol]]:
    """The program's graph in primitives, and its outputs. real: what kind f is, "f" or "d".

    A number that divides more than once is inverted once: a division costs as much as ten products.
    """
    graph = Graph()
    made: list[Any] = []
    divisors = Counter(node.args[1] for node in program.nodes if node.op == "div")
    for node in program.nodes:
        args = [made[a] for a in node.args]
        rule = _RULES.get(node.op)
        if node.op == "div" and divisors[node.args[1]] > 1:
            made.append(args[0] * (1.0 / args[1]))
        elif rule is None:
            made.append(_copied(graph, node, args))
        else:
            exact = node.kind == "d" or real == "d"
            made.append(rule(graph, exact, node, *args))
    return graph, {name: graph.symbol(made[index]) for name, index in program.outputs}


def _copied(graph: Graph, node: Node, args: list[Any]) -> Symbol:
    return graph.add(node.op, tuple(graph.symbol(a).index for a in args), node.kind, node.value)


def _one(op: str, x: Any) -> Any:
    """A primitive that NumPy has no name for."""
    return x.graph.add(op, (x.index,), x.kind)


def _poly(x: Any, *coefficients: float) -> Any:
    """Horner, the highest power first."""
    total: Any = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


def exp(x: Any, exact: bool) -> Any:
    """e^x = 2ⁿ e^r."""
    whole, part = _powers(x, exact)
    return whole * (1.0 + part)


def expm1(x: Any, exact: bool) -> Any:
    """e^x − 1 = 2ⁿ (e^r − 1) + (2ⁿ − 1): nothing is lost near 0, where n = 0."""
    whole, part = _powers(x, exact)
    return whole * part + (whole - 1.0)


def _powers(x: Any, exact: bool) -> tuple[Any, Any]:
    """2ⁿ and e^r − 1 for x = n ln 2 + r, |r| ≤ ln 2 / 2."""
    low, high = (-708.0, 709.0) if exact else (-87.0, 88.0)
    held = np.minimum(high, np.maximum(low, x))
    n = _one("round", held * 1.4426950408889634)
    if exact:  # ln 2 in two parts, so that nothing is lost
        r = (held - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6
    else:
        r = (held - n * 0.693359375) - n * -2.12194440e-4
    return _one("power2", n), _expm1_near_0(r, exact)


def _expm1_near_0(r: Any, exact: bool) -> Any:
    """e^r − 1 for |r| ≤ ln 2 / 2."""
    if exact:
        z = r * r
        p = r * _poly(z, 1.26177193074810590878e-4, 3.02994407707441961300e-2, 1.0)
        q = _poly(
            z, 3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1, 2.0
        )
        return 2.0 * p / (q - p)
    tail = _poly(
        r, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
        5.0000001201e-1,
    )  # fmt: skip
    return tail * r * r + r


def log(x: Any, exact: bool) -> Any:
    """ln x = e ln 2 + ln m, m in [√½, √2); −∞ at 0, NaN below."""
    smallest = 2.2250738585072014e-308 if exact else 1.1754943508222875e-38
    safe = np.maximum(x, smallest)
    m, e = _one("mantissa", safe), _one("exponent", safe)
    big = m > 1.4142135623730951
    m, e = np.where(big, 0.5 * m, m), np.where(big, e + 1.0, e)
    value = _log_near_1(m - 1.0, e, exact)
    value = np.where(x > 0.0, value, np.where(np.equal(x, 0.0), -np.inf, np.nan))
    return np.where(np.equal(x, np.inf), np.inf, value)


def _log_near_1(f: Any, e: Any, exact: bool) -> Any:
    """e ln 2 + ln(1 + f)."""
    if exact:
        s = f / (2.0 + f)
        z = s * s
        tail = z * _poly(
            z, 1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
            2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
            6.666666666666735130e-01,
        )  # fmt: skip
        half = 0.5 * f * f
        low = s * (half + tail) + e * 1.90821492927058770002e-10
        return e * 6.93147180369123816490e-01 - ((half - low) - f)
    z = f * f
    tail = f * z * _poly(
        f, 7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )  # fmt: skip
    return ((tail + e * -2.12194440e-4) - 0.5 * z + f) + e * 0.693359375


def log1p(x: Any, exact: bool) -> Any:
    """ln(1 + x), with what rounding 1 + x lost put back (Goldberg 1991)."""
    whole = 1.0 + x
    lost = x - (whole - 1.0)
    close = (x > -1.0) & (x < 8.0)
    return log(whole, exact) + np.where(close, lost / np.where(close, whole, 1.0), 0.0)


def _quadrant(x: Any, exact: bool) -> tuple[Any, Any]:
    """k = 0, 1, 2, 3 and r with x = (k + 4n) π/2 + r, |r| ≤ π/4; reduced in float64."""
    wide = widen(x, "d")
    k = _one("round", wide * 0.6366197723675814)
    r = (wide - k * 1.5707963267341256) - k * 6.077100506303966e-11
    if exact:
        r = r - k * 2.0222662487959506e-21
    r = np.minimum(0.7854, np.maximum(-0.7854, r))  # where x is so large that all is lost
    return widen(k - 4.0 * np.floor(0.25 * k), x.kind), widen(r, x.kind)


def _sin_near_0(r: Any, exact: bool) -> Any:
    z = r * r
    if exact:
        tail = _poly(
            z, 1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
            -1.98412698298579493134e-04, 8.33333333332248946124e-03, -1.66666666666666324348e-01,
        )  # fmt: skip
    else:
        tail = _poly(z, -1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
    return r + r * z * tail


def _cos_near_0(r: Any, exact: bool) -> Any:
    z = r * r
    if exact:
        tail = _poly(
            z, -1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
            2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02,
        )  # fmt: skip
    else:
        tail = _poly(z, 2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
    return 1.0 - 0.5 * z + z * z * tail


def _turned(k: Any, r: Any, exact: bool) -> tuple[Any, Any]:
    """sin and cos of k π/2 + r."""
    s, c = _sin_near_0(r, exact), _cos_near_0(r, exact)
    odd = np.equal(k, 1.0) | np.equal(k, 3.0)
    a, b = np.where(odd, c, s), np.where(odd, s, c)
    return np.where(k >= 2.0, -a, a), np.where(np.equal(k, 1.0) | np.equal(k, 2.0), -b, b)


def tanh(x: Any, exact: bool) -> Any:
    """Near 0 a series, else 1 − 2 / (e^{2|x|} + 1)."""
    size = np.abs(x)
    near = size < 0.625
    far = 1.0 - 2.0 / (exp(2.0 * size, exact) + 1.0)
    y = np.where(near, x, 0.0)
    z = y * y
    if exact:
        p = _poly(
            z, -9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3
        )
        q = _poly(
            z, 1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3
        )
        tail = p / q
    else:
        tail = _poly(
            z, -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1,
            -3.33332819422e-1,
        )  # fmt: skip
    return np.where(near, y + y * z * tail, np.where(x < 0.0, -far, far))


def atan2(y: Any, x: Any, exact: bool) -> Any:
    """The angle of (x, y), in (−π, π]."""
    a, b = np.abs(x), np.abs(y)
    steep = b > a
    low, high = np.minimum(a, b), np.maximum(a, b)
    turned = low > 0.4142135623730951 * high
    bottom = np.where(turned, low + high, high)
    t = np.where(turned, low - high, low) / np.where(bottom > 0.0, bottom, 1.0)
    z = t * t
    if exact:
        p = _poly(
            z, -8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1,
            -1.228866684490136173410e2, -6.485021904942025371773e1,
        )  # fmt: skip
        q = _poly(
            z, 1.0, 2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2,
            4.853903996359136964868e2, 1.945506571482613964425e2,
        )  # fmt: skip
        tail = p / q
    else:
        tail = _poly(z, 8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
    angle = t + t * z * tail + np.where(turned, 0.125 * TAU, 0.0)
    angle = np.where(steep, 0.25 * TAU - angle, angle)
    angle = np.where(x < 0.0, 0.5 * TAU - angle, angle)
    angle = np.where(y < 0.0, -angle, angle)
    return np.where(np.equal(x, x) & np.equal(y, y), angle, np.nan)


def power(x: Any, y: Any) -> Any:
    """x^y = e^{y ln |x|} in float64; x < 0 has a whole y, and its sign where y is odd."""
    x, y, kind = widen(x, "d"), widen(y, "d"), x.kind
    size = exp(y * log(np.abs(x), True), True)
    size = np.where(np.equal(x, 0.0), np.where(y > 0.0, 0.0, np.inf), size)
    half = 0.5 * y
    below = np.where(np.equal(half, np.floor(half)), size, -size)
    below = np.where(np.equal(y, np.floor(y)), below, np.nan)
    return widen(np.where(np.equal(y, 0.0), 1.0, np.where(x < 0.0, below, size)), kind)


def _locate(graph: Graph, exact: bool, node: Node, x: Any) -> Any:
    """Short tables by counting the points passed, long ones by bisection."""
    points = node.value
    if len(points) <= 17:
        k: Any = 0.0
        for point in points[1:-1]:
            k = k + np.where(x >= point, 1.0, 0.0)
        return widen(graph.symbol(k), node.kind)
    k = graph.constant(0.0, node.kind)
    stride = 1 << (len(points) - 2).bit_length() >> 1
    while stride:
        ahead = np.minimum(k + float(stride), float(len(points) - 2))
        passed = graph.add("pick", (ahead.index,), node.kind, points)
        k = np.where(passed <= x, ahead, k)
        stride >>= 1
    return k


def _sin(graph: Graph, exact: bool, node: Node, x: Any) -> Any:
    return _turned(*_quadrant(x, exact), exact)[0]


def _cos(graph: Graph, exact: bool, node: Node, x: Any) -> Any:
    return _turned(*_quadrant(x, exact), exact)[1]


def _tan(graph: Graph, exact: bool, node: Node, x: Any) -> Any:
    sine, cosine = _turned(*_quadrant(x, exact), exact)
    return sine / cosine


def _turns(graph: Graph, exact: bool, node: Node, x: Any) -> Any:
    """sin or cos of 2π x: the reduction is exact, x is a uniform number."""
    k = _one("round", 4.0 * x)
    r = (4.0 * x - k) * (0.25 * TAU)
    k = k - 4.0 * np.floor(0.25 * k)
    return _turned(k, r, exact)[0 if node.op == "sin_turns" else 1]


_RULES: dict[str, Any] = {
    "exp": lambda g, e, n, x: exp(x, e),
    "expm1": lambda g, e, n, x: expm1(x, e),
    "log": lambda g, e, n, x: log(x, e),
    "log1p": lambda g, e, n, x: log1p(x, e),
    "sin": _sin,
    "cos": _cos,
    "tan": _tan,
    "sin_turns": _turns,
    "cos_turns": _turns,
    "tanh": lambda g, e, n, x: tanh(x, e),
    "atan2": lambda g, e, n, y, x: atan2(y, x, e),
    "pow": lambda g, e, n, x, y: power(x, y),
    "locate": _locate,
}
