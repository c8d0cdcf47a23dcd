"""Air in a box: a room of a building, and the incubator that digital-twin courses build.

Owns    the heat balance of air and of what stores heat beside it, and a leak as a state.
Never   controls the heater: its power is measured and handed in.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

CLOSES = 1800.0  # s, how long somebody leaves an incubator open


class ThermalZone(Kernel):
    """A room: its air, the mass of its walls, the weather outside.

        C_air air'   = coupling (mass − air) + (vent + draught) (outdoor − air)
                       + 1000 heating + 0.3 aperture sun
        C_mass mass' = coupling (air − mass) + wall (outdoor − mass) + 0.7 aperture sun

    air, mass, outdoor, degC · heating kW · sun on the façade, W/m² · aperture, m² of glass that is
    as good as open · coupling, vent, wall W/K · C_air, C_mass kJ/K
    draught, W/K: a seal that goes, a window left open; a slow random walk.

    Nothing flows where all is at one temperature:

    >>> from gemel.kernels.base import Values
    >>> zone = ThermalZone()
    >>> p = Values(dict(zip(zone.layout.parameters, zone.typical())))
    >>> u = Values(dict(outdoor=20.0, heating=0.0, sun=0.0))
    >>> rates = zone.flow(Values(dict(air=20.0, mass=20.0, draught=0.0)), u, p)
    >>> float(rates["air"]), float(rates["mass"])
    (0.0, 0.0)

    Source: ISO 13790:2008, annex C (a zone as resistances and one capacity), with the air's own
    capacity; Madsen & Holst, Energy and Buildings 22 (1995) 67 (two-capacity room from data).
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 900.0  # s; the air's time constant is some 3000 s

    air = state("degC", start=20.0, start_std=1.0, noise=0.003)
    mass = state("degC", start=19.0, start_std=1.0, noise=0.001)
    draught = state("W/K", start=0.0, start_std=10.0, noise=0.05, precise=True)

    outdoor = signal("degC", max_age=3600)
    heating = signal("kW", max_age=900)
    sun = signal("W/m2", max_age=3600)

    c_air = parameter("kJ/K", typical=1500.0, spread=0.4, scale="log", bounds=(300.0, 1e6))
    c_mass = parameter("kJ/K", typical=25_000.0, spread=0.4, scale="log", bounds=(1e3, 1e7))
    coupling = parameter("W/K", typical=400.0, spread=0.4, scale="log", bounds=(5.0, 600.0))
    vent = parameter("W/K", typical=60.0, spread=0.4, scale="log", bounds=(0.5, 600.0))
    wall = parameter("W/K", typical=50.0, spread=0.4, scale="log", bounds=(0.5, 1e4))
    aperture = parameter("m2", typical=3.0, spread=0.4, scale="log", bounds=(0.01, 100.0))

    thermometer = sensor("degC", noise=0.1)

    def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Begin at 20 degC, the walls in between by what they touch."""
        return {"mass": (20.0 * p.coupling + u.outdoor * p.wall) / (p.coupling + p.wall)}

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        stored = p.coupling * (x.mass - x.air)
        lost = np.maximum(p.vent + x.draught, 0.1 * p.vent) * (x.air - u.outdoor)
        sun = p.aperture * u.sun
        walls = p.wall * (u.outdoor - x.mass)
        return {
            "air": (stored - lost + 1e3 * u.heating + 0.3 * sun) / (1e3 * p.c_air),
            "mass": (walls - stored + 0.7 * sun) / (1e3 * p.c_mass),
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.air}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {
            "leaks": 1.0 - x.draught / (p.vent + p.wall),
            "freezes": (x.air - 5.0) / 15.0,
            "too hot": (35.0 - x.air) / 15.0,
        }


class Incubator(Kernel):
    """The incubator of Aarhus: a box of foam, a heater, a fan, a lid.

        C_heater heater' = power − G_heater (heater − box)
        C_box box'       = G_heater (heater − box) − (G_box + lid) (box − room)
        lid'             = −lid / 1800 s + noise

    heater, box, room, degC · power of the heater, W · C J/K, G W/K
    lid: what an open lid lets out, W/K; quick enough to be seen opened and closed.

    In the long run all power leaves through the walls, each watt at 1/G_box kelvins:

    >>> from gemel.kernels.base import Values
    >>> incubator = Incubator()
    >>> p = Values(dict(zip(incubator.layout.parameters, incubator.typical())))
    >>> box = 20.0 + 10.0 / p.g_box
    >>> x = Values(dict(heater=box + 10.0 / p.g_heater, box=box, lid=0.0))
    >>> rates = incubator.flow(x, Values(dict(power=10.0, room=20.0)), p)
    >>> bool(abs(rates["box"]) < 1e-12), bool(abs(rates["heater"]) < 1e-12)
    (True, True)

    Source: Feng, Gomes, Thule, Lausdahl, Iosifidis, Larsen, Introduction to Digital Twin
    Engineering, Annual Modeling and Simulation Conference (2021): the four-parameter model and its
    fit (267.56, 0.5763, 329.25, 1.6705).
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 30.0  # s; the faster of its two time constants is some 80 s

    heater = state("degC", start=25.0, start_std=3.0, noise=0.02)
    box = state("degC", start=25.0, start_std=1.0, noise=0.01)
    lid = state("W/K", start=0.0, start_std=0.05, noise=0.012)

    power = signal("W", max_age=60)
    room = signal("degC", max_age=900)

    c_box = parameter("J/K", typical=267.56, spread=0.3, scale="log", bounds=(80.0, 1e5))
    g_box = parameter("W/K", typical=0.5763, spread=0.3, scale="log", bounds=(0.01, 3.0))
    c_heater = parameter("J/K", typical=329.25, spread=0.3, scale="log", bounds=(80.0, 1e5))
    g_heater = parameter("W/K", typical=1.6705, spread=0.3, scale="log", bounds=(0.01, 5.0))

    thermometer = sensor("degC", noise=0.1)

    def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Begin at the room's temperature."""
        return {"heater": u.room, "box": u.room}

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        given = p.g_heater * (x.heater - x.box)
        lost = np.maximum(p.g_box + x.lid, 0.1 * p.g_box) * (x.box - u.room)
        return {
            "heater": (u.power - given) / p.c_heater,
            "box": (given - lost) / p.c_box,
            "lid": -x.lid / CLOSES,
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.box}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"lid open": 1.0 - x.lid, "too hot": (60.0 - x.box) / 25.0}
