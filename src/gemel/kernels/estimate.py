"""The extended Kalman filter of a fleet: predict, then correct.

Owns    the belief about the states: how it moves, how it takes in a measurement.
Never   lets a NaN in: a missing reading is a mask, and a row without inputs does not move.

    predict   x⁻ = f(x, u, p, Δt)          P⁻ = F P Fᵀ + Q Δt
    correct   ν = y − h(x⁻)   S = H P⁻ Hᵀ + R   K = P⁻ Hᵀ / S
              x = x⁻ + K ν     P = (I − K H) P⁻ (I − K H)ᵀ + K R Kᵀ        (Joseph: stays positive)

F and H are exact (`kernels/dual.py`). Sensors are taken one after the other, which needs no
matrix inverse and lets each be missing on its own.
Source: Simon, Optimal State Estimation (2006), ch. 6 and 13.
"""

import numpy as np

from gemel.clock import SECOND
from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.records import Bools, Estimate, Floats, Instants

STALE = 10.0  # process noise of a row whose inputs are stale, in variances
LOST = 1e6  # NIS of a row that had to begin anew
LONGEST = 500  # sub-steps: a longer silence is not simulated, only the doubt grows


def blank(kernel: type[Kernel], count: int) -> Estimate:
    """An estimate of `count` rows that have not begun: instant 0."""
    states, outputs = len(kernel.layout.states), len(kernel.layout.outputs)
    return Estimate(
        instant=np.zeros(count, np.int64),
        mean=np.zeros((count, states)),
        cov=np.zeros((count, states, states)),
        foreseen=np.zeros((count, outputs)),
        innovation=np.zeros((count, outputs)),
        innovation_var=np.ones((count, outputs)),
        mask=np.zeros((count, outputs), np.bool_),
        nis=np.zeros(count),
    )


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # such a row begins anew
def update(
    kernel: Kernel,
    last: Estimate,
    instant: int,
    u: Floats,
    ready: Bools,
    stale: Bools,
    y: Floats,
    y_mask: Bools,
    p: Floats,
) -> Estimate:
    """The estimate at `instant`, after predict and correct.

    u (A,U) inputs · ready (A,) the row has all its inputs · stale (A,) one of them is too old
    y (A,Y) readings · y_mask (A,Y) which are there · p (A,P) parameters
    A row that is not ready keeps its estimate; one that begins starts at `initial`. A row whose
    numbers are no longer finite begins anew, and its NIS says that it is out of step.
    """
    mean, cov = _predict(kernel, last, instant, u, ready, stale, p)
    foreseen, jacobian = lanes.sense_jacobian(kernel, mean, u, p)
    mask = y_mask & ready[:, None] & np.isfinite(foreseen)
    noise = np.array([item.noise for item in kernel.layout.outputs.values()]) ** 2
    innovation = np.where(mask, y - foreseen, 0.0)
    spread = np.einsum("ayx,axz,ayz->ay", jacobian, cov, jacobian) + noise
    corrected, cov, nis = _correct(mean, cov, jacobian, innovation, mask, noise)
    whole = np.isfinite(corrected).sum(axis=1) + np.isfinite(cov).sum(axis=(1, 2))
    lost = whole < corrected.shape[1] * (1 + corrected.shape[1])
    first, start = _begin(kernel, u, p)
    corrected = np.where(lost[:, None], first, corrected)
    cov, nis = np.where(lost[:, None, None], start, cov), np.where(lost, LOST, nis)
    keep = ready[:, None]
    return Estimate(
        instant=np.where(ready, instant, last.instant),
        mean=np.where(keep, corrected, last.mean),
        cov=np.where(keep[..., None], cov, last.cov),
        foreseen=np.where(keep, foreseen, last.foreseen),
        innovation=innovation,
        innovation_var=np.where(keep, spread, last.innovation_var),
        mask=mask,
        nis=nis,
    )


def _predict(
    kernel: Kernel,
    last: Estimate,
    instant: int,
    u: Floats,
    ready: Bools,
    stale: Bools,
    p: Floats,
) -> tuple[Floats, Floats]:
    states = kernel.layout.states.values()
    begun = last.instant > 0
    dt = elapsed(last.instant, instant, begun & ready)
    silent = dt > LONGEST * min(kernel.max_step, 3600.0)
    moved, jacobian = lanes.advance_jacobian(kernel, last.mean, u, p, np.where(silent, 0.0, dt))
    noise = np.array([item.noise for item in states]) ** 2
    grown = noise * dt[:, None] * np.where(stale, STALE, 1.0)[:, None]
    cov = jacobian @ last.cov @ jacobian.transpose(0, 2, 1) + _diagonal(grown)
    first, start = _begin(kernel, u, p)
    cov = np.where(silent[:, None, None], cov + start, cov)
    mean = np.where(begun[:, None], moved, first)
    return mean, np.where(begun[:, None, None], cov, start)


def _begin(kernel: Kernel, u: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Where every row begins: `initial` (A,X), and the declared doubt (A,X,X)."""
    count, states = len(u), kernel.layout.states.values()
    first = lanes.dense(lanes.initial(kernel, lanes.columns(u), lanes.columns(p), count), count)
    start_var = np.array([item.start_std for item in states]) ** 2
    return first, _diagonal(np.tile(start_var, (count, 1)))


def _correct(
    mean: Floats, cov: Floats, jacobian: Floats, innovation: Floats, mask: Bools, noise: Floats
) -> tuple[Floats, Floats, Floats]:
    """Take in the sensors one after the other; NIS is the sum of ν²/S."""
    start, nis = mean, np.zeros(len(mean))
    eye = np.eye(mean.shape[1])
    for k, r in enumerate(noise):
        h = jacobian[:, k, :]
        nu = innovation[:, k] - np.einsum("ax,ax->a", h, mean - start)
        ph = np.einsum("axz,az->ax", cov, h)
        s = np.einsum("ax,ax->a", h, ph) + r
        gain = np.where(mask[:, k, None], ph / s[:, None], 0.0)
        nis += np.where(mask[:, k], nu * nu / s, 0.0)
        mean = mean + gain * np.where(mask[:, k], nu, 0.0)[:, None]
        left = eye - gain[:, :, None] * h[:, None, :]
        cov = left @ cov @ left.transpose(0, 2, 1) + r * gain[:, :, None] * gain[:, None, :]
        cov = 0.5 * (cov + cov.transpose(0, 2, 1))
    return mean, cov, nis


def elapsed(since: Instants, instant: int, rows: Bools) -> Floats:
    """Seconds from each row's instant to `instant`, subtracted in int64; 0 for other rows."""
    return np.where(rows, np.maximum(instant - since, 0), 0) / SECOND


def _diagonal(values: Floats) -> Floats:
    """(A,X) → (A,X,X) diagonal."""
    return values[..., None] * np.eye(values.shape[-1])
