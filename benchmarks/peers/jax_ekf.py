"""JAX: the fleet as a struct of arrays in straight-line code, one jitted call a tick.

The fastest form found for XLA on a CPU: no matrices and no `vmap`, zeros of the Jacobian left out
by hand, sensors taken in one after the other, float32, the belief's buffers donated, calls of a
size that suits the cache, the next one sent while the last still runs. The flags are in
`benchmarks/peers/__init__.py`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import physics
from benchmarks.peers.clock import report
from benchmarks.peers.samples import samples

TWINS, TICKS = 1_000_000, 4
BLOCKS = 10  # 100,000 twins in one call: faster than all in one
PAIRS = [(i, j) for i in range(4) for j in range(i, 4)]  # the covariance's upper triangle, packed
MEMORY = 0.9  # of the anomaly score, a tick


@partial(jax.jit, donate_argnums=0)
def tick(belief: Any, u: Any, p: Any, y: Any, seen: Any) -> Any:
    """predict and correct: (x, P packed, score) → the same, after one tick."""
    x, packed, score = belief
    x, d = physics.step_jacobian(jnp.exp, x, u, p, physics.TICK)
    cov = predicted(dict(zip(PAIRS, packed, strict=True)), d)
    foreseen = physics.readings(x, u, p)
    by_wear = physics.vibration_by_wear(x, u, p)
    start, nis = x, 0.0
    for k, slope in enumerate(({0: 1.0, 3: 1.0}, {1: by_wear, 2: 0.5})):
        nu = y[k] - foreseen[k]
        nu = nu - sum(times(h, x[i] - start[i]) for i, h in slope.items() if x[i] is not start[i])
        x, cov, surprise = corrected(x, cov, slope, nu, physics.SENSOR_NOISE[k] ** 2, seen[k])
        nis = nis + surprise
    return x, tuple(cov[pair] for pair in PAIRS), MEMORY * score + (1.0 - MEMORY) * nis


def predicted(cov: Any, d: physics.Row) -> Any:
    """F P Fᵀ + Q Δt, over the entries of F that are not zero."""
    rows = {
        0: {0: d[0], 1: d[1], 2: d[2]},
        1: {0: d[3], 1: d[4], 2: d[5]},
        2: {2: d[6]},
        3: {3: 1.0},
    }

    def of(i: int, j: int) -> Any:
        return cov[min(i, j), max(i, j)]

    fp = {
        (i, j): sum(times(f, of(k, j)) for k, f in row.items())
        for i, row in rows.items()
        for j in range(4)
    }
    after = {(i, j): sum(times(f, fp[i, k]) for k, f in rows[j].items()) for i, j in PAIRS}
    for i, noise in enumerate(physics.NOISE):
        after[i, i] = after[i, i] + noise * noise * physics.TICK
    return after


def corrected(x: Any, cov: Any, slope: Any, nu: Any, noise: float, seen: Any) -> Any:
    """One sensor taken in where `seen` is 1: x + K ν, P − K (P h)ᵀ, and ν²/S."""
    ph = [sum(times(h, cov[min(i, k), max(i, k)]) for k, h in slope.items()) for i in range(4)]
    inverse = seen / (sum(times(h, ph[k]) for k, h in slope.items()) + noise)
    gain = [a * inverse for a in ph]
    return (
        tuple(a + g * nu for a, g in zip(x, gain, strict=True)),
        {(i, j): cov[i, j] - gain[i] * ph[j] for i, j in PAIRS},
        nu * nu * inverse,
    )


def times(factor: Any, value: Any) -> Any:
    """factor × value, and the value itself where the factor is the number 1."""
    return value if isinstance(factor, float) and factor == 1.0 else factor * value


def columns(rows: Any, twins: int) -> Any:
    """(K, n) rows, repeated for so many twins → n columns (A,) of float32."""
    whole = np.tile(rows, (-(-twins // len(rows)), 1))[:twins]
    return tuple(jnp.asarray(column, jnp.float32) for column in whole.T)


def belief_of(twins: int) -> Any:
    """(x, P packed, score) as declared."""
    variance = {(i, i): std * std for i, std in enumerate(physics.START_STD)}
    packed = [variance.get(pair, 0.0) for pair in PAIRS]
    rows = np.array([[*physics.START, *packed, 0.0]])
    parts = columns(rows, twins)
    return parts[:4], parts[4:14], parts[14]


def main() -> None:
    inputs, parameters, readings = samples(1000, TICKS)
    size = TWINS // BLOCKS
    u, y = [columns(k, size) for k in inputs], [columns(k, size) for k in readings]
    p, seen = columns(parameters, size), columns(np.ones((1, 2)), size)
    # each block has its own memory, as a fleet has
    fixed = [jax.tree.map(jnp.copy, (u, p, y, seen)) for _ in range(BLOCKS)]
    beliefs = [belief_of(size) for _ in range(BLOCKS)]

    def block() -> None:
        for k in range(TICKS):
            for b, (u, p, y, seen) in enumerate(fixed):
                beliefs[b] = tick(beliefs[b], u[k], p, y[k], seen)
        jax.block_until_ready(beliefs)

    block()
    error = np.asarray(beliefs[0][0][0]) - np.asarray(y[-1][0])
    assert np.sqrt(np.mean(error**2)) < 2.0, "the filter does not follow"
    report("jax_ekf", "jax jaxlib", "updates/s", TWINS * TICKS, block)


if __name__ == "__main__":
    main()
