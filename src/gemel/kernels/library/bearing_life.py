"""The fatigue life of a rolling bearing, used up turn by turn.

Owns    ISO 281: basic rating life, reliability, the oil's film, dirt; and damage as a state.
Never   sees a spall: where the lines of a spall lie, `defect_frequencies.py` knows.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

RELIABILITY = np.array([90.0, 95.0, 96.0, 97.0, 98.0, 99.0])  # %, ISO 281:2007, table 12
A1 = np.array([1.0, 0.64, 0.55, 0.47, 0.37, 0.25])
LEAST_INNER = 500.0 ** (-1 / 9.3)  # where a_ISO reaches 50, the standard's ceiling
ROUGH = 7.1  # mm/s, ISO 20816-3: vibration that does harm


def life_l10(rating: Any, load: Any, exponent: Any = 3.0) -> Any:
    """Basic rating life, million revolutions, that 90 % reach: L₁₀ = (C/P)^p.

    rating C and load P in one unit · exponent p: 3 ball, 10/3 roller bearings
    """
    return (rating / load) ** exponent


def life_hours(revolutions: Any, speed: Any) -> Any:
    """Million revolutions → hours at `speed`, rpm: 10⁶ L / 60 n."""
    return 1e6 * revolutions / (60.0 * speed)


def reliability_factor(reliability: Any) -> Any:
    """a₁ of ISO 281:2007 for 90 … 99 %, between the table's entries by straight lines."""
    return np.interp(reliability, RELIABILITY, A1)


def reference_viscosity(speed: Any, pitch: Any) -> Any:
    """ν₁, mm²/s, that parts the surfaces: speed n, rpm; pitch diameter D, mm.

    ν₁ = 45000 n^−0.83 D^−½ below 1000 rpm, 4500 n^−½ D^−½ above.
    """
    slow = 45_000.0 * speed**-0.83
    return np.where(speed < 1000.0, slow, 4500.0 * speed**-0.5) * pitch**-0.5


def life_factor_iso(viscosity_ratio: Any, dirt_load: Any) -> Any:
    """a_ISO of a radial ball bearing, 0.1 … 50.

        a_ISO = 0.1 [1 − (2.5671 − b κ^−e)^0.83 (e_C C_u/P)^⅓]^−9.3

    viscosity_ratio κ = ν/ν₁, held in 0.1 … 4 · dirt_load e_C C_u/P: contamination (1 clean) times
    the fatigue load limit over the load · b, e: 2.2649, 0.054381 for κ < 0.4; 1.9987, 0.19087 for
    κ < 1; 1.9987, 0.071739 above
    """
    ratio = np.minimum(np.maximum(viscosity_ratio, 0.1), 4.0)
    scale = np.where(ratio < 0.4, 2.2649, 1.9987)
    power = np.where(ratio < 0.4, 0.054381, np.where(ratio < 1.0, 0.19087, 0.071739))
    film = np.maximum(2.5671 - scale * ratio**-power, 1e-4) ** 0.83
    inner = np.maximum(1.0 - film * dirt_load ** (1 / 3), LEAST_INNER)
    return 0.1 * inner**-9.3


class RollingBearing(Kernel):
    """A ball bearing's fatigue life, used up by revolutions, load, heat and dirt.

        damage' = n / (60 · 10⁶ · own_life · a_ISO(κ, e_C C_u/P) · (C/P)³)
        κ = ν(T) / ν₁(n, D)        ν(T) = ν₄₀ e^{902 (40 − T) / (135 (T + 95))}
        vibration = quiet e^{growth · damage}

    damage 0 as new, 1 spalled · n speed, rpm · P equivalent load, C rating, C_u fatigue limit, kN
    T bearing temperature, degC · ν oil viscosity, mm²/s · D pitch diameter, mm · e_C cleanliness
    own_life: this bearing's life over its rating life. A fleet's lives are Weibull with slope 1.5,
    so the prior is wide: 10 % fail before 1, half before 3.5. Vibration tells which one this is.

    Twice the load, an eighth of the life; a hot bearing, a thin film, a shorter life:

    >>> float(life_l10(14.8, 2.0) / life_l10(14.8, 4.0))
    8.0
    >>> bool(life_factor_iso(0.5, 0.1) < life_factor_iso(2.0, 0.1))
    True

    Source: ISO 281:2007, with ν₁ and a_ISO for radial ball bearings as its equations give them;
    Gebraeel, Lawley, Li, Ryan, IIE Transactions 37 (2005) 543 (exponential growth of vibration).
    Priors: a 6205 in oil of grade 68.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 86_400.0  # s; damage does not act on its own rate

    damage = state("1", start=0.0, start_std=0.05, noise=3e-6, precise=True)

    speed = signal("rpm", max_age=3600)
    load = signal("kN", max_age=3600)
    temperature = signal("degC", max_age=3600)

    rating = parameter("kN", typical=14.8, spread=0.02, scale="log", bounds=(0.1, 1e5))
    fatigue_limit = parameter("kN", typical=0.335, spread=0.05, scale="log", bounds=(1e-3, 1e4))
    pitch = parameter("mm", typical=39.0, spread=0.01, scale="log", bounds=(2.0, 1e4))
    viscosity = parameter("mm2/s", typical=68.0, spread=0.1, scale="log", bounds=(2.0, 2000.0))
    cleanliness = parameter("1", typical=0.5, spread=0.4, scale="log", bounds=(0.01, 1.0))
    own_life = parameter("1", typical=3.49, spread=0.975, scale="log", bounds=(0.05, 100.0))
    quiet = parameter("mm/s", typical=0.8, spread=0.2, scale="log", bounds=(0.05, 5.0))
    growth = parameter("1", typical=1.8, spread=0.2, scale="log", bounds=(0.1, 10.0))

    vibration = sensor("mm/s", noise=0.1)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        load = np.maximum(u.load, 1e-3 * p.rating)
        thinning = 902.0 * (40.0 - u.temperature) / (135.0 * (u.temperature + 95.0))
        reference = reference_viscosity(np.maximum(u.speed, 1.0), p.pitch)
        ratio = p.viscosity * np.exp(thinning) / reference
        factor = life_factor_iso(ratio, p.cleanliness * p.fatigue_limit / load)
        life = p.own_life * factor * life_l10(p.rating, load)
        return {"damage": np.maximum(u.speed, 0.0) / (60e6 * life)}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"vibration": p.quiet * np.exp(p.growth * x.damage)}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        vibration = p.quiet * np.exp(p.growth * x.damage)
        return {
            "spalled": 1.0 - x.damage,
            "rough": (ROUGH - vibration) / (ROUGH - p.quiet),
        }
