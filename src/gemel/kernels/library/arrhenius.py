"""Ageing by heat: how fast, how far, and how likely to have failed.

Owns    Arrhenius's acceleration, Weibull's reliability, and a winding's insulation as their twin.
Never   counts calendar time: a cold hour ages less than a hot one.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

BOLTZMANN = 8.617333262e-5  # eV/K
KELVIN = 273.15
REFERENCE = 110.0  # degC, the hot spot at which the life is stated
BUBBLES = 140.0  # degC, water leaves the paper as gas
NEW, BRITTLE = 1000.0, 200.0  # degree of polymerisation of new paper, and at its end


def acceleration(activation: Any, reference: Any, temperature: Any) -> Any:
    """How many times faster it ages at `temperature` than at `reference`, degC.

        AF = e^{(E/k) (1/T₀ − 1/T)}

    activation E, eV
    """
    cold, hot = reference + KELVIN, temperature + KELVIN
    return np.exp(activation / BOLTZMANN * (hot - cold) / (hot * cold))


def reliability(age: Any, life: Any, shape: Any) -> Any:
    """The share that outlives `age`: R = e^{−(t/η)^β}; life η, in the unit of age; shape β."""
    return np.exp(-((age / life) ** shape))


def life_at(failed: Any, life: Any, shape: Any) -> Any:
    """The age at which the share `failed` has failed: η (−ln(1 − F))^{1/β}; F = 0.1 gives B10."""
    return life * (-np.log1p(-failed)) ** (1.0 / shape)


class InsulationAgeing(Kernel):
    """The winding insulation of a transformer or motor: hot spot, and the life that heat takes.

        hot' = (ambient + rise load^1.6 − hot) / lag
        aged' = e^{(E/k) (1/383 − 1/(hot + 273))} / life
        polymerisation = 1000 / (1 + 4 aged)        failed = 1 − e^{−aged^shape}

    hot hot-spot temperature, degC · load over rated · lag, h · E activation energy, eV · life, h at
    110 degC · aged 0 as new, 1 at the end of life, where the paper's chains have 200 links of 1000
    failed: the share of such windings that has failed by then, Weibull.

    The degree of polymerisation comes from a sample of oil, a few times a year.

    Seven degrees more, half the life:

    >>> round(float(acceleration(1.2926, 110.0, 117.0)), 1)
    2.0

    Source: IEEE C57.91-2011, ch. 5 (Arrhenius with 15 000 K, 180 000 h at 110 degC), ch. 7 (load);
    Ekenstam, Ber. Dtsch. Chem. Ges. 69 (1936) 553 (1/DP grows evenly); Weibull (1951), IEC 61649.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 3600.0  # s; the hot spot's lag is some 3 h

    hot = state("degC", start=70.0, start_std=5.0, noise=0.02)
    aged = state("1", start=0.0, start_std=0.02, noise=1e-6, precise=True)

    ambient = signal("degC", max_age=3600)
    load = signal("1", max_age=3600)

    rise = parameter("K", typical=80.0, spread=0.1, scale="log", bounds=(5.0, 200.0))
    lag = parameter("h", typical=3.0, spread=0.3, scale="log", bounds=(0.5, 20.0))
    activation = parameter("eV", typical=1.2926, spread=0.05, bounds=(0.2, 2.5))
    life = parameter("h", typical=180_000.0, spread=0.4, scale="log", bounds=(100.0, 1e8))
    shape = parameter("1", typical=4.0, spread=0.5, bounds=(1.0, 12.0))

    temperature = sensor("degC", noise=1.0)
    polymerisation = sensor("1", noise=30.0)

    def initial(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Begin where the hot spot settles at this load."""
        return {"hot": u.ambient + p.rise * np.maximum(u.load, 0.0) ** 1.6}

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        settled = u.ambient + p.rise * np.maximum(u.load, 0.0) ** 1.6
        return {
            "hot": (settled - x.hot) / (3600.0 * p.lag),
            "aged": acceleration(p.activation, REFERENCE, x.hot) / (3600.0 * p.life),
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        broken = (NEW / BRITTLE - 1.0) * x.aged
        return {"temperature": x.hot, "polymerisation": NEW / np.maximum(1.0 + broken, 0.5)}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        failed = -np.expm1(-(np.maximum(x.aged, 0.0) ** p.shape))
        return {
            "brittle": 1.0 - x.aged,
            "one in ten": 1.0 - failed / 0.1,
            "bubbles": (BUBBLES - x.hot) / (BUBBLES - 80.0),
        }
