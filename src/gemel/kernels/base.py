"""What an author writes: a kernel, its states, signals, parameters and sensors.

Owns    the declarations and their order: the layout of every array.
Never   holds an asset's numbers: those are arrays, made and kept by others.

    class Oven(Kernel):
        '''Temperature of one oven.'''
        version = "1.0"
        temperature = state("degC", start=20.0, start_std=5.0, noise=0.02)
        power = signal("kW")
        heat = parameter("K/s/kW", typical=0.1, spread=0.3, scale="log")
        loss = parameter("1/s", typical=1e-3, spread=0.2, scale="log")
        thermometer = sensor("degC", noise=0.5)

        def flow(self, x, u, p):
            return {"temperature": p.heat * u.power - p.loss * (x.temperature - 20)}

        def sense(self, x, u, p):
            return {"thermometer": x.temperature}
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gemel import units
from gemel.errors import Invalid
from gemel.records import Floats


@dataclass(frozen=True)
class State:
    """A state: unit, where it starts, how surely, process noise [unit/√s], slow and `precise`."""

    unit: str
    start: float
    start_std: float
    noise: float
    precise: bool


@dataclass(frozen=True)
class Signal:
    """An input: unit, and how long [s] its last value may be held."""

    unit: str
    max_age: float


@dataclass(frozen=True)
class Parameter:
    """A constant of one asset: the fleet's prior is N(typical, spread), in log if scale is log."""

    unit: str
    typical: float
    spread: float
    scale: str
    bounds: tuple[float, float]


@dataclass(frozen=True)
class Sensor:
    """An instrument: unit, noise (one standard deviation), and how far off [σ] it is believed."""

    unit: str
    noise: float
    gate: float = np.inf


def state(
    unit: str, *, start: float, start_std: float, noise: float = 0.0, precise: bool = False
) -> Any:
    """Declare a state x; `noise` is a standard deviation per √s."""
    return State(unit, float(start), float(start_std), float(noise), precise)


def signal(unit: str, *, max_age: float = 3600.0) -> Any:
    """Declare an input u; a missing value is held up to `max_age` seconds."""
    return Signal(unit, float(max_age))


def parameter(
    unit: str,
    *,
    typical: float,
    spread: float,
    scale: str = "linear",
    bounds: tuple[float, float] | None = None,
) -> Any:
    """Declare a parameter p with the fleet's prior; `spread` is in log when `scale="log"`."""
    if scale not in ("log", "linear"):
        raise Invalid(
            "kernel.scale", f"scale '{scale}' is not known", mend='write scale="log" or "linear"'
        )
    default = (0.0, np.inf) if scale == "log" else (-np.inf, np.inf)
    return Parameter(unit, float(typical), float(spread), scale, bounds or default)


def sensor(unit: str, *, noise: float, gate: float = np.inf) -> Any:
    """Declare a sensor y; `noise` is one standard deviation of a reading.

    A reading further than `gate` standard deviations from what is foreseen moves nothing; it still
    counts in the NIS, so that a sensor which is shut out is seen. Doubt grows meanwhile, and a
    reading that stays is believed in the end.
    """
    if not gate > 0:
        raise Invalid(
            "kernel.gate", f"a gate of {gate} lets nothing in", mend="write some σ: gate=5.0"
        )
    return Sensor(unit, float(noise), float(gate))


class Values:
    """Named values, read as attributes: `x.temperature`.

    >>> Values({"speed": 3000.0}).speed
    3000.0
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise Invalid(
            "kernel.unknown_name",
            f"there is no '{name}' here",
            mend=f"declared are: {', '.join(self.__dict__) or 'none'}",
        )

    def __repr__(self) -> str:
        return f"Values({self.__dict__})"


@dataclass(frozen=True)
class Layout:
    """The order of names in every array: states X, inputs U, parameters P, outputs Y."""

    states: dict[str, State]
    inputs: dict[str, Signal]
    parameters: dict[str, Parameter]
    outputs: dict[str, Sensor]


class Kernel:
    """The physics of one asset, in plain Python.

    Methods an author writes, each for one asset:
        flow(x, u, p)       time derivatives of the states, or
        step(x, u, p, dt)   the states after dt seconds
        sense(x, u, p)      what the instruments should read
        limits(x, u, p)     optional: margin per failure mode, 1 as new, 0 failed
        initial(x, u, p)    optional: states to begin with, given the first inputs
    """

    version: ClassVar[str] = ""
    max_step: ClassVar[float] = float("inf")
    integrator: ClassVar[str] = "rk4"
    layout: ClassVar[Layout]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found: dict[type, dict[str, Any]] = {State: {}, Signal: {}, Parameter: {}, Sensor: {}}
        for base in reversed(cls.__mro__):
            for name, item in vars(base).items():
                if type(item) in found:
                    found[type(item)][name] = item
        cls.layout = Layout(found[State], found[Signal], found[Parameter], found[Sensor])
        _check(cls)

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """What the instruments should read."""
        return {}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Margin per failure mode: 1 as new, 0 failed."""
        return {}

    @classmethod
    def typical(cls) -> Floats:
        """The fleet's typical parameters: (P,)."""
        return np.array([item.typical for item in cls.layout.parameters.values()])


def _check(cls: type[Kernel]) -> None:
    where = f"kernel {cls.__name__}"
    if not cls.version:
        raise Invalid(
            "kernel.version", "it has no version", where=where, mend='add version = "1.0"'
        )
    layout = cls.layout
    declared = layout.states | layout.inputs | layout.parameters | layout.outputs
    for name, item in declared.items():
        units.check(item.unit, f"{where}, {type(item).__name__.lower()} {name}")
    if cls.integrator not in ("rk4", "heun"):
        raise Invalid(
            "kernel.integrator",
            f"there is no integrator '{cls.integrator}'",
            where=where,
            mend='write integrator = "rk4" or "heun"',
        )
    moves = hasattr(cls, "flow") + hasattr(cls, "step")
    if cls.layout.states and moves != 1:
        raise Invalid(
            "kernel.flow",
            "it needs exactly one of flow(x, u, p) and step(x, u, p, dt)",
            where=where,
            mend="write flow for time derivatives, or step for the states after dt",
        )
    if not cls.layout.outputs:
        raise Invalid(
            "kernel.blind",
            "it declares no sensor",
            where=where,
            mend='declare what is measured, for example thermometer = sensor("degC", noise=0.5)',
        )
