"""A lithium-ion cell from its electrodes: NASA's model for the end of discharge and of life.

Owns    Daigle and Kulkarni's equations for one 18650 cell, and how use ages it.
Never   resolves a particle: each electrode is a bulk and a surface.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

GAS, FARADAY = 8.3144621, 96487.0  # J/(mol K), C/mol
SPAN = 0.6  # mole fraction of the negative electrode when full; the positive has the rest
SURFACE = 0.1  # of an electrode's volume
FULL, CUT = 4.19, 3.0  # V
NEW, RETIRED = 7600.0, 0.8  # C; the share at which a cell is worn out

# Redlich–Kister coefficients of the positive electrode, J/mol, and the one of the negative
POSITIVE = (
    -31593.7, 0.106747, 24606.4, -78561.9, 13317.9, 307387.0, 84916.1, -1.07469e6, 2285.04,
    990894.0, 283920.0, -161513.0, -469218.0,
)  # fmt: skip
NEGATIVE = 86.19
REST = 4.03 - 0.01  # V, between the electrodes' reference potentials


def _powers() -> tuple[float, ...]:
    """V_int as one polynomial in z = 2x − 1, V: 2x (1 − x) = (1 − z²)/2, so that

    A_k (z^{k+1} − 2 k x (1 − x) z^{k−1}) = A_k ((1 + k/2) z^{k+1} − k/2 z^{k−1})
    """
    powers = [0.0] * (len(POSITIVE) + 1)
    for k, size in enumerate(POSITIVE):
        powers[k + 1] += (1.0 + k / 2.0) * size / FARADAY
        if k:
            powers[k - 1] -= k / 2.0 * size / FARADAY
    powers[1] += NEGATIVE / FARADAY  # the negative's z is the opposite of the positive's
    return tuple(powers)


POWERS = _powers()


def equilibrium(fraction: Any, kelvin: Any) -> Any:
    """Voltage of a cell at rest, V; fraction: of the negative electrode's sites, 0 … 0.6.

    V = U_p − U_n + 2 (RT/F) ln(x/(1−x)) + V_int(1 − 2x)        as x_p = 1 − x_n
    """
    z = 1.0 - 2.0 * fraction
    inner = POWERS[-1]
    for power in reversed(POWERS[:-1]):  # Horner
        inner = inner * z + power
    return REST + 2.0 * GAS * kelvin / FARADAY * np.log(fraction / (1.0 - fraction)) + inner


def arcsinh(y: Any) -> Any:
    """ln(y + √(y² + 1)), exact near 0 and for both signs."""
    size = np.maximum(y, -y)
    positive = np.log1p(size + size * size / (1.0 + np.sqrt(size * size + 1.0)))
    return np.where(y < 0.0, -positive, positive)


class Electrochemistry(Kernel):
    """An 18650 cell: lithium in bulk and surface of its electrodes, and three overvoltages.

        surface' = (bulk − surface) / (0.1 D) − i / (0.1 q)     bulk' = (surface − bulk) / (0.9 D)
        ohmic'    = (i R − ohmic) / tau_ohmic
        negative' = (2 (RT/F) arcsinh(i / (2 J_n)) − negative) / tau_negative
        positive' = (2 (RT/F) arcsinh(i / (2 J_p)) − positive) / tau_positive
        voltage = V_eq(surface, T) − ohmic − negative − positive
        J = exchange √(x (1 − x))        q = mobile / 0.6
        mobile' = −fade |i|        resistance' = growth |i|

    bulk, surface: mole fractions of the negative electrode, 0.6 full, 0 empty. Charge is conserved
    and both electrodes diffuse alike, so the positive's are 1 − these: seven states say it all
    i current, A, positive when it discharges · T cell temperature, K · D diffusion time, s
    mobile: the charge that moves, C · R resistance, ohm: both age, and both are learned.

    As long as no current flows and all is even, the cell stays as it is:

    >>> from gemel.kernels.base import Values
    >>> cell = Electrochemistry()
    >>> p = Values(dict(zip(cell.layout.parameters, cell.typical())))
    >>> x = Values(dict(bulk=0.6, surface=0.6, ohmic=0.0, negative=0.0, positive=0.0,
    ...                 mobile=7600.0, resistance=0.117))
    >>> u = Values(dict(current=0.0, temperature=18.95))
    >>> {float(rate) + 0.0 for rate in cell.flow(x, u, p).values()}
    {0.0}
    >>> round(float(cell.sense(x, u, p)["voltage"]), 4)
    4.1914

    Source: Daigle & Kulkarni, Annual Conference of the PHM Society (2013): equations and constants;
    Daigle & Kulkarni, AIAA SciTech 2016-2132: ageing in proportion to the charge that flowed.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 4.0  # s; the ohmic lag is 6 s

    bulk = state("1", start=SPAN, start_std=0.02, noise=1e-6)
    surface = state("1", start=SPAN, start_std=0.02, noise=1e-5)
    ohmic = state("V", start=0.0, start_std=0.005, noise=1e-4)
    negative = state("V", start=0.0, start_std=0.005, noise=2e-5)
    positive = state("V", start=0.0, start_std=0.005, noise=2e-5)
    mobile = state("C", start=NEW, start_std=400.0, noise=0.02, precise=True)
    resistance = state("ohm", start=0.117215, start_std=0.01, noise=2e-6, precise=True)

    current = signal("A", max_age=60)
    temperature = signal("degC", max_age=900)

    diffusion = parameter("s", typical=140.0, spread=0.1, scale="log", bounds=(60.0, 2000.0))
    exchange_negative = parameter("A", typical=0.928, spread=0.1, scale="log", bounds=(1e-3, 1e3))
    exchange_positive = parameter("A", typical=77.06, spread=0.1, scale="log", bounds=(1e-2, 1e5))
    tau_ohmic = parameter("s", typical=6.08671, spread=0.1, scale="log", bounds=(2.0, 100.0))
    tau_negative = parameter("s", typical=1001.38, spread=0.1, scale="log", bounds=(10.0, 1e4))
    tau_positive = parameter("s", typical=46.4311, spread=0.1, scale="log", bounds=(4.0, 1e3))
    fade = parameter("1", typical=1e-3, spread=1.0, scale="log", bounds=(1e-7, 0.1))
    growth = parameter("ohm/C", typical=1e-7, spread=1.0, scale="log", bounds=(1e-11, 1e-4))

    voltage = sensor("V", noise=0.01)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        lithium = np.minimum(np.maximum(x.surface, 1e-4), 1.0 - 1e-4)
        open_sites = np.sqrt(lithium * (1.0 - lithium))
        thermal = 2.0 * GAS * (u.temperature + 273.15) / FARADAY
        into = (x.bulk - x.surface) / p.diffusion
        moved = np.maximum(u.current, -u.current)
        negative = thermal * arcsinh(u.current / (2.0 * p.exchange_negative * open_sites))
        positive = thermal * arcsinh(u.current / (2.0 * p.exchange_positive * open_sites))
        return {
            "bulk": -into / (1.0 - SURFACE),
            "surface": into / SURFACE - SPAN * u.current / (SURFACE * x.mobile),
            "ohmic": (u.current * x.resistance - x.ohmic) / p.tau_ohmic,
            "negative": (negative - x.negative) / p.tau_negative,
            "positive": (positive - x.positive) / p.tau_positive,
            "mobile": -p.fade * moved,
            "resistance": p.growth * moved,
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        lithium = np.minimum(np.maximum(x.surface, 1e-4), 1.0 - 1e-4)
        rest = equilibrium(lithium, u.temperature + 273.15)
        return {"voltage": rest - x.ohmic - x.negative - x.positive}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        voltage = self.sense(x, u, p)["voltage"]
        return {
            "discharged": (voltage - CUT) / (FULL - CUT),
            "worn out": (x.mobile / NEW - RETIRED) / (1.0 - RETIRED),
        }
