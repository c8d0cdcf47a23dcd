"""Fit the parameters of each asset from its history, leaning on the fleet's prior.

Owns    Levenberg–Marquardt through the kernel's own dynamics, and how sure its answer is.
Never   reads a store: it is handed windows of history as arrays, and weights from who knows better.

History is cut into windows that run side by side as lanes, so the time loop is short and wide.
Each asset minimises, in transformed parameters θ (log where the scale is log),

    J(θ) = Σ w ρ(r) / (σ² n) + Σ ((θ − θ₀) / spread)²        ρ(r) = 2c² (√(1 + (r/c)²) − 1)

with r = y − ŷ(θ) open loop, w the row's weight (0 = not judged), σ the size of a residual,
c = bend · σ the knee of the pseudo-Huber loss (one spike does not bend a fit), and n the rows that
make one fresh reading: neighbours resemble each other, n = (1 + ρ₁)/(1 − ρ₁), and are not fresh
evidence against the prior θ₀, spread. σ and n are learned from the residuals unless given.
Sensitivities are forward differences, all parameters side by side in one simulation.
The uncertainty is the curvature of J at the minimum.

Source: Nocedal & Wright (2006) §10.3; Huber (1964), proposal 2, for σ; Bartlett (1946) for n.
"""

from dataclasses import dataclass
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
    """

    bend: float = 2.5
    sigma: float | None = None
    fresh: float | None = None


@dataclass(frozen=True)
class Prior:
    """Where θ is looked for: centre (P,) and spread (P,), in log where the scale is log."""

    centre: Floats
    spread: Floats


@dataclass(frozen=True)
class Fit:
    """values (A,P) · stds (A,P), in log where the scale is log · rmse (A,) · samples (A,)
    shrink (A,P): posterior variance over prior variance, 1 = the data said nothing
    cov (A,P,P): the whole posterior covariance; parameters that trade off are told apart by it."""

    values: Floats
    stds: Floats
    rmse: Floats
    samples: NDArray[np.int64]
    shrink: Floats
    cov: Floats
    rounds: int


def fit(
    kernel: Kernel,
    windows: Windows,
    rounds: int = 25,
    *,
    loss: Loss | None = None,
    prior: Prior | None = None,
) -> Fit:
    """Parameters of every asset, with their uncertainty; the kernel's own prior unless given one.

    Raises `fit.no_samples` when an asset has nothing to learn from.
    """
    samples = _per_asset(windows, windows.mask.sum(axis=(0, 2)).astype(float))
    if not (samples > 0).all():
        raise Invalid(
            "fit.no_samples",
            f"{int((samples == 0).sum())} assets have no usable sample",
            mend="give a longer history, or leave these assets on the fleet's typical values",
        )
    prior, loss = prior or prior_of(kernel), loss or Loss()
    parts = [
        _fit_block(kernel, windows.only(block), rounds, loss, prior)
        for block in _blocks(windows, len(prior.centre))
    ]
    stds = np.concatenate([part.stds for part in parts])
    return Fit(
        np.concatenate([part.values for part in parts]),
        stds,
        np.concatenate([part.rmse for part in parts]),
        samples.astype(np.int64),
        (stds / prior.spread) ** 2,
        np.concatenate([part.cov for part in parts]),
        max(part.rounds for part in parts),
    )


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
    return Prior(transformed(kernel, kernel.typical()), spread)


def pooled(kernel: Kernel, fitted: Floats) -> Prior:
    """What a fleet's fitted values (A,P) say about its next asset: partial pooling.

    centre: their mean θ, drawn to the typical value as if that were one more asset
    spread: how they scatter about it, never more than the kernel declares
    """
    declared = prior_of(kernel)
    theta = np.concatenate([transformed(kernel, fitted), declared.centre[None]])
    count = len(fitted)
    scatter = (((theta - theta.mean(axis=0)) ** 2).sum(axis=0) + declared.spread**2) / (count + 1)
    return Prior(theta.mean(axis=0), np.minimum(np.sqrt(scatter), declared.spread))


def transformed(kernel: Kernel, values: Floats) -> Floats:
    """Natural values → θ: the logarithm where the scale is log."""
    logs = _logs(kernel)
    return np.where(logs, np.log(np.where(logs, values, 1.0)), values)


def natural(kernel: Kernel, theta: Floats) -> Floats:
    """θ → natural values."""
    logs = _logs(kernel)
    return np.where(logs, np.exp(np.where(logs, theta, 0.0)), theta)


@dataclass(frozen=True)
class _Pass:
    """One simulation: residual (T,L,Y) and ∂reading/∂θ (T,P,L,Y)."""

    residual: Floats
    slope: Floats


@dataclass(frozen=True)
class _Sums:
    """A pass, weighed and summed per asset: J'J, J'r, loss."""

    jtj: Floats
    jtr: Floats
    loss: Floats


def _fit_block(kernel: Kernel, windows: Windows, rounds: int, loss: Loss, prior: Prior) -> Fit:
    """Levenberg–Marquardt of some assets side by side, each with its own damping."""
    low, high = _bounds(kernel)
    theta = np.tile(np.clip(prior.centre, low, high), (windows.assets, 1))
    damping = np.full(windows.assets, 1e-2)
    now = _look(kernel, windows, theta, prior, high)
    sigma, fresh = _sizes(windows, now.residual, loss)
    for done in range(1, rounds + 1):
        sums = _weigh(windows, now, sigma, fresh, loss.bend)
        step = _solve(sums, theta, prior, damping)
        tried = np.clip(theta + step, low, high)
        new = _look(kernel, windows, tried, prior, high)
        before = sums.loss + _pull(theta, prior)
        after = _weigh(windows, new, sigma, fresh, loss.bend).loss + _pull(tried, prior)
        better = after < before
        theta = np.where(better[:, None], tried, theta)
        lane = better[windows.asset][:, None]
        now = _Pass(
            np.where(lane, new.residual, now.residual), np.where(lane, new.slope, now.slope)
        )
        damping = np.clip(np.where(better, damping * 0.2, damping * 6.0), 1e-8, 1e8)
        if done <= SETTLE:
            sigma, fresh = _sizes(windows, now.residual, loss)
        small = (np.abs(step / prior.spread).max(axis=1) < 2e-3) | (before - after < 1e-3 * before)
        if ((small & better) | (damping > 1e6)).all():
            break
    sums = _weigh(windows, now, sigma, fresh, loss.bend)
    curvature = sums.jtj + np.diag(1.0 / prior.spread**2)
    cov: Floats = np.asarray(np.linalg.inv(curvature), np.float64)
    stds = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    rmse, samples = _rmse(windows, now.residual)
    shrink = (stds / prior.spread) ** 2
    return Fit(natural(kernel, theta), stds, rmse, samples, shrink, cov, done)


def _look(kernel: Kernel, windows: Windows, theta: Floats, prior: Prior, high: Floats) -> _Pass:
    """Simulate at θ and, side by side, with each parameter nudged (inwards at an upper bound)."""
    count = theta.shape[1]
    nudge = NUDGE * prior.spread * np.where(theta + NUDGE * prior.spread > high, -1.0, 1.0)
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
    """The damped Gauss–Newton step of every asset: (A,P)."""
    inverse = 1.0 / prior.spread**2
    normal = sums.jtj + np.diag(inverse)
    diagonal = np.diagonal(normal, axis1=1, axis2=2)
    lifted = normal + damping[:, None, None] * diagonal[:, :, None] * np.eye(len(inverse))
    right = sums.jtr - (theta - prior.centre) * inverse
    step = np.linalg.solve(lifted, right[..., None])[..., 0]
    return np.asarray(np.clip(step, -2.0 * prior.spread, 2.0 * prior.spread))


def _pull(theta: Floats, prior: Prior) -> Floats:
    """What leaving the prior costs: (A,)."""
    return np.asarray((((theta - prior.centre) / prior.spread) ** 2).sum(axis=1))


def _sizes(windows: Windows, residual: Floats, loss: Loss) -> tuple[Floats, Floats]:
    """σ (A,Y) of the residuals, spikes clipped, and n (A,), the rows that make a fresh one."""
    shape = (windows.assets, residual.shape[2])
    sigma = np.full(shape, loss.sigma or 0.0)
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
        return sigma, np.full(windows.assets, loss.fresh)
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


def _bounds(kernel: Kernel) -> tuple[Floats, Floats]:
    """Bounds of θ: (P,), (P,)."""
    items = list(kernel.layout.parameters.values())
    low, high = np.array([i.bounds for i in items]).reshape(-1, 2).T
    logs = _logs(kernel)
    floor = np.log(np.where(logs, np.maximum(low, 1e-300), 1.0))
    return np.where(logs, floor, low), np.where(logs, np.log(np.where(logs, high, 1.0)), high)
