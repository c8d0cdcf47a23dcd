"""A lithium-ion cell as a circuit: charge, two slow voltages, and the health that use takes.

Owns    a cell's equivalent circuit, its open-circuit table, its fade and its growing resistance.
Never   looks inside the electrodes: `electrochemistry.py` does.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

# Chen and Rincón-Mora (2006), eq. 2, sampled: dense where the curve bends
CHARGE = np.array(
    [0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.25]
    + [0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0]
)  # fmt: skip
OPEN_CIRCUIT = (
    3.685 - 1.031 * np.exp(-35.0 * CHARGE)
    + 0.2156 * CHARGE - 0.1178 * CHARGE**2 + 0.3201 * CHARGE**3
)  # fmt: skip
FULL, EMPTY = 4.1, 3.0  # V
WARM = 298.15  # K, where the resistances are stated
RETIRED = 0.8  # health at which a vehicle gives its cell away


def open_circuit(charge: Any) -> Any:
    """Open-circuit voltage, V, by state of charge, 0 … 1."""
    return np.interp(charge, CHARGE, OPEN_CIRCUIT)


class LithiumCell(Kernel):
    """A cell: open-circuit voltage behind a resistance and two RC pairs.

        charge' = −i / (3600 capacity health)
        fast'   = (r_fast g i − fast) / tau_fast          slow' = (r_slow g i − slow) / tau_slow
        voltage = OCV(charge) − ohmic g i − fast − slow
        g       = resistance e^{cold (1/T − 1/298)}
        health' = −fade |i| / (7200 capacity)       resistance' = growth |i| / (7200 capacity)

    charge 0 … 1 · i current, A, positive when it discharges · capacity, A h, as new · T cell
    temperature, K · health: capacity over that as new · resistance: over that as new
    fade and growth are a full cycle's.

    Health shows in how far the voltage moves for the charge that flowed, resistance in how far it
    jumps with the current: both are learned from ordinary use.

    At rest the poles show the open-circuit voltage, and a current lowers it:

    >>> from gemel.kernels.base import Values
    >>> cell = LithiumCell()
    >>> p = Values(dict(zip(cell.layout.parameters, cell.typical())))
    >>> x = Values(dict(charge=0.5, fast=0.0, slow=0.0, health=1.0, resistance=1.0))
    >>> def poles(current):
    ...     return cell.sense(x, Values(dict(current=current, temperature=25.0)), p)["voltage"]
    >>> bool(poles(0.0) == open_circuit(0.5)), bool(poles(1.0) < poles(0.0) < poles(-1.0))
    (True, True)

    Source: Plett, Battery Management Systems, vol. 1 (2015), ch. 2; Chen & Rincón-Mora, IEEE Trans.
    Energy Convers. 21 (2006) 504 (table and priors: a polymer cell of 850 mAh).
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 15.0  # s; the fast pair's time constant is some 33 s

    charge = state("1", start=0.8, start_std=0.1, noise=2e-5, precise=True)
    fast = state("V", start=0.0, start_std=0.005, noise=1e-4)
    slow = state("V", start=0.0, start_std=0.005, noise=5e-5)
    health = state("1", start=1.0, start_std=0.1, noise=1e-6, precise=True)
    resistance = state("1", start=1.0, start_std=0.2, noise=5e-6, precise=True)

    current = signal("A", max_age=60)
    temperature = signal("degC", max_age=900)

    capacity = parameter("A h", typical=0.85, spread=0.03, scale="log", bounds=(1e-3, 1e4))
    ohmic = parameter("ohm", typical=0.0745, spread=0.15, scale="log", bounds=(1e-5, 10.0))
    r_fast = parameter("ohm", typical=0.0467, spread=0.2, scale="log", bounds=(1e-5, 10.0))
    tau_fast = parameter("s", typical=32.8, spread=0.2, scale="log", bounds=(6.0, 200.0))
    r_slow = parameter("ohm", typical=0.0498, spread=0.2, scale="log", bounds=(1e-5, 10.0))
    tau_slow = parameter("s", typical=223.0, spread=0.2, scale="log", bounds=(20.0, 5000.0))
    cold = parameter("K", typical=2000.0, spread=0.3, scale="log", bounds=(100.0, 1e4))
    fade = parameter("1", typical=2e-4, spread=0.5, scale="log", bounds=(1e-7, 0.1))
    growth = parameter("1", typical=5e-4, spread=0.5, scale="log", bounds=(1e-7, 0.1))

    voltage = sensor("V", noise=0.005)

    def warmth(self, x: Any, u: Any, p: Any) -> Any:
        """g: how many times its resistance as new and warm the cell shows."""
        kelvin = u.temperature + 273.15
        return x.resistance * np.exp(p.cold * (WARM - kelvin) / (WARM * kelvin))

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        drop = self.warmth(x, u, p) * u.current
        moved = np.maximum(u.current, -u.current) / (7200.0 * p.capacity)
        return {
            "charge": -u.current / (3600.0 * p.capacity * np.maximum(x.health, 0.05)),
            "fast": (p.r_fast * drop - x.fast) / p.tau_fast,
            "slow": (p.r_slow * drop - x.slow) / p.tau_slow,
            "health": -p.fade * moved,
            "resistance": p.growth * moved,
        }

    def poles(self, x: Any, u: Any, p: Any) -> Any:
        """The voltage between the poles."""
        return open_circuit(x.charge) - p.ohmic * self.warmth(x, u, p) * u.current - x.fast - x.slow

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"voltage": self.poles(x, u, p)}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {
            "discharged": (self.poles(x, u, p) - EMPTY) / (FULL - EMPTY),
            "worn out": (x.health - RETIRED) / (1.0 - RETIRED),
        }
