"""A fatigue crack: how it grows with each cycle of stress, and when the part breaks.

Owns    Paris's law between the threshold and fracture, and this crack's own pace.
Never   counts cycles: the rate and the range of stress are measured and handed in.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state


def intensity(stress: Any, crack: Any, geometry: Any = 1.12) -> Any:
    """Stress intensity, MPa√m: K = Y σ √(πa); stress σ, MPa; crack a, mm; geometry Y."""
    return geometry * stress * np.sqrt(np.pi * 1e-3 * np.maximum(crack, 0.0))


def cycles(
    crack: Any, until: Any, stress: Any, coefficient: Any, exponent: Any, geometry: Any = 1.12
) -> Any:
    """Cycles from `crack` to `until`, mm, at one range of stress, MPa; exponent m ≠ 2.

        N = (a₁^{1−m/2} − a₀^{1−m/2}) / ((1 − m/2) C (Y Δσ √π)^m)

    coefficient C, m/cycle at 1 MPa√m
    """
    power = 1.0 - exponent / 2.0
    grown = (1e-3 * until) ** power - (1e-3 * crack) ** power
    return grown / (power * coefficient * (geometry * stress * np.sqrt(np.pi)) ** exponent)


class ParisCrack(Kernel):
    """A crack under cyclic stress.

        a' = rate e^{pace} growth (ΔK/10)^exponent            where ΔK > threshold
        ΔK = geometry Δσ √(πa)
        margin to fracture = 1 − (K_max / toughness)² = 1 − a / a_c       K_max = ΔK / (1 − R)

    a crack length, mm · Δσ range of stress, MPa · rate, cycles/s · ΔK, MPa√m · R stress ratio
    growth: nm per cycle at 10 MPa√m, which is 10^{9+m} C of da/dN = C ΔK^m. Stated there, where the
    data are, growth and exponent can be learned apart.
    pace: how much faster than its material this crack grows, in log; a slow random walk.

    A longer crack grows faster: its second millimetre takes fewer cycles than its first:

    >>> bool(cycles(2, 3, 100, 1e-11, 3) < cycles(1, 2, 100, 1e-11, 3))
    True

    Source: Paris & Erdogan, J. Basic Eng. 85 (1963) 528; ASTM E647.
    Priors: ferritic-pearlitic steel, C = 1e-11 m/cycle, m = 3.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 3600.0  # s; at 10 Hz a crack near fracture doubles in some hours

    crack = state("mm", start=1.0, start_std=0.2, noise=1e-5, precise=True)
    pace = state("1", start=0.0, start_std=0.3, noise=2e-5, precise=True)

    stress_range = signal("MPa", max_age=3600)
    cycle_rate = signal("Hz", max_age=3600)

    growth = parameter("nm", typical=10.0, spread=0.3, scale="log", bounds=(0.01, 1e4))
    exponent = parameter("1", typical=3.0, spread=0.2, bounds=(1.5, 8.0))
    geometry = parameter("1", typical=1.12, spread=0.03, bounds=(0.5, 3.0))
    threshold = parameter("MPa m^0.5", typical=3.0, spread=0.2, scale="log", bounds=(0.1, 30.0))
    toughness = parameter("MPa m^0.5", typical=60.0, spread=0.15, scale="log", bounds=(1.0, 500.0))
    stress_ratio = parameter("1", typical=0.1, spread=0.05, bounds=(-1.0, 0.9))

    length = sensor("mm", noise=0.1)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        applied = intensity(np.maximum(u.stress_range, 0.0), x.crack, p.geometry)
        # Beyond fracture there is no law: growth stays at its last value, so that nothing runs away
        driving = np.minimum(applied, (1.0 - p.stress_ratio) * p.toughness)
        grown = p.growth * (np.maximum(driving, 1e-3) / 10.0) ** p.exponent
        grown = np.where(applied > p.threshold, grown, 0.0)
        return {"crack": 1e-6 * u.cycle_rate * np.exp(x.pace) * grown}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"length": x.crack}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        peak = p.geometry * u.stress_range / (1.0 - p.stress_ratio) / p.toughness
        return {"fracture": 1.0 - np.pi * 1e-3 * x.crack * peak**2}
