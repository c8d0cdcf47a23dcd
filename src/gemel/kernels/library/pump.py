"""A centrifugal pump: head, power and suction, and the gaps that wear opens inside it.

Owns    the pump's curves, the affinity laws, NPSH, and wear and drag as states.
Never   solves the pipework: the flow is measured and handed in.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

WEIGHT = 998.0 * 9.80665  # N/m³, of water at 20 degC
LEAKING, BINDING = 0.3, 0.5  # wear and drag at which a pump is taken out


def head(speed: Any, flow: Any, shutoff: Any, steepness: Any) -> Any:
    """Head, m: H = a s² − b Q²; speed s over rated; flow Q, m³/h; a, m; b, m/(m³/h)².

    With the flow in proportion to the speed the head goes with its square: the affinity laws.
    """
    return shutoff * speed**2 - steepness * flow**2


def vapour_pressure(temperature: Any) -> Any:
    """Vapour pressure of water, bar; temperature 1 … 100 degC: Antoine's equation."""
    return np.exp(np.log(10.0) * (8.07131 - 1730.63 / (233.426 + temperature))) * 1.33322e-3


def npsh(pressure: Any, temperature: Any) -> Any:
    """Net positive suction head, m: (p − p_v(T)) / ρg; absolute pressure, bar."""
    return 1e5 * (pressure - vapour_pressure(temperature)) / WEIGHT


class CentrifugalPump(Kernel):
    """A pump whose wear rings open: part of the flow runs back inside, and head is lost.

        H = shutoff s² − b Q_i²      Q_i = Q + wear Q_r s      b = (shutoff − rated_head) / Q_r²
        p = p_in + ρ g H
        power = (1 + drag) (idle s³ + (full − idle) s² Q_i/Q_r)
        wear' = erosion s³ (1 + 10 max(NPSH_required − NPSH, 0))
        NPSH = (p_in − p_v(T)) / ρg      NPSH_required = npsh_rated (0.4 s² + 0.6 (Q_i/Q_r)²)

    s speed over rated · Q flow, Q_r rated flow, m³/h · H head, m · p_in, p suction and discharge
    pressure, bar absolute · T water, degC · idle, full: power at no flow and rated flow, kW
    wear: the share of the rated flow that leaks back. It takes head and adds power; drag (of a
    bearing, a seal, a rubbing ring) adds power alone: so the two are told apart.

    Four fifths of the speed: 0.8 of the flow, 0.64 of the head.

    >>> round(float(head(0.8, 80.0, 40.0, 8e-4) / head(1.0, 100.0, 40.0, 8e-4)), 9)
    0.64

    Source: Gülich, Centrifugal Pumps (2014), ch. 3, 4, 6 (curves, affinity, cavitation) and 14
    (erosion); ISO 9906 (head, NPSH); Antoine's constants: Dean, Lange's Handbook.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 21_600.0  # s; wear barely acts on its own rate

    wear = state("1", start=0.0, start_std=0.02, noise=2e-6, precise=True)
    drag = state("1", start=0.0, start_std=0.03, noise=5e-6, precise=True)

    speed = signal("rpm", max_age=900)
    flow_rate = signal("m3/h", max_age=900)
    suction = signal("bar", max_age=900)
    temperature = signal("degC", max_age=3600)

    rated_speed = parameter("rpm", typical=1480.0, spread=0.005, scale="log", bounds=(100.0, 1e5))
    rated_flow = parameter("m3/h", typical=100.0, spread=0.05, scale="log", bounds=(0.1, 1e5))
    shutoff = parameter("m", typical=40.0, spread=0.05, scale="log", bounds=(1.0, 5000.0))
    rated_head = parameter("m", typical=32.0, spread=0.05, scale="log", bounds=(1.0, 5000.0))
    idle = parameter("kW", typical=5.0, spread=0.1, scale="log", bounds=(0.01, 1e5))
    full = parameter("kW", typical=11.2, spread=0.05, scale="log", bounds=(0.01, 1e5))
    npsh_rated = parameter("m", typical=2.5, spread=0.15, scale="log", bounds=(0.1, 50.0))
    erosion = parameter("1/s", typical=2e-9, spread=0.8, scale="log", bounds=(1e-13, 1e-5))

    discharge = sensor("bar", noise=0.02)
    power = sensor("kW", noise=0.1)

    def inside(self, x: Any, u: Any, p: Any) -> tuple[Any, Any]:
        """Speed over rated, and the flow through the impeller over the rated flow."""
        speed = np.maximum(u.speed, 0.0) / p.rated_speed
        return speed, u.flow_rate / p.rated_flow + x.wear * speed

    def spare(self, x: Any, u: Any, p: Any) -> tuple[Any, Any]:
        """NPSH at the suction, and how much of it the impeller needs, m."""
        speed, through = self.inside(x, u, p)
        needed = p.npsh_rated * (0.4 * speed**2 + 0.6 * through**2)
        return npsh(u.suction, u.temperature), needed

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        speed, _ = self.inside(x, u, p)
        there, needed = self.spare(x, u, p)
        return {"wear": p.erosion * speed**3 * (1.0 + 10.0 * np.maximum(needed - there, 0.0))}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        speed, through = self.inside(x, u, p)
        lifted = head(speed, through, p.shutoff, p.shutoff - p.rated_head)
        drawn = p.idle * speed**3 + (p.full - p.idle) * speed**2 * through
        return {
            "discharge": u.suction + 1e-5 * WEIGHT * lifted,
            "power": (1.0 + x.drag) * drawn,
        }

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        there, needed = self.spare(x, u, p)
        return {
            "worn out": 1.0 - x.wear / LEAKING,
            "binding": 1.0 - x.drag / BINDING,
            "cavitating": 1.0 - needed / np.maximum(there, 0.01),
        }
