"""The kernels that Gemel is measured on.

Owns    three small machines: the filter's, the fit's and the Monte Carlo's.
Never   ships. A user's kernels are in `gemel.kernels.library`.

`peers/physics.py` says the same equations and numbers in the peers' plain language;
`tests/test_reference.py` holds the two together.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

TICK = 10.0  # s


class ReferenceBearing(Kernel):
    """Temperature, wear, a slow error of the friction and a drift of the thermometer.

        T' = (μ n L q − (h₀ + h₁ n)(T − Tₐ)) / C        μ = μ₀ e^{k (60 − T)} (1 + g w) + b
        w' = a n L e^{β (T − 80)}        b' = −b / 600 s        d' = 0
        oil temperature = T + d        vibration = v₀ n² + v₁ n w (1 + w) + b / 2

    n speed and L load, 1 = nominal. An update with the extended Kalman filter moves 192 B in
    float32: 4 states, 10 covariances and the anomaly score there and back, 2 inputs,
    12 parameters, 2 readings and their masks.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = TICK  # one RK4 step a tick

    temperature = state("degC", start=50.0, start_std=2.0, noise=0.03)
    wear = state("1", start=0.05, start_std=0.03, noise=3e-5)
    bias = state("1", start=0.0, start_std=0.1, noise=1e-3)
    drift = state("K", start=0.0, start_std=0.3, noise=3e-4)

    speed, load = signal("1"), signal("1")

    capacity = parameter("kJ/K", typical=60.0, spread=0.2, scale="log")
    loss = parameter("kW/K", typical=1.0, spread=0.2, scale="log")
    draught = parameter("kW/K", typical=0.5, spread=0.2, scale="log")
    friction = parameter("1", typical=0.72, spread=0.2, scale="log")
    thinning = parameter("1/K", typical=0.012, spread=0.1, scale="log")
    grip = parameter("1", typical=2.0, spread=0.2, scale="log")
    heating = parameter("kW", typical=40.0, spread=0.2, scale="log")
    ambient = parameter("degC", typical=25.0, spread=5.0)
    pace = parameter("1/s", typical=2e-6, spread=0.5, scale="log")
    haste = parameter("1/K", typical=0.03, spread=0.1, scale="log")
    hum = parameter("mm/s", typical=2.0, spread=0.2, scale="log")
    rattle = parameter("mm/s", typical=3.0, spread=0.2, scale="log")

    oil_temperature = sensor("degC", noise=0.5)
    vibration = sensor("mm/s", noise=0.1)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        power = u.speed * u.load
        film = p.friction * np.exp(p.thinning * (60.0 - x.temperature)) * (1.0 + p.grip * x.wear)
        heat = (film + x.bias) * power * p.heating
        cooled = (p.loss + p.draught * u.speed) * (x.temperature - p.ambient)
        return {
            "temperature": (heat - cooled) / p.capacity,
            "wear": p.pace * power * np.exp(p.haste * (x.temperature - 80.0)),
            "bias": -x.bias / 600.0,
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        rattle = p.rattle * u.speed * x.wear * (1.0 + x.wear)
        return {
            "oil_temperature": x.temperature + x.drift,
            "vibration": p.hum * u.speed**2 + rattle + 0.5 * x.bias,
        }

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"worn out": 1.0 - x.wear}


class Housing(Kernel):
    """One temperature and five parameters, all to be fitted from it.

    T' = f n L e^{k (60 − T)} − (l + d n)(T − Tₐ)
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = TICK

    temperature = state("degC", start=40.0, start_std=0.1, noise=0.01)

    speed, load = signal("1"), signal("1")

    friction = parameter("K/s", typical=0.48, spread=0.15, scale="log")
    thinning = parameter("1/K", typical=0.012, spread=0.15, scale="log")
    loss = parameter("1/s", typical=1 / 60, spread=0.15, scale="log")
    draught = parameter("1/s", typical=1 / 120, spread=0.15, scale="log")
    ambient = parameter("degC", typical=25.0, spread=0.15, scale="log")

    thermometer = sensor("degC", noise=0.5)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        heat = p.friction * u.speed * u.load * np.exp(p.thinning * (60.0 - x.temperature))
        cooled = (p.loss + p.draught * u.speed) * (x.temperature - p.ambient)
        return {"temperature": heat - cooled}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.temperature}


class Wearing(Kernel):
    """A path to failure by Euler–Maruyama: two exponentials and two normal numbers a step.

    T ← T + Δt (f L e^{k (60 − T)} − l (T − 25)) + noise
    w ← w + Δt a L e^{β (T − 80)} + noise        failed when w ≥ 1
    """

    version: ClassVar[str] = "1.0"

    temperature = state("degC", start=60.0, start_std=1.0, noise=0.2)
    wear = state("1", start=0.1, start_std=0.02, noise=1e-3)

    load = signal("1")

    friction = parameter("K/s", typical=0.6, spread=0.1, scale="log")
    thinning = parameter("1/K", typical=0.012, spread=0.1, scale="log")
    loss = parameter("1/s", typical=1 / 60, spread=0.1, scale="log")
    pace = parameter("1/s", typical=2e-4, spread=0.3, scale="log")
    haste = parameter("1/K", typical=0.03, spread=0.1, scale="log")

    thermometer = sensor("degC", noise=0.5)

    def step(self, x: Any, u: Any, p: Any, dt: Any) -> dict[str, Any]:
        heat = p.friction * u.load * np.exp(p.thinning * (60.0 - x.temperature))
        rate = heat - p.loss * (x.temperature - 25.0)
        worn = p.pace * u.load * np.exp(p.haste * (x.temperature - 80.0))
        return {"temperature": x.temperature + dt * rate, "wear": x.wear + dt * worn}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.temperature}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"worn out": 1.0 - x.wear}


class Vessel(Kernel):
    """Temperature of a vessel that cools towards the room, and its heater's slow change.

    T' = q − k (T − Tₐ)        q' = 0, a random walk
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 60.0

    temperature = state("degC", start=60.0, start_std=5.0, noise=0.02)
    heat = state("K/s", start=0.4, start_std=0.05, noise=1e-4)
    cooling = parameter("1/s", typical=0.01, spread=0.2, scale="log")
    room = parameter("degC", typical=20.0, spread=3.0)
    reading = sensor("degC", noise=0.5)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": x.heat - p.cooling * (x.temperature - p.room)}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"reading": x.temperature}
