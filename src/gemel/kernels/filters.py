"""The Kalman filters of one asset, written out as scalars: what one update computes.

Owns    predict and correct, for the extended and the unscented filter, in factored form.
Never   loops over assets, and never runs: what it returns is a program, traced once.

The covariance lives as P = U D Uᵀ, U unit upper triangular, D diagonal. Both steps work on the
factors alone and take no differences of large numbers, so P stays positive definite in float32,
however sharp a sensor is.

    predict   x⁻ = f(x, u, p, h)      U⁻, D⁻ from the rows of [Φ U | I], weights [D | Q h]
    correct   sensor by sensor: ν = y − h(x⁻) − H (x − x⁻), S = H P Hᵀ + R, x += K ν

Φ and H are exact derivatives (extended) or the regression on the sigma points (unscented). The
unscented filter uses the 2n symmetric points x ± √(n + κ) column of U √D and, where κ = 3 − n > 0,
the centre: every weight is positive, so its covariance is too.

Source: Thornton & Bierman, in Bierman, Factorization Methods for Discrete Sequential Estimation
(1977), ch. V and VI; Julier & Uhlmann, Proc. IEEE 92 (2004) 401; for κ = 0 this is the cubature
filter of Arasaratnam & Haykin (2009).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.kernels.dual import Dual, value_of
from gemel.kernels.expression import Graph, Symbol, narrow, widen
from gemel.kernels.program import Program

SCORE = 0.05  # weight of the newest NIS in the anomaly score
SILENCE = 500  # sub-steps, of an hour at most: after a longer gap only the doubt grows
TINY = 1e-30  # a variance below this is none
LOST = 1e6  # NIS of a row that had to begin anew
ANY = 1e30  # numbers beyond this are no belief

Row = list[Any]


@dataclass(frozen=True)
class Factors:
    """P = U D Uᵀ: `unit[i][j]` for i < j, `diagonal[j]`."""

    unit: list[Row]
    diagonal: Row

    @staticmethod
    def of(p: list[Row]) -> "Factors":
        """Of P, its upper triangle. A state without a variance has no correlation."""
        left, count = [list(row) for row in p], len(p)
        unit: list[Row] = [[0.0] * count for _ in p]
        diagonal: Row = [0.0] * count
        for j in reversed(range(count)):
            diagonal[j] = np.maximum(left[j][j], 0.0)
            safe = np.where(diagonal[j] > 0.0, diagonal[j], np.inf)
            for i in range(j):
                unit[i][j] = left[i][j] / safe
                for k in range(i + 1):
                    left[k][i] = left[k][i] - unit[k][j] * unit[i][j] * diagonal[j]
        return Factors(unit, diagonal)

    def product(self) -> list[Row]:
        """P, its upper triangle."""
        count = len(self.diagonal)
        weighted = [
            [a * d for a, d in zip(row, self.diagonal, strict=True)] for row in self.unit
        ]  # U D, without its diagonal
        p: list[Row] = [[0.0] * count for _ in self.unit]
        for j in range(count):
            for i in range(j + 1):
                shared = _dot((self.unit[i][k], weighted[j][k]) for k in range(j + 1, count))
                p[i][j] = shared + (weighted[i][j] if i < j else self.diagonal[j])
        return p

    def times(self, row: Row) -> Row:
        """f = Uᵀ h."""
        return [row[j] + _dot((self.unit[i][j], row[i]) for i in range(j)) for j in range(len(row))]

    def solve(self, row: Row) -> Row:
        """h with Uᵀ h = f."""
        found: Row = []
        for j, item in enumerate(row):
            found.append(item - _dot((self.unit[i][j], found[i]) for i in range(j)))
        return found

    def where(self, condition: Any, other: "Factors") -> "Factors":
        """These where the condition holds, others elsewhere."""
        pairs = [zip(a, b, strict=True) for a, b in zip(self.unit, other.unit, strict=True)]
        unit = [
            [_chosen(condition, a, b) if j > i else 0.0 for j, (a, b) in enumerate(row)]
            for i, row in enumerate(pairs)
        ]
        both = zip(self.diagonal, other.diagonal, strict=True)
        return Factors(unit, [_chosen(condition, a, b) for a, b in both])


def factor(rows: list[Row], weights: Row) -> Factors:
    """U and D of A W Aᵀ for the rows of A (n, m) and the diagonal weights W (m): weighted Gram–
    Schmidt. A row that is 0 in every weighted direction has no variance and no correlation."""
    count = len(rows)
    rows = [list(row) for row in rows]
    unit: list[Row] = [[0.0] * count for _ in range(count)]
    diagonal: Row = [0.0] * count
    for j in reversed(range(count)):
        weighted = [a * w for a, w in zip(rows[j], weights, strict=True)]
        diagonal[j] = _dot(zip(weighted, rows[j], strict=True))
        inverse = 1.0 / np.maximum(diagonal[j], TINY) if j else 0.0
        for i in range(j):
            part = _dot(zip(rows[i], weighted, strict=True)) * inverse
            unit[i][j] = part
            rows[i] = [a - part * b for a, b in zip(rows[i], rows[j], strict=True)]
    return Factors(unit, diagonal)


def correct(
    x: Row, p: Factors, f: Row, innovation: Any, noise: Any, seen: Any
) -> tuple[Row, Factors, Any]:
    """Take in one sensor (Bierman): the state, the factors, and S.

    f = Uᵀ h · innovation ν · noise R, a variance · seen: whether there is a reading
    """
    count = len(x)
    weighted = [d * part for d, part in zip(p.diagonal, f, strict=True)]
    alpha: Any = noise
    inverse: Any = 1.0 / noise
    gain: Row = [0.0] * count
    unit = [list(row) for row in p.unit]
    diagonal = list(p.diagonal)
    for j in range(count):
        if isinstance(f[j], float) and f[j] == 0.0:
            continue
        before, alpha = alpha, alpha + f[j] * weighted[j]
        share = before * (after := 1.0 / alpha)
        lean = f[j] * inverse
        for i in range(j):
            old = unit[i][j]
            unit[i][j] = np.where(seen, old - lean * gain[i], old)
            gain[i] = gain[i] + old * weighted[j]
        gain[j] = weighted[j]
        diagonal[j] = np.where(seen, diagonal[j] * share, diagonal[j])
        inverse = after
    step = np.where(seen, innovation * inverse, 0.0)
    return [a + k * step for a, k in zip(x, gain, strict=True)], Factors(unit, diagonal), alpha


def ekf(
    kernel: type[Kernel], *, evidence: bool = False, track: bool = False, plain: bool = False
) -> Program:
    """One update of the extended filter; see `_update` for what goes in and out."""
    told = (_EVIDENCE if evidence else "") + (_TRACK if track else "") + (_PLAIN if plain else "")
    return _update(kernel(), _extended_predict, _extended_sense, "ekf", told)


def ukf(kernel: type[Kernel], *, evidence: bool = False, track: bool = False) -> Program:
    """One update of the unscented filter: no derivatives, for physics that bends within P."""
    told = (_EVIDENCE if evidence else "") + (_TRACK if track else "")
    return _update(kernel(), _unscented_predict, _unscented_sense, "ukf", told)


def columns_of(kernel: type[Kernel], plain: bool = False) -> dict[str, str]:
    """Every column of a fleet's belief and what feeds it: name → kind. plain: P itself."""
    layout = kernel.layout
    wide = belief_kind(kernel)
    x = list(layout.states)
    factors = [f"U.{a}.{b}" for j, b in enumerate(x) for a in x[:j]] + [f"D.{name}" for name in x]
    matrix = [f"P.{a}.{b}" for j, b in enumerate(x) for a in x[: j + 1]]
    return (
        {f"x.{name}": "d" if item.precise else "f" for name, item in layout.states.items()}
        | dict.fromkeys(matrix if plain else factors, wide)
        | {f"u.{name}": "f" for name in layout.inputs}
        | {f"p.{name}": "f" for name in layout.parameters}
        | {f"y.{name}": "f" for name in layout.outputs}
        | {f"seen.{name}": "b" for name in layout.outputs}
        | {name: "f" for name in ("dt", "part", "parts", "inflate", "nis", "score")}
    )


def belief_kind(kernel: type[Kernel]) -> str:
    """A kernel with a precise state keeps its covariance in float64: what creeps into a slow
    state's variance in one tick would be lost in float32."""
    return "d" if any(item.precise for item in kernel.layout.states.values()) else "f"


def silence(kernel: type[Kernel]) -> float:
    """s: a longer gap is not simulated."""
    return SILENCE * min(kernel.max_step, 3600.0)


@dataclass(frozen=True)
class _Asset:
    """The symbols of one asset."""

    kernel: Kernel
    x: Row
    p: Factors
    u: Row
    parameters: Row
    wide: str


_EVIDENCE, _TRACK, _PLAIN = "evidence ", "track ", "plain "


def _update(kernel: Kernel, predict: Any, sense: Any, name: str, also: str) -> Program:
    """The program of one update.

    in   x.*, U.*.*, D.*    belief; plain: x.*, P.*.* (P upper)      u.*, p.*   inputs, parameters
         y.*, seen.*        readings, and which are there
         dt      s since the last update, negative where the row has not begun
         parts   sub-steps of this row: 0 leaves it as it is; readings count in the last one
         part    which of them this is, 0, 1 …
         inflate factor on the process noise (stale inputs)
         nis, score         what they were
    out  the belief, nis, score, in place; with evidence also foreseen.*, innovation.*,
         innovation_var.*, gated.*, outside; with track mean.* and std.* of the states
    """
    cls = type(kernel)
    graph = Graph()
    kinds = columns_of(cls, _PLAIN in also)
    at: dict[str, Any] = {key: graph.input(key, kind) for key, kind in kinds.items()}
    asset = _asset(kernel, at)
    active, last = at["part"] < at["parts"], at["part"] + 1.0 >= at["parts"]
    x, p = _predicted(asset, predict, at, at["dt"] >= 0.0)
    taken = _take_in(asset, x, p, sense(asset, x, p), at, active & last)
    new, whole = _whole_or_anew(asset, taken)
    nis = np.where(whole, _narrowed(taken.nis), LOST)
    drift = SCORE * (nis / np.maximum(taken.count, 1.0) - at["score"])
    new["nis"] = nis
    new["score"] = at["score"] + np.where((taken.count > 0) & last, drift, 0.0)
    if _EVIDENCE in also:
        new |= taken.told | {"outside": _outside(graph)}
    if _TRACK in also:
        new |= _tracked(list(cls.layout.states), new)
    if _PLAIN in also:
        new = _multiplied(list(cls.layout.states), new)
    outputs = {
        key: np.where(active, value, at[key]) if key in at else value for key, value in new.items()
    }
    return Program.of(f"{cls.__name__}.{name}", graph, outputs, kinds)


def _asset(kernel: Kernel, at: dict[str, Any]) -> _Asset:
    """The symbols of one asset, sorted."""
    layout = type(kernel).layout
    states = list(layout.states)

    def above(name: str) -> list[Row]:
        return [
            [at.get(f"{name}.{a}.{b}", 0.0) if i <= j else 0.0 for j, b in enumerate(states)]
            for i, a in enumerate(states)
        ]

    plain = any(key.startswith("P.") for key in at)
    return _Asset(
        kernel,
        [at[f"x.{s}"] for s in states],
        Factors.of(above("P")) if plain else Factors(above("U"), [at[f"D.{s}"] for s in states]),
        [at[f"u.{s}"] for s in layout.inputs],
        [at[f"p.{s}"] for s in layout.parameters],
        belief_kind(type(kernel)),
    )


@dataclass
class _Taken:
    """The belief after the readings, their NIS and number, and what was told of each."""

    x: Row
    p: Factors
    nis: Any
    count: Any
    told: dict[str, Any]


def _take_in(
    asset: _Asset, x: Row, p: Factors, sensed: tuple[Row, list[Row], Row], at: Any, now: Any
) -> _Taken:
    """Sensor after sensor; `sensed`: readings foreseen, H, and doubt beyond the sensor's own."""
    taken = _Taken(x, p, 0.0, 0.0, {})
    sensors = type(asset.kernel).layout.outputs
    for (sensor, item), foreseen, h, doubt in zip(sensors.items(), *sensed, strict=True):
        noise = item.noise**2 + doubt
        seen = at[f"seen.{sensor}"] & now & (np.abs(foreseen) < ANY)
        moved = [_narrowed(a - b) for a, b in zip(taken.x, x, strict=True)]
        plain = at[f"y.{sensor}"] - foreseen
        innovation = plain - _dot(zip(h, moved, strict=True))
        spread = _dot((f * f, d) for f, d in zip(p.times(h), p.diagonal, strict=True))
        taken.told[f"foreseen.{sensor}"] = foreseen
        taken.told[f"innovation.{sensor}"] = np.where(seen, plain, 0.0)
        taken.told[f"innovation_var.{sensor}"] = spread + noise
        f = taken.p.times([widen(part, asset.wide) for part in h])
        believed = seen
        if np.isfinite(item.gate):
            believed = seen & (innovation * innovation <= item.gate**2 * _spread(taken.p, f, noise))
            taken.told[f"gated.{sensor}"] = seen & ~believed
        taken.x, taken.p, variance = correct(taken.x, taken.p, f, innovation, noise, believed)
        taken.nis = taken.nis + np.where(seen, innovation * innovation / variance, 0.0)
        taken.count = taken.count + np.where(seen, 1.0, 0.0)
    return taken


def _spread(p: Factors, f: Row, noise: Any) -> Any:
    """S = H P Hᵀ + R, added up as `correct` does, so that it is computed once."""
    total = noise
    for part, d in zip(f, p.diagonal, strict=True):
        total = total + part * (d * part)
    return total


def _whole_or_anew(asset: _Asset, taken: _Taken) -> tuple[dict[str, Any], Any]:
    """The belief by column, begun anew where its numbers are not finite; and where they are."""
    states = list(type(asset.kernel).layout.states)
    first, start = _beginning(asset)
    total = sum((np.abs(v) for v in (*taken.x, *taken.p.diagonal)), 0.0)
    whole = total < ANY
    new: dict[str, Any] = {}
    for j, b in enumerate(states):
        new[f"x.{b}"] = np.where(whole, taken.x[j], first[j])
        new[f"D.{b}"] = np.where(whole, taken.p.diagonal[j], start.diagonal[j])
        for i, a in enumerate(states[:j]):
            new[f"U.{a}.{b}"] = np.where(whole, taken.p.unit[i][j], 0.0)
    return new, whole


def _predicted(asset: _Asset, predict: Any, at: dict[str, Any], begun: Any) -> tuple[Row, Factors]:
    """The belief before the readings: moved, or begun."""
    states = type(asset.kernel).layout.states.values()
    silent = at["dt"] > silence(type(asset.kernel))
    whole = np.maximum(at["dt"], 0.0)
    h = np.where(silent, 0.0, whole / np.maximum(at["parts"], 1.0))
    grown = np.where(silent, whole, h) * at["inflate"]
    first, start = _beginning(asset)
    noise = [
        widen(item.noise**2 * grown, asset.wide) + np.where(silent, item.start_std**2, 0.0)
        for item in states
    ]
    x, p = predict(asset, h, noise)
    return [np.where(begun, a, b) for a, b in zip(x, first, strict=True)], p.where(begun, start)


def _beginning(asset: _Asset) -> tuple[Row, Factors]:
    """Where a row begins: the author's `initial`, and the declared doubt."""
    kernel = asset.kernel
    x = lanes.begin(kernel, asset.u, asset.parameters)
    count = len(x)
    variances: Row = [item.start_std**2 for item in kernel.layout.states.values()]
    return x, Factors([[0.0] * count for _ in range(count)], variances)


def _extended_predict(asset: _Asset, h: Any, noise: Row) -> tuple[Row, Factors]:
    """Φ = ∂x'/∂x, exact."""
    count = len(asset.x)
    seeds = [Dual(a, {k: 1.0}) for k, a in enumerate(asset.x)]
    moved = lanes.integrate(asset.kernel, list(seeds), asset.u, asset.parameters, h)
    phi = [_gradient(m, count) for m in moved]
    unit = asset.p.unit
    rows = []
    for i in range(count):
        row = [widen(part, asset.wide) for part in phi[i]]
        moved_row = [row[j] + _dot((row[k], unit[k][j]) for k in range(j)) for j in range(count)]
        rows.append(moved_row + [1.0 if j == i else 0.0 for j in range(count)])
    return [value_of(m) for m in moved], factor(rows, asset.p.diagonal + noise)


def _extended_sense(asset: _Asset, x: Row, p: Factors) -> tuple[Row, list[Row], Row]:
    """Readings foreseen, H = ∂y/∂x, and no further doubt."""
    seeds = [Dual(_narrowed(a), {k: 1.0}) for k, a in enumerate(x)]
    read = lanes.sense(asset.kernel, list(seeds), asset.u, asset.parameters)
    rows = [_gradient(r, len(x)) for r in read]
    return [value_of(r) for r in read], rows, [0.0] * len(read)


def _points(x: Row, p: Factors) -> tuple[list[Row], Row, Row]:
    """Sigma points, their weights, and each one's length along its own direction (0: the centre).

    Points come as x + s √D_k U_k and x − s √D_k U_k, for k = 0, 1 …, then the centre.
    """
    count = len(x)
    kappa = max(0.0, 3.0 - count)
    reach = float(np.sqrt(count + kappa))
    points: list[Row] = []
    for k in range(count):
        root = reach * np.sqrt(np.maximum(p.diagonal[k], 0.0))
        shift = [root * p.unit[i][k] if i < k else root if i == k else 0.0 for i in range(count)]
        points.append([a + s for a, s in zip(x, shift, strict=True)])
        points.append([a - s for a, s in zip(x, shift, strict=True)])
    weights: Row = [0.5 / (count + kappa)] * (2 * count)
    lengths: Row = [reach, -reach] * count
    if kappa:
        return [*points, x], [*weights, kappa / (count + kappa)], [*lengths, 0.0]
    return points, weights, lengths


def _unscented_predict(asset: _Asset, h: Any, noise: Row) -> tuple[Row, Factors]:
    count = len(asset.x)
    points, weights, _ = _points(asset.x, asset.p)
    precise = [item.precise for item in asset.kernel.layout.states.values()]
    moved = [
        lanes.integrate(
            asset.kernel,
            [a if keep else _narrowed(a) for a, keep in zip(point, precise, strict=True)],
            asset.u, asset.parameters, h,
        )
        for point in points
    ]  # fmt: skip
    mean = [_mean([m[i] for m in moved], weights) for i in range(count)]
    rows = [
        [widen(m[i] - mean[i], asset.wide) for m in moved]
        + [1.0 if j == i else 0.0 for j in range(count)]
        for i in range(count)
    ]
    return mean, factor(rows, weights + noise)


def _unscented_sense(asset: _Asset, x: Row, p: Factors) -> tuple[Row, list[Row], Row]:
    """Readings foreseen, and their regression on the states: y ≈ ŷ + h (x − x⁻) + e, e ~ N(0, Ω).

    In the directions ξ of the factors, x = x⁻ + U √D ξ, the slopes are b = E ξ y; so h solves
    Uᵀ h = b / √D, and Ω = var y − b·b is what no straight line explains: a sum of squares, of what
    two opposite points have in common.
    """
    count = len(x)
    points, weights, lengths = _points(x, p)
    read = [
        lanes.sense(asset.kernel, [_narrowed(a) for a in point], asset.u, asset.parameters)
        for point in points
    ]
    foreseen, rows, doubt = [], [], []
    for k in range(len(read[0])):
        values = [r[k] for r in read]
        mean = _mean(values, weights)
        off = [widen(v - mean, asset.wide) for v in values]
        pairs = list(zip(off[0 : 2 * count : 2], off[1 : 2 * count : 2], strict=True))
        b = [weights[0] * lengths[0] * (ahead - back) for ahead, back in pairs]
        slopes = [s / np.sqrt(np.maximum(d, TINY)) for s, d in zip(b, p.diagonal, strict=True)]
        bent = [ahead + back for ahead, back in pairs]
        centre = zip(weights[2 * count :], off[2 * count :], strict=True)
        foreseen.append(mean)
        rows.append(p.solve(slopes))
        doubt.append(
            _dot((0.5 * weights[0] * o, o) for o in bent) + _dot((w * o, o) for w, o in centre)
        )
    return foreseen, rows, doubt


def _mean(values: Row, weights: Row) -> Any:
    """Σ w v, about the first: what all share is not multiplied."""
    first = values[0]
    return first + _dot((w, v - first) for w, v in zip(weights[1:], values[1:], strict=True))


def _gradient(item: Any, count: int) -> Row:
    grad = item.grad if isinstance(item, Dual) else {}
    return [_narrowed(grad.get(k, 0.0)) for k in range(count)]


def _narrowed(item: Any) -> Any:
    return narrow(item)


def _chosen(condition: Any, yes: Any, no: Any) -> Any:
    return yes if yes is no else np.where(condition, yes, no)


def _dot(pairs: Any) -> Any:
    """Σ a b, without the terms that are structurally 0."""
    total: Any = 0.0
    for a, b in pairs:
        total = total + a * b
    return total


def _tracked(states: list[str], belief: dict[str, Any]) -> dict[str, Any]:
    """mean and std of every state, for a history."""
    told = {}
    for i, a in enumerate(states):
        further = ((belief[f"U.{a}.{b}"], b) for b in states[i + 1 :])
        variance = belief[f"D.{a}"] + _dot((u * u, belief[f"D.{b}"]) for u, b in further)
        told[f"mean.{a}"], told[f"std.{a}"] = belief[f"x.{a}"], np.sqrt(variance)
    return told


def _multiplied(states: list[str], belief: dict[str, Any]) -> dict[str, Any]:
    """A belief whose factors are multiplied out."""
    unit = [
        [belief[f"U.{a}.{b}"] if i < j else 0.0 for j, b in enumerate(states)]
        for i, a in enumerate(states)
    ]
    p = Factors(unit, [belief[f"D.{s}"] for s in states]).product()
    rest = {key: item for key, item in belief.items() if key[:2] not in ("U.", "D.")}
    return rest | {
        f"P.{a}.{b}": p[i][j] for j, b in enumerate(states) for i, a in enumerate(states[: j + 1])
    }


def _outside(graph: Graph) -> Any:
    """Whether any table was asked outside its points."""
    found: Any = graph.constant(False, "b")
    for index in graph.outside:
        found = found | Symbol(graph, index)
    return found
