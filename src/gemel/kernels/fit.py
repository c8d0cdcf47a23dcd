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
Sensitivities are forward differences, all parameters side by side in one simulation.
The uncertainty is the curvature of J at the minimum.

The algorithm (`_descend`) sees the simulation only through `_look`, what a set of parameters
gives, and `_weigh`, the sums that it makes. `kernels/pool.py` learns the prior from a fleet.

Source: Nocedal & Wright (2006) §10.3; Huber (1964), proposal 2, for σ; Bartlett (1946) for n.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from math import erf, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from gemel.errors import Invalid
from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.records import Bools, Floats

NUDGE = 1e-3  # the difference step, in spreads of the prior
SETTLE = 4  # rounds in which σ and n are still learned
WIDE = 6_000  # lanes × (parameters + 1) that are run side by side: about what a cache holds


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
    information (A,P,P), slope (A,P): what the readings alone say of θ near the answer θ̂,
        log L(θ) ≈ slope'(θ − θ̂) − ½ (θ − θ̂)' information (θ − θ̂)
    """

    values: Floats
    stds: Floats
    rmse: Floats
    samples: NDArray[np.int64]
    shrink: Floats
    cov: Floats
    sigma: Floats
    fresh: Floats
    information: Floats
    slope: Floats
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
) -> Fit:
    """Parameters of every asset, with their uncertainty; the kernel's own prior unless given one.

    start (A,P): natural values from which the search sets out; the prior's centre unless given
    settle: a search ends when a step lowers J by less than this share of it

    Raises `fit.no_samples` when an asset has nothing to learn from.
    """
    samples = _per_asset(windows, windows.mask.sum(axis=(0, 2)).astype(float))
    if not (samples > 0).all():
        raise Invalid(
            "fit.no_samples",
            f"{int((samples == 0).sum())} assets have no usable sample",
            mend="give a longer history, or leave these assets on the fleet's typical values",
        )
    prior, loss = (prior or prior_of(kernel)).only(np.arange(windows.assets)), loss or Loss()
    begin = prior.centre if start is None else transformed(kernel, start)
    parts = [
        _descend(kernel, windows.only(b), rounds, settle, loss.only(b), prior.only(b), begin[b])
        for b in _blocks(windows, prior.centre.shape[1])
    ]
    whole = {
        item.name: np.concatenate([getattr(part, item.name) for part in parts])
        for item in fields(Fit)
        if item.name != "rounds"
    }
    return Fit(**whole, rounds=max(part.rounds for part in parts))


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
class _Pass:
    """One simulation: residual (T,L,Y) and ∂reading/∂θ (T,P,L,Y)."""

    residual: Floats
    slope: Floats

    def taking(self, other: "_Pass", lanes_taken: Bools) -> "_Pass":
        """This pass, with some lanes from another."""
        lane = lanes_taken[:, None]
        return _Pass(
            np.where(lane, other.residual, self.residual), np.where(lane, other.slope, self.slope)
        )


@dataclass(frozen=True)
class _Sums:
    """A pass, weighed and summed per asset: J'J (A,P,P), J'r (A,P), loss (A,)."""

    jtj: Floats
    jtr: Floats
    loss: Floats

    def taking(self, other: "_Sums", taken: Bools) -> "_Sums":
        """These sums, with some assets from another."""
        return _Sums(
            np.where(taken[:, None, None], other.jtj, self.jtj),
            np.where(taken[:, None], other.jtr, self.jtr),
            np.where(taken, other.loss, self.loss),
        )


def _descend(
    kernel: Kernel,
    windows: Windows,
    rounds: int,
    settle: float,
    loss: Loss,
    prior: Prior,
    begin: Floats,
) -> Fit:
    """Levenberg–Marquardt of some assets side by side, each with its own damping."""
    low, high = bounds(kernel)
    theta = np.clip(begin, low, high)
    damping = np.full(windows.assets, 1e-2)
    now = _look(kernel, windows, theta)
    sizes = _sizes(windows, now.residual, loss)
    sums = _weigh(windows, now, *sizes, loss.bend)
    for done in range(1, rounds + 1):
        step = _solve(sums, theta, prior, damping)
        tried = np.clip(theta + step, low, high)
        new = _look(kernel, windows, tried)
        told = _weigh(windows, new, *sizes, loss.bend)
        before, after = sums.loss + _pull(theta, prior), told.loss + _pull(tried, prior)
        better = after < before
        theta = np.where(better[:, None], tried, theta)
        now = now.taking(new, better[windows.asset])
        damping = np.clip(np.where(better, damping * 0.2, damping * 6.0), 1e-8, 1e8)
        if done <= SETTLE:
            sizes = _sizes(windows, now.residual, loss)
            sums = _weigh(windows, now, *sizes, loss.bend)
        else:
            sums = sums.taking(told, better)
        small = np.abs(step / prior.spread).max(axis=1) < 2.0 * settle
        small |= before - after < settle * before
        if ((small & better) | (damping > 1e6)).all():
            break
    cov: Floats = np.asarray(np.linalg.inv(sums.jtj + prior.precision), np.float64)
    stds = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    rmse, samples = _rmse(windows, now.residual)
    shrink = (stds / prior.spread) ** 2
    values = natural(kernel, theta)
    return Fit(values, stds, rmse, samples, shrink, cov, *sizes, sums.jtj, sums.jtr, done)


def _look(kernel: Kernel, windows: Windows, theta: Floats) -> _Pass:
    """Simulate at θ and, side by side, with each parameter nudged (inwards at an upper bound)."""
    count = theta.shape[1]
    step = NUDGE * prior_of(kernel).spread
    nudge = step * np.where(theta + step > bounds(kernel)[1], -1.0, 1.0)
    sets = np.tile(theta, (count + 1, 1, 1))
    for k in range(count):
        sets[k + 1, :, k] += nudge[:, k]
    with np.errstate(over="ignore", invalid="ignore"):
        read = simulate(kernel, windows, natural(kernel, sets))
        residual = np.where(windows.mask, windows.readings - read[:, 0], 0.0)
        slope = (read[:, 1:] - read[:, :1]) / nudge.T[None, :, windows.asset, None]
    return _Pass(residual, slope)


def _weigh(windows: Windows, seen: _Pass, sigma: Floats, fresh: Floats, bend: float) -> _Sums:
    """Loss, gradient and Gauss–Newton curvature of every asset."""
    scale = sigma[windows.asset]
    knee = bend * scale
    root = np.sqrt(1.0 + (seen.residual / knee) ** 2)
    power = windows.weight / (scale**2 * fresh[windows.asset, None])
    loss = (power * 2.0 * knee**2 * (root - 1.0)).sum(axis=(0, 2))
    pull = power / root
    rows = np.moveaxis(seen.slope, 2, 0)  # (L,T,P,Y)
    rows = np.moveaxis(rows, 2, 1).reshape(*rows.shape[::2][:2], -1)  # (L,P,T·Y)
    flat = np.moveaxis(pull, 1, 0).reshape(len(rows), 1, -1)
    residual = np.moveaxis(seen.residual, 1, 0).reshape(len(rows), -1, 1)
    weighted = rows * flat
    return _Sums(
        _per_asset(windows, weighted @ rows.swapaxes(1, 2)),
        _per_asset(windows, (weighted @ residual)[..., 0]),
        _per_asset(windows, loss),
    )


def _solve(sums: _Sums, theta: Floats, prior: Prior, damping: Floats) -> Floats:
    """The damped Gauss–Newton step of every asset, two spreads at most: (A,P)."""
    normal = sums.jtj + prior.precision
    diagonal = np.diagonal(normal, axis1=1, axis2=2)
    lifted = normal + damping[:, None, None] * diagonal[:, :, None] * np.eye(theta.shape[1])
    right = sums.jtr[..., None] - prior.precision @ (theta - prior.centre)[..., None]
    step = np.linalg.solve(lifted, right)[..., 0]
    return np.asarray(np.clip(step, -2.0 * prior.spread, 2.0 * prior.spread))


def _pull(theta: Floats, prior: Prior) -> Floats:
    """What leaving the prior costs: (A,)."""
    away = theta - prior.centre
    return np.asarray(np.einsum("ap,apq,aq->a", away, prior.precision, away))


def _sizes(windows: Windows, residual: Floats, loss: Loss) -> tuple[Floats, Floats]:
    """σ (A,Y) of the residuals, spikes clipped, and n (A,), the rows that make a fresh one."""
    shape = (windows.assets, residual.shape[2])
    sigma = np.full(shape, 0.0 if loss.sigma is None else loss.sigma)
    count = np.maximum(_per_asset(windows, windows.weight.sum(axis=0)), 1e-9)
    if loss.sigma is None:
        sigma = np.sqrt(_per_asset(windows, (windows.weight * residual**2).sum(axis=0)) / count)
        for _ in range(20):
            knee = loss.bend * sigma[windows.asset]
            clipped = np.clip(residual, -knee, knee)
            squares = _per_asset(windows, (windows.weight * clipped**2).sum(axis=0))
            sigma = np.sqrt(squares / count / _kept(loss.bend))
        sigma = np.maximum(sigma, 1e-9)
    if loss.fresh is not None:
        return sigma, np.array(np.broadcast_to(loss.fresh, windows.assets), np.float64)
    z = np.clip(residual / sigma[windows.asset], -loss.bend, loss.bend)
    pair = windows.mask[1:] & windows.mask[:-1]
    product = _per_asset(windows, (pair * z[1:] * z[:-1]).sum(axis=(0, 2)))
    square = _per_asset(windows, (pair * 0.5 * (z[1:] ** 2 + z[:-1] ** 2)).sum(axis=(0, 2)))
    rho = np.clip(product / np.maximum(square, 1e-12), 0.0, 0.99)
    return sigma, (1.0 + rho) / (1.0 - rho)


def _kept(bend: float) -> float:
    """E min(z², bend²) of a standard normal z: what clipping leaves of its variance."""
    inside = erf(bend / sqrt(2.0))
    density = exp(-0.5 * bend**2) / sqrt(2.0 * pi)
    return inside - 2.0 * bend * density + bend**2 * (1.0 - inside)


def _rmse(windows: Windows, residual: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Weighted root mean square (A,) and the number of judged readings (A,)."""
    squares = _per_asset(windows, (windows.weight * residual**2).sum(axis=(0, 2)))
    total = _per_asset(windows, windows.weight.sum(axis=(0, 2)).astype(float))
    samples = _per_asset(windows, windows.mask.sum(axis=(0, 2)).astype(float))
    return np.sqrt(squares / np.maximum(total, 1e-9)), samples.astype(np.int64)


def _blocks(windows: Windows, parameters: int) -> list[NDArray[np.int64]]:
    """Assets, cut so that what runs side by side stays about WIDE."""
    lanes_of = np.bincount(windows.asset, minlength=windows.assets) * (parameters + 1)
    block = (np.cumsum(lanes_of) - lanes_of) // WIDE
    return [np.flatnonzero(block == b) for b in np.unique(block)]


def _per_asset(windows: Windows, lane_values: Floats) -> Floats:
    out = np.zeros((windows.assets, *lane_values.shape[1:]))
    np.add.at(out, windows.asset, lane_values)
    return out


def _logs(kernel: Kernel) -> Bools:
    return np.array([item.scale == "log" for item in kernel.layout.parameters.values()], np.bool_)
