"""A journal bearing on its oil film: friction, film, heat, and the clearance that wear opens.

Owns    Petroff's friction, Raimondi and Boyd's corrections for load, the film's heat balance.
Never   models dry running: where the film fails, a limit says so.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

# Raimondi and Boyd (1958), full bearing, length = diameter, by the Sommerfeld number S.
# The last column is not theirs: for S → ∞ the journal runs centred and eccentricity ∝ 1/S.
LOG_S = np.log([0.00474, 0.0188, 0.0446, 0.121, 0.264, 0.631, 1.33, 13.3])
LOG_FRICTION = np.log([0.514, 1.05, 1.70, 3.22, 5.79, 12.8, 26.4, 2 * np.pi**2 * 13.3])
FILM = np.array([0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.99])
FLOW = np.array([4.82, 4.74, 4.62, 4.33, 3.99, 3.59, 3.37, 3.16])
SIDE = np.array([0.973, 0.919, 0.842, 0.680, 0.497, 0.280, 0.150, 0.015])
LOG_LOADED = LOG_FRICTION - np.log(2 * np.pi**2) - LOG_S  # ln of the friction over Petroff's

OIL_HEAT = 1.75e6  # J/(m³ K), density × specific heat of a mineral oil at 60 degC
SOFTENS = 120.0  # degC, white metal under load


def petroff_friction(viscosity: Any, speed: Any, pressure: Any, slenderness: Any) -> Any:
    """Coefficient of friction of a centred journal: f = 2π² (μN/P) (r/c).

    viscosity μ, Pa s · speed N, rev/s · pressure P = W / 2rl, Pa · slenderness r/c, 1
    """
    return 2 * np.pi**2 * viscosity * speed / pressure * slenderness


def sommerfeld(viscosity: Any, speed: Any, pressure: Any, slenderness: Any) -> Any:
    """Sommerfeld's number: S = (r/c)² μN/P; units as in `petroff_friction`."""
    return slenderness**2 * viscosity * speed / pressure


def loaded(number: Any) -> Any:
    """Friction under load over Petroff's, by S, interpolated in logarithms; 1 when unloaded."""
    return np.exp(np.interp(np.log(number), LOG_S, LOG_LOADED))


def film(number: Any) -> Any:
    """Least film thickness over clearance, h₀/c, by S."""
    return np.interp(np.log(number), LOG_S, FILM)


def viscosity_at(viscosity: Any, temperature: Any) -> Any:
    """Viscosity at `temperature`, degC, of an oil that has `viscosity` at 40 degC: Seireg–Dandage.

    μ = μ₄₀ e^{643 (1/(T+70.6) − 1/110.6)}, the slope of SAE 10 (ISO VG 32).
    """
    return viscosity * np.exp(643.0 * (40.0 - temperature) / (110.6 * (temperature + 70.6)))


class PetroffBearing(Kernel):
    """A hydrodynamic journal bearing: film temperature, and the clearance that wear opens.

        f = 2π² (μN/P) (r/c) k(S)      S = (r/c)² μN/P      c = clearance + worn
        capacity T' = 2π r N f W − ρc_p q(S) r c N l (2 − s(S)) (T − T_in)
        worn' = wear_rate P 2π r N e^{−h₀/roughness}         h₀ = c η(S)
        torque = f W r

    T mean film temperature, degC; the oil leaves at 2T − T_in · μ(T) viscosity, Pa s · N speed,
    rev/s · W load, N · P = W / 2rl, Pa · r radius, l length, c radial clearance, h₀ least film, m
    k friction over Petroff's, q flow, s its share that leaks sideways, η = h₀/c: Raimondi–Boyd's
    tables for l = 2r. k → 1 where the load is light.

    `worn` is seen twice: a wider gap turns more easily and carries more oil. It wears where the
    film is as thin as the surfaces are rough: at starts, at stops, overloaded, or too hot.

    Without load a journal has Petroff's friction, and with load more:

    >>> [round(float(loaded(s)), 2) for s in (13.3, 0.264, 0.0188)]
    [1.0, 1.11, 2.83]

    Source: Petroff (1883); Raimondi & Boyd, Trans. ASLE 1 (1958) 159; heat balance as in Budynas &
    Nisbett, Shigley's Mechanical Engineering Design, ch. 12; Seireg & Dandage (1982), viscosity;
    Archard, J. Appl. Phys. 24 (1953) 981, wear.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 60.0  # s; the film's time constant is some 400 s, less when cold

    temperature = state("degC", start=60.0, start_std=3.0, noise=0.02)
    worn = state("um", start=0.0, start_std=2.0, noise=1e-3, precise=True)

    speed = signal("rpm", max_age=900)
    load = signal("kN", max_age=900)
    oil_inlet = signal("degC", max_age=900)

    radius = parameter("mm", typical=50.0, spread=0.01, scale="log", bounds=(5.0, 1000.0))
    length = parameter("mm", typical=100.0, spread=0.01, scale="log", bounds=(10.0, 2000.0))
    clearance = parameter("um", typical=60.0, spread=0.1, scale="log", bounds=(5.0, 2000.0))
    viscosity = parameter("mPa s", typical=30.0, spread=0.1, scale="log", bounds=(1.0, 1000.0))
    capacity = parameter("kJ/K", typical=60.0, spread=0.3, scale="log", bounds=(1.0, 1e5))
    roughness = parameter("um", typical=2.0, spread=0.3, scale="log", bounds=(0.1, 20.0))
    wear_rate = parameter("um/MPa/m", typical=1e-4, spread=1.0, scale="log", bounds=(1e-8, 1.0))

    film_temperature = sensor("degC", noise=0.5)
    torque = sensor("N m", noise=0.2)

    def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Begin cold: at the temperature of the oil that comes in."""
        return {"temperature": u.oil_inlet}

    def running(self, x: Any, u: Any, p: Any) -> tuple[Any, Any, Any, Any]:
        """Clearance, m; speed, rev/s; Sommerfeld's number; friction torque, N m."""
        gap = 1e-6 * np.maximum(p.clearance + x.worn, 1.0)
        turns = np.maximum(u.speed, 1.0) / 60.0
        radius, load = 1e-3 * p.radius, 1e3 * np.maximum(u.load, 1e-3)
        pressure = load / (2e-3 * p.length * radius)
        viscosity = 1e-3 * viscosity_at(p.viscosity, x.temperature)
        number = sommerfeld(viscosity, turns, pressure, radius / gap)
        friction = petroff_friction(viscosity, turns, pressure, radius / gap) * loaded(number)
        return gap, turns, number, friction * load * radius

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        gap, turns, number, torque = self.running(x, u, p)
        at = np.log(number)
        oil = np.interp(at, LOG_S, FLOW) * 1e-6 * p.radius * p.length * gap * turns
        carried = OIL_HEAT * oil * (2.0 - np.interp(at, LOG_S, SIDE))
        carried = carried * (x.temperature - u.oil_inlet)
        heat = 2 * np.pi * turns * torque
        sliding = 2e-3 * np.pi * p.radius * np.maximum(u.speed, 0.0) / 60.0
        pressure = 500.0 * u.load / (p.radius * p.length)
        touching = np.exp(-1e6 * gap * film(number) / p.roughness)
        return {
            "temperature": (heat - carried) / (1e3 * p.capacity),
            "worn": p.wear_rate * pressure * sliding * touching,
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        _, _, _, torque = self.running(x, u, p)
        return {"film_temperature": x.temperature, "torque": torque}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        gap, _, number, _ = self.running(x, u, p)
        return {
            "film breaks": 1.0 - 3.0 * p.roughness / (1e6 * gap * film(number)),
            "overheated": (SOFTENS - x.temperature) / 60.0,
            "worn out": 1.0 - x.worn / p.clearance,
        }
