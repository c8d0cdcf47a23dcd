"""A bearing of a wind turbine's generator: heated by grease and stator, cooled by a fan.

Owns    the physics a twin assumes of either end of an air-cooled generator, and the priors.
Never   reads the stator's sensor or another bearing's: the stator here is a hidden state.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state


class GeneratorBearing(Kernel):
    """Bearing and stator, two lumps, in a nacelle whose air is moved by a fan nobody reports.

        B' = friction n^shear e^{−thinning (B−40)} + conduction (S − B)
             − cooling (1 + fan f) (B − N − offset)                                     K/h
        S' = iron g((n_g − 900)/30) + copper q² − stator_cooling (1 + stator_fan f) (S − N)
        L' = (N − L) / air_lag
        R' = (B − R) / probe_lag                 read = R + excess
        f  = g((fan_at − (N − A) − fan_lead (N − L)) / fan_width) g((S − thermostat) / 2)
        g(v) = (1 + tanh(v/2)) / 2

    B bearing, S stator, L lagged nacelle air, R probe, N nacelle, A ambient, degC
    n_g generator speed, rpm; n = n_g / 1800 · q = power / 2000 kW · f fan duty, 0 … 1

    The fan is inferred, not measured. While it runs, outdoor air sweeps the nacelle, so a nacelle
    close to ambient and not warming says that it runs; a cold stator's thermostat keeps it off.
    excess: what the physics does not explain, K, a slow random walk. In open loop it stays 0; in a
    filter it is the operator's delta from expected, smoothed, with its uncertainty.

    More load, more heat; and friction grows more slowly than speed, for grease thins under shear:

    >>> from gemel.kernels.base import Values
    >>> bearing = GeneratorBearing()
    >>> p = Values(dict(zip(bearing.layout.parameters, bearing.typical())))
    >>> x = Values(dict(bearing=50.0, stator=60.0, air=30.0, probe=50.0, excess=0.0))
    >>> def heating(power):
    ...     u = Values(dict(generator_speed=1500.0, power=power, ambient=20.0, nacelle=30.0))
    ...     return bearing.flow(x, u, p)["stator"]
    >>> bool(heating(1800.0) > heating(300.0))
    True

    Source: Harris & Kotzalas, Essential Concepts of Bearing Technology (2006), ch. 10 and 12;
    Pyrhönen, Jokinen, Hrabovcová, Design of Rotating Electrical Machines (2014), ch. 9 (iron and
    copper losses, lumped thermal network). Priors and the fan's rule: both bearings of three
    Senvion MM82 at La Haute Borne, 2013 to mid 2016.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 200.0  # s; the fastest lag is the probe's, 288 s or more

    bearing = state("degC", start=45.0, start_std=5.0, noise=0.022)
    stator = state("degC", start=55.0, start_std=8.0, noise=0.15)
    air = state("degC", start=25.0, start_std=1.0, noise=0.005)
    probe = state("degC", start=45.0, start_std=5.0, noise=0.005)
    excess = state("K", start=0.0, start_std=2.0, noise=0.006)

    generator_speed = signal("rpm", max_age=1800)
    power = signal("kW", max_age=1800)
    ambient = signal("degC", max_age=3600)
    nacelle = signal("degC", max_age=3600)

    air_lag = parameter("h", typical=0.6, spread=0.3, scale="log", bounds=(0.1, 2.0))
    fan_at = parameter("K", typical=9.0, spread=0.15, scale="log", bounds=(5.0, 15.0))
    fan_lead = parameter("1", typical=1.0, spread=0.3, scale="log", bounds=(0.2, 3.0))
    fan_width = parameter("K", typical=1.5, spread=0.3, scale="log", bounds=(0.5, 4.0))
    thermostat = parameter("degC", typical=57.0, spread=4.0, bounds=(45.0, 68.0))
    iron = parameter("K/h", typical=35.0, spread=0.6, scale="log", bounds=(3.0, 300.0))
    copper = parameter("K/h", typical=40.0, spread=0.6, scale="log", bounds=(3.0, 300.0))
    stator_cooling = parameter("1/h", typical=0.5, spread=0.4, scale="log", bounds=(0.1, 2.0))
    stator_fan = parameter("1", typical=2.2, spread=0.4, scale="log", bounds=(0.3, 10.0))
    friction = parameter("K/h", typical=9.0, spread=0.6, scale="log", bounds=(0.5, 60.0))
    shear = parameter("1", typical=0.5, spread=0.2, scale="log", bounds=(0.15, 2.0))
    thinning = parameter("1/K", typical=0.03, spread=0.015, bounds=(-0.02, 0.1))
    conduction = parameter("1/h", typical=0.28, spread=0.5, scale="log", bounds=(0.03, 2.0))
    cooling = parameter("1/h", typical=1.1, spread=0.4, scale="log", bounds=(0.2, 4.0))
    fan = parameter("1", typical=0.8, spread=0.5, scale="log", bounds=(0.05, 5.0))
    offset = parameter("K", typical=3.0, spread=1.5, bounds=(-5.0, 12.0))
    probe_lag = parameter("h", typical=0.1, spread=0.3, scale="log", bounds=(0.08, 0.4))

    temperature = sensor("degC", noise=0.05)

    def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Begin warm over the nacelle in the measure that it turns."""
        speed = np.maximum(u.generator_speed, 0.0) / 1800.0
        warm = u.nacelle + 12.0 * speed
        stator = u.nacelle + 20.0 * speed
        return {"bearing": warm, "stator": stator, "air": u.nacelle, "probe": warm}

    def gate(self, v: Any) -> Any:
        """A soft switch: 0 far below 0, 1 far above."""
        return 0.5 * (1.0 + np.tanh(0.5 * v))

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        speed = np.maximum(u.generator_speed, 1e-6) / 1800.0
        load = np.maximum(u.power, 0.0) / 2000.0
        nacelle = u.nacelle
        swept = p.fan_at - (nacelle - u.ambient) - p.fan_lead * (nacelle - x.air)
        duty = self.gate(swept / p.fan_width) * self.gate((x.stator - p.thermostat) / 2.0)
        connected = self.gate((u.generator_speed - 900.0) / 30.0)
        grease = p.friction * speed**p.shear * np.exp(-p.thinning * (x.bearing - 40.0))
        bearing_cooled = p.cooling * (1.0 + p.fan * duty) * (x.bearing - nacelle - p.offset)
        stator_cooled = p.stator_cooling * (1.0 + p.stator_fan * duty) * (x.stator - nacelle)
        stator = p.iron * connected + p.copper * load**2 - stator_cooled
        return {
            "bearing": (grease + p.conduction * (x.stator - x.bearing) - bearing_cooled) / 3600.0,
            "stator": stator / 3600.0,
            "air": (nacelle - x.air) / (3600.0 * p.air_lag),
            "probe": (x.bearing - x.probe) / (3600.0 * p.probe_lag),
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": x.probe + x.excess}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"overheated": (120.0 - x.probe - x.excess) / 60.0}
