"""The main (rotor) bearing of a wind turbine: temperature from speed, load and two airs.

Owns    the physics a twin assumes of a grease-lubricated main bearing, and the fleet's priors.
Never   reads another temperature of the machine: only its surroundings.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state


class RotorBearing(Kernel):
    """One heavy lump, heated by churned grease, cooled by nacelle and outdoor air.

        T' = friction n (1 + loading q) e^{−thinning (T−25)} − cooling (T − T_air)      K/h
        T_air = N − outside (N − A) + offset
        read = T + excess

    T bearing, degC · n = rotor speed / 17 rpm · q = power / 2000 kW · N nacelle, A ambient, degC
    excess: what the physics does not explain, K, a slow random walk. In open loop it stays 0; in a
    filter it is the operator's delta from expected, smoothed, with its uncertainty.

    Time constant 1/cooling ≈ 9 h: what a reading means depends on the half day before it.

    A bearing at rest takes on the temperature of the air about it:

    >>> from gemel.kernels.base import Values
    >>> bearing = RotorBearing()
    >>> p = Values(dict(zip(bearing.layout.parameters, bearing.typical())))
    >>> u = Values(dict(rotor_speed=0.0, power=0.0, ambient=10.0, nacelle=20.0))
    >>> air = 20.0 - p.outside * (20.0 - 10.0) + p.offset
    >>> float(bearing.flow(Values({"bearing": air, "excess": 0.0}), u, p)["bearing"])
    0.0

    Source: Harris & Kotzalas, Essential Concepts of Bearing Technology (2006), ch. 10 and 12
    (speed- and load-dependent friction torque, viscosity, lumped heat balance). Priors: three
    Senvion MM82 at La Haute Borne, 2013 to mid 2016.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 600.0  # s

    bearing = state("degC", start=25.0, start_std=3.0, noise=0.0036)
    excess = state("K", start=0.0, start_std=1.5, noise=0.0025)

    rotor_speed = signal("rpm", max_age=1800)
    power = signal("kW", max_age=1800)
    ambient = signal("degC", max_age=3600)
    nacelle = signal("degC", max_age=3600)

    friction = parameter("K/h", typical=1.4, spread=0.5, scale="log", bounds=(0.1, 20.0))
    loading = parameter("1", typical=0.5, spread=0.5, bounds=(-0.5, 4.0))
    thinning = parameter("1/K", typical=0.03, spread=0.02, bounds=(-0.02, 0.12))
    cooling = parameter("1/h", typical=0.11, spread=0.3, scale="log", bounds=(0.02, 1.0))
    outside = parameter("1", typical=0.4, spread=0.15, bounds=(0.0, 1.0))
    offset = parameter("K", typical=0.0, spread=1.0, bounds=(-5.0, 5.0))

    temperature = sensor("degC", noise=0.01)

    def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Begin where such a bearing is found: 11 K over the outdoor air, 15 K when it turns."""
        turns = np.minimum(np.maximum(u.rotor_speed, 0.0) / 10.0, 1.0)
        return {"bearing": u.ambient + 11.0 + 4.0 * turns}

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        speed = np.maximum(u.rotor_speed, 0.0) / 17.0
        load = np.maximum(u.power, 0.0) / 2000.0
        grease = np.exp(-p.thinning * (x.bearing - 25.0))
        heat = p.friction * speed * (1.0 + p.loading * load) * grease
        air = u.nacelle - p.outside * (u.nacelle - u.ambient) + p.offset
        return {"bearing": (heat - p.cooling * (x.bearing - air)) / 3600.0}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": x.bearing + x.excess}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"overheated": (120.0 - x.bearing - x.excess) / 90.0}
