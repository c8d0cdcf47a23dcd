"""Foresee: run copies of a twin forward to the first crossing of a limit.

Owns    the Monte Carlo of one fleet under a scenario, and the RUL distribution it gives.
Never   moves the twin: it works on copies, and what it returns is a distribution, not a number.

Each path draws its start from the estimate N(x, P), its parameters from their fitted spread, and
process noise on the way. A limit is reached when its margin first falls to 0; a path that
does not get there before the horizon is censored, and counted as such.
Source for the form of the answer: ISO 13381-1.
"""

from dataclasses import dataclass

import numpy as np

from gemel.kernels import lanes
from gemel.kernels.base import Kernel
from gemel.kernels.draws import Keys, lane_keys, normals
from gemel.records import Floats, Rul

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Foreseen:
    """modes · passage (A, paths, modes): s to the first crossing, inf where censored."""

    modes: list[str]
    passage: Floats
    horizon: float
    scenario: str

    def rul(self, row: int) -> list[Rul]:
        """The time to each limit of one row, as quantiles and the share that was reached."""
        answers = []
        for k, mode in enumerate(self.modes):
            paths = np.sort(self.passage[row, :, k])
            picks = [paths[min(len(paths) - 1, int(q * len(paths)))] for q in QUANTILES]
            quantiles = {
                str(q): float(v) if np.isfinite(v) else None
                for q, v in zip(QUANTILES, picks, strict=True)
            }
            reached = float(np.isfinite(paths).mean())
            answers.append(Rul(mode, quantiles, reached, self.horizon, self.scenario))
        return answers

    def first(self, row: int) -> Floats:
        """When the first limit of any kind is reached on each path, s: (paths,)."""
        if not self.modes:
            return np.full(self.passage.shape[1], np.inf)
        return np.asarray(self.passage[row].min(axis=-1))


def foresee(
    kernel: Kernel,
    mean: Floats,
    cov: Floats,
    p: Floats,
    p_cov: Floats,
    inputs: Floats,
    dt: float,
    *,
    keys: Keys,
    seed: int,
    paths: int,
    scenario: str,
) -> Foreseen:
    """Run every row `paths` times over inputs (K, A, U), `dt` seconds a step.

    mean (A,X) · cov (A,X,X) · p (A,P) · p_cov (A,P,P), in log where the scale is log
    keys (A,) twin keys: they, the seed, the path and the step make every draw
    """
    rows, steps = len(mean), len(inputs)
    streams = lane_keys(seed, keys, paths)
    x, parameters = _start(kernel, mean, cov, p, p_cov, streams, paths)
    noise = [item.noise * np.sqrt(dt) for item in kernel.layout.states.values()]
    modes: list[str] = []
    passage = np.zeros((0, 0))
    for k in range(steps):
        u = [np.repeat(column, paths) for column in lanes.columns(inputs[k])]
        x = lanes.advance(kernel, x, u, parameters, dt)
        x = [
            a + size * normals(streams, k + 1, draw) if size else a
            for draw, (a, size) in enumerate(zip(x, noise, strict=True))
        ]
        margins = lanes.limits(kernel, x, u, parameters)
        if k == 0:
            modes = list(margins)
            passage = np.full((rows * paths, len(modes)), np.inf)
        for m, mode in enumerate(modes):
            crossed = ~(np.asarray(margins[mode]) > 0) & ~np.isfinite(passage[:, m])
            passage[crossed, m] = (k + 1) * dt
    return Foreseen(
        modes,
        passage.reshape(rows, paths, len(modes)),
        dt * steps,
        scenario,
    )


def _start(
    kernel: Kernel, mean: Floats, cov: Floats, p: Floats, p_cov: Floats, streams: Keys, paths: int
) -> tuple[list[Floats], list[Floats]]:
    """Draw each path's start from N(x, P) and its parameters from their fitted spread."""
    start = np.repeat(mean, paths, axis=0) + _drawn(cov, streams, paths, 0)
    shift = _drawn(p_cov, streams, paths, mean.shape[1])
    drawn = []
    for k, item in enumerate(kernel.layout.parameters.values()):
        value, step = np.repeat(p[:, k], paths), shift[:, k]
        moved = value * np.exp(step) if item.scale == "log" else value + step
        drawn.append(np.clip(moved, *item.bounds))
    return lanes.columns(start), drawn


def _drawn(cov: Floats, streams: Keys, paths: int, first: int) -> Floats:
    """One draw of N(0, cov) a lane, from draws `first`, `first` + 1 … of step 0: (A·paths, n)."""
    size = cov.shape[1]
    if size == 0:
        return np.zeros((len(streams), 0))
    z = np.stack([normals(streams, 0, first + k) for k in range(size)], -1)
    return np.asarray(np.einsum("lij,lj->li", np.repeat(_root(cov), paths, axis=0), z))


def _root(cov: Floats) -> Floats:
    """A square root of each covariance; a direction with no variance stays still."""
    values, vectors = np.linalg.eigh(cov)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])
