"""A tank that drains through a valve, and the dirt that closes it.

Owns    the level's balance, Torricelli's outflow, valve sizing, and blockage as a state.
Never   moves the valve: its opening is measured and handed in.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

GRAVITY = 9.80665  # m/s²
LIP = 1e-3  # m, the last film runs out evenly: a root alone would be endlessly steep at 0
BLOCKED = 0.5  # the share of the outlet that may be lost
KV_OF_CV = 0.865  # m³/h at 1 bar over US gal/min at 1 psi


def drain_time(height: Any, area: Any, outlet: Any, discharge: Any = 1.0) -> Any:
    """Seconds until a tank has run empty: t = (A / C_d a) √(2h/g); h, m; A and a, m²."""
    return area / (discharge * outlet) * np.sqrt(2.0 * height / GRAVITY)


def valve_flow(kv: Any, drop: Any, gravity: Any = 1.0) -> Any:
    """Flow of a liquid through a valve, m³/h: Q = K_v √(Δp / G); Δp, bar; G = ρ/ρ_water.

    With C_v, psi and US gal/min the same form holds; K_v = 0.865 C_v.
    """
    return kv * np.sqrt(np.maximum(drop, 0.0) / gravity)


class Tank(Kernel):
    """An open tank, filled from above, drained through a valve.

        area level' = (inflow − outflow) / 3600
        outflow = K_v opening (1 − blockage) √(ρ g level / 1 bar)        ρ of water

    level, m, over the outlet · inflow, outflow, m³/h · opening 0 … 1 · K_v m³/h at 1 bar, open
    blockage: the share of the outlet that dirt has closed; a slow random walk that the twin learns
    from how the level falls, and at once where the outflow is measured.

    Torricelli: the outflow is the speed of a free fall through an orifice, C_d a √(2 g level), with
    K_v = 36000 √2 C_d a: K_v 1 m³/h is 19.6 mm² of a perfect orifice. Four times the level, twice
    the outflow:

    >>> from gemel.kernels.base import Values
    >>> tank = Tank()
    >>> p = Values(dict(zip(tank.layout.parameters, tank.typical())))
    >>> def out(level):
    ...     x, u = Values(dict(level=level, blockage=0.0)), Values(dict(inflow=0.0, opening=1.0))
    ...     return tank.sense(x, u, p)["outflow"]
    >>> float(out(2.0) / out(0.5))
    2.0

    Source: Torricelli (1644), as in Munson et al., Fundamentals of Fluid Mechanics, ch. 3;
    IEC 60534-2-1 (flow coefficients).
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 20.0  # s; the last millimetre has a time constant of 18 s

    level = state("m", start=1.0, start_std=0.05, noise=2e-5)
    blockage = state("1", start=0.0, start_std=0.05, noise=1e-4, precise=True)

    inflow = signal("m3/h", max_age=900)
    opening = signal("1", max_age=900)

    area = parameter("m2", typical=2.0, spread=0.02, scale="log", bounds=(0.01, 1e5))
    kv = parameter("m3/h", typical=40.0, spread=0.1, scale="log", bounds=(0.01, 1e5))
    height = parameter("m", typical=2.5, spread=0.02, scale="log", bounds=(0.1, 100.0))

    gauge = sensor("m", noise=0.003)
    outflow = sensor("m3/h", noise=0.5)

    def leaving(self, x: Any, u: Any, p: Any) -> Any:
        """Outflow, m³/h: Torricelli's, and even over the last millimetre."""
        held = np.maximum(x.level, LIP)
        full = valve_flow(p.kv, held * (GRAVITY * 1e3 / 1e5))
        full = full * np.minimum(np.maximum(x.level, 0.0) / LIP, 1.0)
        return full * u.opening * (1.0 - x.blockage)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"level": (u.inflow - self.leaving(x, u, p)) / (3600.0 * p.area)}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"gauge": x.level, "outflow": self.leaving(x, u, p)}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {
            "blocked": 1.0 - x.blockage / BLOCKED,
            "overflows": 2.0 * (1.0 - x.level / p.height),
            "runs dry": 2.0 * x.level / p.height,
        }
