"""A journal bearing: metal temperature, wear, and how fast it wears.

Owns    the physics a twin assumes of an oil-cooled journal bearing, and the fleet's priors.
Never   sees the ground truth of `gemel.plant`: it is simpler, and its constants are fitted.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

NOMINAL = 75.0  # degC, where the priors are stated: 3000 rpm, 90 % load, 35 L/min
ALARM = 115.0  # degC, white metal begins to creep
ORDINARY = 5e-8  # 1/s, the wear rate of an ordinary bearing at NOMINAL; `pace` is relative to it


class JournalBearing(Kernel):
    """One lump of metal, heated by friction and cooled by oil; wear raises the friction.

        T' = friction (n/3000)² e^{−0.014 (T−75)} (1 + 3.5 w) + loading (L/90)
             − cooling (Q/35)^0.75 (T − T_oil) − 0.04 cooling (T − T_hall)
        w' = 5e-8 g(pace) (L/90)^4.5 e^{0.065 (T−75)}        g(s) = (s + √(s² + 1)) / 2
        pace' = max(−pace, 0) / 2 d + noise

    T metal temperature, degC · w wear, 0 as new, 1 worn out · pace how many times faster than an
    ordinary bearing it wears, both at 75 degC and 90 % load · n speed, rpm · L load, % · Q oil
    flow, L/min.

    `pace` is a slow random walk: the twin learns it from how the excess heat grows, so the time
    left follows from the rate this bearing shows and not from a book. g is its soft floor: wear
    never heals, and below ordinary, where a rate is too small to be seen, pace drifts back. It is
    not a logarithm, because a filter at a tiny log-rate sees no slope to climb when a fault begins.

    Wear heats, heat wears: a sick bearing at a higher oil flow is cooler and wears more slowly.

    >>> from gemel.kernels.base import Values
    >>> bearing = JournalBearing()
    >>> p = Values(dict(zip(bearing.layout.parameters, bearing.typical())))
    >>> x = Values({"temperature": 85.0, "wear": 0.2, "pace": 5.0})
    >>> def wearing(flow):
    ...     u = Values(dict(speed=3000.0, load=90.0, ambient=25.0, oil_flow=flow, oil_inlet=45.0))
    ...     return bearing.flow(x, u, p)["temperature"]
    >>> bool(wearing(55.0) < wearing(35.0))
    True

    Source: Hamrock, Schmid, Jacobson, Fundamentals of Fluid Film Lubrication (2004), ch. 4 and 8
    (viscosity and lumped heat balance); Archard, J. Appl. Phys. 24 (1953) 981 (wear ∝ load ×
    sliding), its coefficient growing with temperature as the film thins.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 600.0  # s; the metal's time constant is 1200 s at 35 L/min

    temperature = state("degC", start=NOMINAL, start_std=5.0, noise=0.006)
    wear = state("1", start=0.0, start_std=0.03, noise=3e-6, precise=True)
    pace = state("1", start=0.0, start_std=1.5, noise=4e-3, precise=True)

    speed = signal("rpm", max_age=900)
    load = signal("%", max_age=900)
    ambient = signal("degC", max_age=3600)
    oil_flow = signal("L/min", max_age=900)
    oil_inlet = signal("degC", max_age=900)

    friction = parameter("K/s", typical=0.020, spread=0.12, scale="log", bounds=(1e-3, 1.0))
    loading = parameter("K/s", typical=0.0066, spread=0.12, scale="log", bounds=(1e-4, 1.0))
    cooling = parameter("1/s", typical=1 / 1200, spread=0.12, scale="log", bounds=(1e-5, 0.1))

    metal_temperature = sensor("degC", noise=0.3)

    def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Begin at the temperature an unworn bearing settles at, linearised about 75 degC."""
        oil = p.cooling * (u.oil_flow / 35.0) ** 0.75
        hall = 0.04 * p.cooling
        friction = p.friction * (u.speed / 3000.0) ** 2
        heat = friction + p.loading * u.load / 90.0
        cooled = oil * (NOMINAL - u.oil_inlet) + hall * (NOMINAL - u.ambient)
        return {"temperature": NOMINAL + (heat - cooled) / (oil + hall + 0.014 * friction)}

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        film = np.exp(-0.014 * (x.temperature - NOMINAL))
        heat = p.friction * (u.speed / 3000.0) ** 2 * film * (1.0 + 3.5 * x.wear)
        oil = p.cooling * (u.oil_flow / 35.0) ** 0.75
        cooled = oil * (x.temperature - u.oil_inlet)
        cooled = cooled + 0.04 * p.cooling * (x.temperature - u.ambient)
        times = 0.5 * (x.pace + np.sqrt(x.pace**2 + 1.0))
        rate = ORDINARY * times * (u.load / 90.0) ** 4.5
        return {
            "temperature": heat + p.loading * u.load / 90.0 - cooled,
            "wear": rate * np.exp(0.065 * (np.minimum(x.temperature, 150.0) - NOMINAL)),
            "pace": np.maximum(-x.pace, 0.0) / 172_800.0,
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"metal_temperature": x.temperature}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {
            "overheated": (ALARM - x.temperature) / (ALARM - NOMINAL),
            "worn out": 1.0 - x.wear,
        }
