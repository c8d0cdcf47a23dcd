"""Fit the parameters of each asset from its history, leaning on a prior.

Owns    Levenberg–Marquardt through the kernel's own dynamics, and how sure its answer is.
Never   reads a store: it is handed windows of history as arrays, and weights from who knows better.

History is cut into windows that run side by side as lanes, so the time loop is short and wide.
Each asset minimises, in transformed parameters θ (log where the scale is log),

    J(θ) = Σ w ρ(r) / (σ² n) + (θ − θ₀)' S⁻¹ (θ − θ₀)        ρ(r) = 2c² (√(1 + (r/c)²) − 1)

with r = y − ŷ(θ) open loop, w the row's weight (0 = not judged), σ the size of a residual,
c = bend · σ the knee of the pseudo-Huber loss (one spike does not bend a fit), and n the rows that
make one fresh reading: neighbours resemble each other, n = (1 + ρ₁)/(1 − ρ₁), and are not fresh
evidence against the prior N(θ₀, S). σ and n are learned from the residuals unless given.
Sensitivities are exact, and summed as the simulation goes (`kernels/sensitivity.py`).
The uncertainty is the curvature of J at the minimum.

The algorithm (`_descend`) sees the simulation only through `_History`. `kernels/pool.py` learns the
prior from a fleet.

Source: Nocedal & Wright (2006) §10.3; Huber (1964), proposal 2, for σ; Bartlett (1946) for n.
"""

from dataclasses import dataclass
from functools import cached_property
from math import erf, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from gemel.errors import Invalid
from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.kernels.sensitivity import Pass, Run, Sums
from gemel.records import Bools, Floats

SILENT = 0.8  # posterior variance over prior variance from which readings say nothing
SETTLE = 4  # rounds in which σ and n are still learned once an asset has come to rest
STILL = 5e-3  # the share by which σ and n may change and still count as learned
BOUNDLESS = 1e20  # a σ that clips nothing
_Sizes = tuple[Floats, Floats]  # σ (A,Y), n (A,)


@dataclass(frozen=True)
class Windows:
    """History as lanes: inputs (T,L,U) · readings (T,L,Y) · weight (T,L,Y) · asset (L,) · dt s.

    weight: how much a reading counts, 0 = not judged (booleans will do). The first steps of a
    window only warm the states up: their weight is 0.
    """

    inputs: Floats
    readings: Floats
    weight: Floats | Bools
    asset: NDArray[np.int64]
    dt: float
    assets: int

    @property
    def mask(self) -> Bools:
        """Which readings are judged at all: (T,L,Y)."""
        return np.asarray(np.asarray(self.weight, np.float64) > 0)

    def only(self, assets: NDArray[np.int64]) -> "Windows":
        """The windows of some assets, renumbered 0, 1, … in the order given."""
        number = np.full(self.assets, -1)
        number[assets] = np.arange(len(assets))
        keep = number[self.asset] >= 0
        return Windows(
            self.inputs[:, keep],
            self.readings[:, keep],
            self.weight[:, keep],
            number[self.asset[keep]],
            self.dt,
            len(assets),
        )


@dataclass(frozen=True)
class Loss:
    """How residuals count.

    bend: residuals beyond so many σ count linearly · sigma: size of a residual in the sensor's
    unit · fresh: rows that make one independent reading. None: learned from the residuals.
    sigma may be one number or (A,Y), fresh one number or (A,).
    """

    bend: float = 2.5
    sigma: float | Floats | None = None
    fresh: float | Floats | None = None

    @property
    def learns(self) -> bool:
        """Whether something of it is learned from the residuals."""
        return self.sigma is None or self.fresh is None

    def only(self, assets: NDArray[np.int64]) -> "Loss":
        """The loss of some assets."""
        sigma, fresh = (
            part[assets] if isinstance(part, np.ndarray) else part
            for part in (self.sigma, self.fresh)
        )
        return Loss(self.bend, sigma, fresh)


@dataclass(frozen=True)
class Prior:
    """Where θ is looked for, N(centre, cov), in log where the scale is log.

    centre (P,), or (A,P) when every asset has its own · cov (P,P) or (A,P,P)

    >>> Prior(np.zeros(2), np.diag([4.0, 9.0])).spread
    array([2., 3.])
    """

    centre: Floats
    cov: Floats

    @property
    def spread(self) -> Floats:
        """One standard deviation of every parameter: (P,) or (A,P)."""
        return np.asarray(np.sqrt(np.diagonal(self.cov, axis1=-2, axis2=-1)))

    @cached_property
    def precision(self) -> Floats:
        """The inverse of `cov`."""
        return np.asarray(np.linalg.inv(self.cov))

    def only(self, assets: NDArray[np.int64]) -> "Prior":
        """One centre and one covariance for each of some assets: (A,P), (A,P,P)."""
        centre = self.centre[assets] if self.centre.ndim > 1 else self.centre
        cov = self.cov[assets] if self.cov.ndim > 2 else self.cov
        shape = (len(assets), self.centre.shape[-1])
        return Prior(np.broadcast_to(centre, shape), np.broadcast_to(cov, (*shape, shape[-1])))


@dataclass(frozen=True)
class Fit:
    """What was found, and how surely.

    values (A,P) · stds (A,P), in log where the scale is log · rmse (A,) · samples (A,)
    shrink (A,P): posterior variance over prior variance, 1 = the data said nothing
    cov (A,P,P): the whole posterior covariance; parameters that trade off are told apart by it
    sigma (A,Y), fresh (A,): the size of a residual and the rows of a fresh reading that were used
    misfit (A,), slope (A,P), information (A,P,P): what the readings alone say of θ near the answer,
        J(θ) without its prior ≈ misfit − 2 slope'(θ − θ̂) + (θ − θ̂)' information (θ − θ̂);
        misfit is infinite, and the others 0, where a simulation ran away to no number
    """

    values: Floats
    stds: Floats
    rmse: Floats
    samples: NDArray[np.int64]
    shrink: Floats
    cov: Floats
    sigma: Floats
    fresh: Floats
    misfit: Floats
    slope: Floats
    information: Floats
    rounds: int


def fit(
    kernel: Kernel,
    windows: Windows,
    rounds: int = 25,
    *,
    loss: Loss | None = None,
    prior: Prior | None = None,
    start: Floats | None = None,
    settle: float = 1e-3,
    run: Run | None = None,
) -> Fit:
    """Parameters of every asset, with their uncertainty; the kernel's own prior unless given one.

    start (A,P): natural values from which the search sets out; the prior's centre unless given
    settle: a search ends when a step lowers J by less than this share of it
    run: who runs a compiled pass, such as `engines.local.Local().run`; the thread that asks

    Raises `fit.no_samples` when an asset has nothing to learn from.
    """
    samples = _samples(windows)
    if not (samples > 0).all():
        raise Invalid(
            "fit.no_samples",
            f"{int((samples == 0).sum())} assets have no usable sample",
            mend="give a longer history, or leave these assets on the fleet's typical values",
        )
    prior, loss = (prior or prior_of(kernel)).only(np.arange(windows.assets)), loss or Loss()
    begin = prior.centre if start is None else transformed(kernel, start)
    return _descend(kernel, windows, rounds, settle, loss, prior, begin, run)


def simulate(kernel: Kernel, windows: Windows, values: Floats) -> Floats:
    """Open loop: what the instruments should read from inputs alone.

    values (A,P) → (T,L,Y); several sets of values at once, (N,A,P) → (T,N,L,Y).
    """
    count = len(windows.asset)
    drawn = values[..., windows.asset, :]
    p = lanes.columns(drawn)
    out = np.zeros((len(windows.inputs), *drawn.shape[:-1], windows.readings.shape[2]))
    x = lanes.initial(kernel, lanes.columns(windows.inputs[0]), p, count)
    for t, row in enumerate(windows.inputs):
        u = lanes.columns(row)
        x = lanes.advance(kernel, x, u, p, windows.dt) if t else x
        for k, read in enumerate(lanes.sense(kernel, x, u, p)):
            out[t, ..., k] = read
    return out


def prior_of(kernel: Kernel) -> Prior:
    """The prior that the kernel declares."""
    items = kernel.layout.parameters.values()
    spread = np.array([item.spread for item in items])
    return Prior(transformed(kernel, kernel.typical()), np.diag(spread**2))


def pooled(kernel: Kernel, fitted: Floats) -> Prior:
    """What a fleet's fitted values (A,P) say about its next asset: partial pooling.

    centre: their mean θ, drawn to the typical value as if that were one more asset
    spread: how they scatter about it, never more than the kernel declares
    """
    declared = prior_of(kernel)
    theta = np.concatenate([transformed(kernel, fitted), declared.centre[None]])
    count = len(fitted)
    scatter = (((theta - theta.mean(axis=0)) ** 2).sum(axis=0) + declared.spread**2) / (count + 1)
    return Prior(theta.mean(axis=0), np.diag(np.minimum(scatter, declared.spread**2)))


def unidentified(kernel: Kernel, information: Floats) -> list[list[str]]:
    """What the readings of every asset say nothing about, in words.

    information (A,P,P): `Fit.information`, held against the declared spreads. "heat": the parameter
    itself; "heat with loss": both up together, "heat against loss": one up and the other down.

    >>> from gemel.kernels.base import parameter, sensor
    >>> class Scale(Kernel):
    ...     version = "1"
    ...     gain, load = (parameter("1", typical=1.0, spread=1.0, scale="log") for _ in range(2))
    ...     reading = sensor("kg", noise=0.1)
    >>> unidentified(Scale(), 100.0 * np.array([[[1.0, 1.0], [1.0, 1.0]]]))  # told: gain · load
    [['gain against load']]
    """
    names = list(kernel.layout.parameters)
    spread = prior_of(kernel).spread
    scaled = information * np.outer(spread, spread)
    silent = 1.0 / SILENT - 1.0
    kept = np.linalg.inv(scaled + np.eye(len(names)))
    told = np.diagonal(kept, axis1=1, axis2=2) < SILENT
    words = [[name for name, is_told in zip(names, of, strict=True) if not is_told] for of in told]
    doubtful = np.linalg.eigvalsh(scaled)[:, 0] < silent
    for asset in np.flatnonzero(doubtful & told.any(axis=1)):
        rest = np.flatnonzero(told[asset])
        strengths, directions = np.linalg.eigh(scaled[asset][np.ix_(rest, rest)])
        for direction in directions.T[strengths < silent]:
            words[asset].append(_named([names[k] for k in rest], direction))
    return words


def _named(names: list[str], direction: Floats) -> str:
    """A direction by its main parameters: first with second against third."""
    order = np.argsort(-np.abs(direction), kind="stable")
    first = float(direction[order[0]])
    text: str = names[order[0]]
    for k in order[1:]:
        if abs(direction[k]) > 0.3 * abs(first):
            text += f" {'with' if direction[k] * first > 0 else 'against'} {names[k]}"
    return text


def transformed(kernel: Kernel, values: Floats) -> Floats:
    """Natural values → θ: the logarithm where the scale is log."""
    logs = _logs(kernel)
    return np.where(logs, np.log(np.where(logs, values, 1.0)), values)


def natural(kernel: Kernel, theta: Floats) -> Floats:
    """θ → natural values."""
    logs = _logs(kernel)
    return np.where(logs, np.exp(np.where(logs, theta, 0.0)), theta)


def bounds(kernel: Kernel) -> tuple[Floats, Floats]:
    """Bounds of θ: (P,), (P,)."""
    items = list(kernel.layout.parameters.values())
    low, high = np.array([i.bounds for i in items]).reshape(-1, 2).T
    logs = _logs(kernel)
    floor = np.log(np.where(logs, np.maximum(low, 1e-300), 1.0))
    return np.where(logs, floor, low), np.where(logs, np.log(np.where(logs, high, 1.0)), high)


@dataclass(frozen=True)
class _History:
    """Windows laid out for the compiled pass: asset (L,) · weight (A,Y), Σ w of every sensor."""

    compiled: Pass
    asset: NDArray[np.int64]
    weight: Floats

    @staticmethod
    def of(kernel: Kernel, windows: Windows, run: Run | None) -> "_History":
        counted = np.asarray(windows.weight, np.float64).sum(axis=0)
        weight = np.maximum(_per_asset(windows.asset, windows.assets, counted), 1e-9)
        return _History(Pass.of(kernel, windows, run), windows.asset, weight)

    def only(self, rows: NDArray[np.int64]) -> "_History":
        """The windows of some assets, renumbered in the order given."""
        number = np.full(len(self.weight), -1)
        number[rows] = np.arange(len(rows))
        lanes = np.flatnonzero(number[self.asset] >= 0)
        return _History(self.compiled.only(lanes), number[self.asset[lanes]], self.weight[rows])

    def sums(self, theta: Floats, sizes: _Sizes, bend: float) -> Sums:
        """Loss, gradient and Gauss–Newton curvature of every asset at θ (A,P)."""
        asset, (sigma, fresh) = self.asset, sizes
        told = self.compiled.sums(theta[asset], sigma[asset], fresh[asset], bend)
        sums = told.each(lambda part: _per_asset(asset, len(theta), part))
        sound = sums.curvature.sum(axis=(1, 2)) + sums.gradient.sum(axis=1)
        lost = ~(np.isfinite(sums.loss) & np.isfinite(sound))
        sums.curvature[lost], sums.gradient[lost] = 0.0, 0.0  # the next step is back to the prior
        sums.loss[lost] = np.inf
        return sums


@np.errstate(over="ignore", invalid="ignore")  # a bad guess may run away: it is not taken
def _descend(
    kernel: Kernel,
    windows: Windows,
    rounds: int,
    settle: float,
    loss: Loss,
    prior: Prior,
    begin: Floats,
    run: Run | None,
) -> Fit:
    """Levenberg–Marquardt of some assets side by side, each with its own damping."""
    low, high = bounds(kernel)
    theta = np.clip(begin, low, high)
    damping = np.full(windows.assets, 1e-2)
    history, rows = _History.of(kernel, windows, run), np.arange(windows.assets)
    calm = np.full(windows.assets, 0 if loss.learns else SETTLE + 1)
    weight = history.weight
    sizes = _given(loss, weight.shape)
    sums = history.sums(theta, sizes, loss.bend)
    if loss.sigma is None:
        sizes = _learned(sums, weight, loss, sizes, calm)
        sums = history.sums(theta, sizes, loss.bend)
    done, ended = 0, calm < 0
    while done < rounds and not ended.all():
        if 2 * np.count_nonzero(~ended) <= len(rows):  # those at rest are left out
            history = history.only(np.flatnonzero(~ended[rows]))
            rows = rows[~ended[rows]]
        done += 1
        step, gain = _solve(sums, theta, prior, damping)
        tried = np.where(ended[:, None], theta, np.clip(theta + step, low, high))
        told = sums.put(rows, history.sums(tried[rows], _of(sizes, rows), loss.bend))
        before, after = sums.loss + _pull(theta, prior), told.loss + _pull(tried, prior)
        better = (after < before) & ~ended
        theta = np.where(better[:, None], tried, theta)
        damping = np.clip(np.where(better, damping * 0.2, damping * 6.0), 1e-8, 1e8)
        small = np.abs(step / prior.spread).max(axis=1) < 2.0 * settle
        small |= before - after < settle * before
        rest = (small & better) | (damping > 1e6) | (gain < 1e-9 * np.minimum(before, after))
        sums = sums.put(np.flatnonzero(better), told.only(better))
        calm += rest | (calm > 0)
        learned = _learned(sums, weight, loss, sizes, calm)
        settled = _alike(learned, sizes) | (calm > SETTLE)
        ended |= rest & settled
        learning = ~(ended | settled)
        if learning.any():
            damping[calm == 1] = 1e-2
            for size, new in zip(sizes, learned, strict=True):
                size[learning] = new[learning]
            sums = sums.put(rows, history.sums(theta[rows], _of(sizes, rows), loss.bend))
    rmse = np.sqrt(sums.squares / weight.sum(axis=1))
    return _found(kernel, theta, prior, sizes, sums, rmse, _samples(windows), done)


def _found(
    kernel: Kernel,
    theta: Floats,
    prior: Prior,
    sizes: _Sizes,
    sums: Sums,
    rmse: Floats,
    samples: NDArray[np.int64],
    rounds: int,
) -> Fit:
    """The answer at θ, and its curvature there."""
    cov: Floats = np.asarray(np.linalg.inv(sums.curvature + prior.precision), np.float64)
    stds = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    return Fit(
        values=natural(kernel, theta),
        stds=stds,
        rmse=rmse,
        samples=samples,
        shrink=(stds / prior.spread) ** 2,
        cov=cov,
        sigma=sizes[0],
        fresh=sizes[1],
        misfit=sums.loss,
        slope=sums.gradient,
        information=sums.curvature,
        rounds=rounds,
    )


def _of(sizes: _Sizes, rows: NDArray[np.int64]) -> _Sizes:
    """σ and n of some assets."""
    return sizes[0][rows], sizes[1][rows]


def _solve(sums: Sums, theta: Floats, prior: Prior, damping: Floats) -> tuple[Floats, Floats]:
    """The damped Gauss–Newton step (A,P), two spreads at most, and what it promises (A,)."""
    normal = sums.curvature + prior.precision
    diagonal = np.diagonal(normal, axis1=1, axis2=2)
    lifted = normal + damping[:, None, None] * diagonal[:, :, None] * np.eye(theta.shape[1])
    right = sums.gradient - np.einsum("apq,aq->ap", prior.precision, theta - prior.centre)
    step = np.linalg.solve(lifted, right[..., None])[..., 0]
    step = np.clip(step, -2.0 * prior.spread, 2.0 * prior.spread)
    return np.asarray(step), np.asarray((right * step).sum(axis=1))


def _pull(theta: Floats, prior: Prior) -> Floats:
    """What leaving the prior costs: (A,)."""
    away = theta - prior.centre
    return np.asarray(np.einsum("ap,apq,aq->a", away, prior.precision, away))


def _given(loss: Loss, shape: tuple[int, ...]) -> _Sizes:
    """σ (A,Y) and n (A,) to begin with: those that are given; nothing clipped, every row fresh."""
    sigma = BOUNDLESS if loss.sigma is None else loss.sigma
    fresh = 1.0 if loss.fresh is None else loss.fresh
    pairs = ((sigma, shape), (fresh, shape[:1]))
    sigma, fresh = (np.array(np.broadcast_to(*pair), np.float64) for pair in pairs)
    return sigma, fresh


def _learned(
    sums: Sums, weight: Floats, loss: Loss, before: _Sizes, calm: NDArray[np.int64]
) -> _Sizes:
    """σ (A,Y) and n (A,): those that are given, or the next ones on the way to Huber's σ.

        σ² ← σ² Σ w min(z², bend²) / (Σ w E min(z², bend²)),   n = (1 + ρ₁) / (1 − ρ₁)

    From a boundless σ the next is the root mean square. Until an asset first came to rest (`calm`
    is 0) every row is taken for fresh: what a poor first guess leaves is large and smooth, and
    would excuse itself as noise.
    """
    sigma, fresh = before
    if loss.sigma is None:
        kept = np.where(sigma < BOUNDLESS, _kept(loss.bend), 1.0)
        new = np.maximum(sigma * np.sqrt(sums.clipped / weight / kept), 1e-9)
        sigma = np.where(np.isfinite(new), new, sigma)
    if loss.fresh is None:
        rho = np.clip(sums.product / np.maximum(sums.pairs, 1e-12), 0.0, 0.99)
        fresh = np.where(calm == 0, 1.0, (1.0 + rho) / (1.0 - rho))
    return sigma, fresh


def _alike(one: _Sizes, other: _Sizes) -> Bools:
    """Whether σ and n of an asset are the same, but for STILL: (A,)."""
    sigma, fresh = (np.abs(a - b) <= STILL * b for a, b in zip(one, other, strict=True))
    return np.asarray(sigma.all(axis=1) & fresh)


def _kept(bend: float) -> float:
    """E min(z², bend²) of a standard normal z: what clipping leaves of its variance."""
    inside = erf(bend / sqrt(2.0))
    density = exp(-0.5 * bend**2) / sqrt(2.0 * pi)
    return inside - 2.0 * bend * density + bend**2 * (1.0 - inside)


def _samples(windows: Windows) -> NDArray[np.int64]:
    """How many readings of every asset are judged: (A,)."""
    judged = windows.mask.sum(axis=(0, 2)).astype(float)
    return _per_asset(windows.asset, windows.assets, judged).astype(np.int64)


def _per_asset(asset: NDArray[np.int64], assets: int, of_lanes: Floats) -> Floats:
    """What belongs to lanes (L,…), added up per asset: (A,…)."""
    out = np.zeros((assets, *of_lanes.shape[1:]))
    np.add.at(out, asset, of_lanes)
    return out


def _logs(kernel: Kernel) -> Bools:
    return np.array([item.scale == "log" for item in kernel.layout.parameters.values()], np.bool_)
