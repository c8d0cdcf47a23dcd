"""progpy's particle filter, 100 particles a twin, called one after the other.

The physics takes all particles of a twin in one NumPy call (`is_vectorized`), progpy's fast way.
"""

from typing import Any

import numpy as np
from progpy import PrognosticsModel
from progpy.state_estimators import ParticleFilter
from progpy.uncertain_data import MultivariateNormalDist

from benchmarks.peers import physics
from benchmarks.peers.clock import report
from benchmarks.peers.samples import samples

TWINS, TICKS, PARTICLES = 10, 20, 100
STATES = ["temperature", "wear", "bias", "drift"]
OUTPUTS = ["oil_temperature", "vibration"]


class Bearing(PrognosticsModel):
    """The reference bearing of one twin."""

    inputs = ["speed", "load"]
    states = STATES
    outputs = OUTPUTS
    events = ["worn out"]
    is_vectorized = True
    default_parameters = {
        "x0": dict(zip(STATES, physics.START, strict=True)),
        "process_noise": {
            name: noise / np.sqrt(physics.TICK)  # progpy's noise is a rate: times dt, not √dt
            for name, noise in zip(STATES, physics.NOISE, strict=True)
        },
        "measurement_noise": 0.0,
    }
    u: physics.Row = (1.0, 1.0)

    def next_state(self, x: Any, u: Any, dt: float) -> Any:
        self.u = tuple(u.matrix[:, 0].tolist())
        after = physics.step(np.exp, tuple(x.matrix), self.u, self.parameters["p"], dt)
        return self.StateContainer(np.array(after))

    def output(self, x: Any) -> Any:
        read = physics.readings(tuple(x.matrix), self.u, self.parameters["p"])
        return self.OutputContainer(np.array(read))

    def event_state(self, x: Any) -> Any:
        return {"worn out": 1.0 - x["wear"]}


def particle_filter(p: physics.Row) -> ParticleFilter:
    twin = Bearing(p=p)
    start = MultivariateNormalDist(STATES, physics.START, np.diag(np.square(physics.START_STD)))
    noise = dict(zip(OUTPUTS, physics.SENSOR_NOISE, strict=True))
    return ParticleFilter(twin, start, num_particles=PARTICLES, measurement_noise=noise)


def main() -> None:
    inputs, parameters, y = samples(TWINS, TICKS)
    filters = [particle_filter(tuple(row)) for row in parameters.tolist()]
    u = [
        [twin.model.InputContainer(row[:, None]) for twin, row in zip(filters, tick, strict=True)]
        for tick in inputs
    ]
    z = [
        [twin.model.OutputContainer(row[:, None]) for twin, row in zip(filters, tick, strict=True)]
        for tick in y
    ]
    clock = [0.0]

    def block() -> None:
        for k in range(TICKS):
            clock[0] += physics.TICK
            for twin, pf in enumerate(filters):
                pf.estimate(clock[0], u[k][twin], z[k][twin], dt=physics.TICK)

    block()
    error = np.array([pf.particles["temperature"].mean() for pf in filters]) - y[-1, :, 0]
    assert np.sqrt(np.mean(error**2)) < 3.0, "the filter does not follow"
    report("progpy_pf", "progpy numpy", "updates/s", TWINS * TICKS, block)


if __name__ == "__main__":
    main()
