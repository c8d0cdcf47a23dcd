"""Fit the parameters of each asset from its history, leaning on the fleet's prior.

Owns    Levenberg–Marquardt through the kernel's own dynamics, with exact sensitivities.
Never   reads a store: it is handed windows of history as arrays.

History is cut into windows that run side by side as lanes, so the time loop is short and wide.
Each asset minimises, in transformed parameters θ (log where the scale is log),

    J(θ) = Σ ρ(w (y − ŷ(θ)) / σ) + Σ ((θ − θ₀) / spread)²

with σ the sensor's noise re-estimated from the residuals, ρ Huber's loss (one spike does not
bend a fit), and θ₀, spread the fleet's prior. J'J is gathered inside the time loop.
The uncertainty is the curvature at the minimum, widened by the residuals' autocorrelation
(n_eff = n (1 − r)/(1 + r)): neighbouring residuals are not fresh evidence.
Source: Nocedal & Wright (2006) §10.3; Huber (1964); Bartlett (1946) for n_eff.
"""

from dataclasses import dataclass

import numpy as np

from gemel.errors import Invalid
from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.kernels.dual import Dual, gradient
from gemel.records import Bools, Floats

HUBER = 2.5  # residuals beyond this many σ count linearly


@dataclass(frozen=True)
class Windows:
    """History as lanes: inputs (T,L,U) · readings (T,L,Y) · mask (T,L,Y) · asset (L,) · dt s.

    The first steps of a window only warm the states up: their mask is False.
    """

    inputs: Floats
    readings: Floats
    mask: Bools
    asset: np.ndarray
    dt: float
    assets: int


@dataclass(frozen=True)
class Fit:
    """values (A,P) · stds (A,P), in log where the scale is log · rmse (A,) · samples (A,)
    shrink (A,P): posterior variance over prior variance, 1 = the data said nothing."""

    values: Floats
    stds: Floats
    rmse: Floats
    samples: np.ndarray
    shrink: Floats
    rounds: int


def fit(kernel: Kernel, windows: Windows, rounds: int = 25) -> Fit:
    """Parameters of every asset, with their uncertainty.

    Raises `fit.no_samples` when an asset has nothing to learn from.
    """
    samples = _per_asset(windows, windows.mask.sum(axis=(0, 2)).astype(float))
    if not (samples > 0).all():
        raise Invalid(
            "fit.no_samples",
            f"{int((samples == 0).sum())} assets have no usable sample",
            mend="give a longer history, or leave these assets on the fleet's typical values",
        )
    prior, spread = _prior(kernel)
    theta = np.tile(prior, (windows.assets, 1))
    damping = np.full(windows.assets, 1e-2)
    sigma = _sensor_noise(kernel, windows)
    state = _gather(kernel, windows, theta, sigma)
    for done in range(1, rounds + 1):
        sigma = np.maximum(state.sigma, 1e-9)
        state = _gather(kernel, windows, theta, sigma) if done < 4 else state
        step = _solve(state, theta, prior, spread, damping)
        tried = _clip(kernel, theta + step)
        new = _gather(kernel, windows, tried, sigma)
        better = _cost(new, tried, prior, spread) < _cost(state, theta, prior, spread)
        theta = np.where(better[:, None], tried, theta)
        damping = np.clip(np.where(better, damping * 0.2, damping * 8.0), 1e-8, 1e8)
        small = np.abs(step / spread).max(axis=1) < 1e-3
        state = _choose(better, new, state)
        if (small | (damping > 1e7)).all():
            break
    curvature = state.jtj / state.widening[:, None, None] + np.diag(1.0 / spread**2)
    stds = np.sqrt(np.diagonal(np.linalg.inv(curvature), axis1=1, axis2=2))
    return Fit(
        _natural(kernel, theta),
        stds,
        np.sqrt(state.squares / samples),
        samples.astype(np.int64),
        (stds / spread) ** 2,
        done,
    )


def simulate(kernel: Kernel, windows: Windows, values: Floats) -> Floats:
    """Open loop: what the instruments should read from inputs alone, (T,L,Y)."""
    count = len(windows.asset)
    p = lanes.columns(values[windows.asset])
    out = np.zeros(windows.readings.shape)
    x = lanes.initial(kernel, lanes.columns(windows.inputs[0]), p, count)
    for t, u in enumerate(windows.inputs):
        x = lanes.advance(kernel, x, lanes.columns(u), p, windows.dt) if t else x
        out[t] = lanes.dense(lanes.sense(kernel, x, lanes.columns(u), p), count)
    return out


@dataclass
class _Sums:
    """What one pass over the history leaves: per asset."""

    jtj: Floats
    jtr: Floats
    loss: Floats
    squares: Floats
    sigma: Floats
    widening: Floats


def _gather(kernel: Kernel, windows: Windows, theta: Floats, sigma: Floats) -> _Sums:
    """One pass: residuals and their sensitivities, summed per asset inside the time loop."""
    count, size = len(windows.asset), theta.shape[1]
    p = _seeded(kernel, theta[windows.asset])
    jtj, jtr = np.zeros((count, size, size)), np.zeros((count, size))
    loss, squares = np.zeros(count), np.zeros((count, windows.readings.shape[2]))
    lagged, before = np.zeros(count), np.zeros((count, windows.readings.shape[2]))
    scale = sigma[windows.asset]
    x = lanes.initial(kernel, lanes.columns(windows.inputs[0]), p, count)
    for t, u in enumerate(windows.inputs):
        x = lanes.advance(kernel, x, lanes.columns(u), p, windows.dt) if t else x
        if not windows.mask[t].any():
            continue
        for k, read in enumerate(lanes.sense(kernel, x, lanes.columns(u), p)):
            mask = windows.mask[t, :, k]
            raw = np.where(mask, windows.readings[t, :, k] - lanes.dense([read], count)[:, 0], 0.0)
            r = raw / scale[:, k]
            size_r = np.abs(r)
            weight = np.minimum(1.0, HUBER / np.maximum(size_r, 1e-12))
            slope = gradient(read, size, count) * (mask / scale[:, k])[:, None]
            weighted = slope * weight[:, None]
            jtj += weighted[:, :, None] * slope[:, None, :]
            jtr += weighted * r[:, None]
            loss += np.where(size_r <= HUBER, r * r, HUBER * (2.0 * size_r - HUBER))
            squares[:, k] += raw * raw
            clipped = np.clip(r, -HUBER, HUBER)
            lagged += clipped * before[:, k]
            before[:, k] = clipped
    samples = _per_asset(windows, windows.mask.sum(axis=0).astype(float))
    total = _per_asset(windows, squares)
    rho = np.clip(_per_asset(windows, lagged) / np.maximum(_per_asset(windows, loss), 1e-12), 0, 0.99)
    return _Sums(
        _per_asset(windows, jtj),
        _per_asset(windows, jtr),
        _per_asset(windows, loss),
        total.sum(axis=1),
        np.sqrt(total / np.maximum(samples, 1.0)),
        (1.0 + rho) / (1.0 - rho),
    )


def _solve(state: _Sums, theta: Floats, prior: Floats, spread: Floats, damping: Floats) -> Floats:
    """The damped Gauss–Newton step of every asset: (A,P)."""
    inverse = 1.0 / spread**2
    normal = state.jtj + np.diag(inverse)
    diagonal = np.diagonal(normal, axis1=1, axis2=2)
    lifted = normal + damping[:, None, None] * diagonal[:, :, None] * np.eye(len(prior))
    right = state.jtr - (theta - prior) * inverse
    step = np.linalg.solve(lifted, right[..., None])[..., 0]
    return np.asarray(np.clip(step, -2.0 * spread, 2.0 * spread))


def _cost(state: _Sums, theta: Floats, prior: Floats, spread: Floats) -> Floats:
    return np.asarray(state.loss + (((theta - prior) / spread) ** 2).sum(axis=1))


def _choose(better: Bools, new: _Sums, old: _Sums) -> _Sums:
    def pick(a: Floats, b: Floats) -> Floats:
        return np.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return _Sums(*(pick(getattr(new, f), getattr(old, f)) for f in _Sums.__dataclass_fields__))


def _per_asset(windows: Windows, lane_values: Floats) -> Floats:
    out = np.zeros((windows.assets, *lane_values.shape[1:]))
    np.add.at(out, windows.asset, lane_values)
    return out


def _sensor_noise(kernel: Kernel, windows: Windows) -> Floats:
    noise = np.array([item.noise for item in kernel.layout.outputs.values()])
    return np.tile(noise, (windows.assets, 1))


def _prior(kernel: Kernel) -> tuple[Floats, Floats]:
    items = kernel.layout.parameters.values()
    centre = [np.log(i.typical) if i.scale == "log" else i.typical for i in items]
    return np.array(centre), np.array([i.spread for i in items])


def _natural(kernel: Kernel, theta: Floats) -> Floats:
    logs = np.array([i.scale == "log" for i in kernel.layout.parameters.values()])
    return np.where(logs, np.exp(np.where(logs, theta, 0.0)), theta)


def _clip(kernel: Kernel, theta: Floats) -> Floats:
    out = theta.copy()
    for k, item in enumerate(kernel.layout.parameters.values()):
        low, high = item.bounds
        if item.scale == "log":
            low, high = np.log(max(low, 1e-300)), np.log(high) if np.isfinite(high) else np.inf
        out[:, k] = np.clip(out[:, k], low, high)
    return out


def _seeded(kernel: Kernel, theta: Floats) -> list[Dual]:
    natural = _natural(kernel, theta)
    return [
        Dual(natural[:, k], {k: natural[:, k] if item.scale == "log" else 1.0})
        for k, item in enumerate(kernel.layout.parameters.values())
    ]
