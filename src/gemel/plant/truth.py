"""The ground truth: a steam-turbine hall whose every hidden quantity is known.

Owns    the physics of the demo plant, the faults of its machines, and the commands it obeys.
Never   is read by a twin: a twin sees `readings` alone, and those as the way left them (`way`). It
        does no I/O and reads no clock.

The truth is richer than the twin's kernel on purpose (other viscosity and flow exponents, a load
term that is not linear, ramps, valves that lag, a cooler that fouls), so that a twin is tested
against a world that it only approximates.

Every draw is keyed by (seed, step counter): a restored hall goes on to the same bits.
Axes: A bearings of the whole hall, G turbines.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gemel.clock import SECOND, parse_instant
from gemel.errors import Invalid
from gemel.plant.faults import PHYSICAL, Fault, Numbers
from gemel.records import Floats

START = parse_instant("2017-04-03T00:00:00Z")
LIMIT_TEMPERATURE = 115.0  # degC
LIMIT_WEAR = 1.0
COMMANDS = {"set_oil_flow": (20.0, 60.0, "L/min"), "set_load_limit": (40.0, 100.0, "%")}
HOUR, DAY = 3600.0, 86_400.0
LONGEST = 1800.0  # s; a longer step is taken in equal parts


@dataclass(frozen=True)
class Slots:
    """Who has which signal, in order of twins: twins (A,) · signals (S,) · twin, signal (N,): of
    each slot."""

    twins: list[str]
    signals: list[str]
    twin: Numbers
    signal: Numbers

    @cached_property
    def begin(self) -> Numbers:
        """The first slot of every twin, and the end: (A + 1,)."""
        return np.searchsorted(self.twin, np.arange(len(self.twins) + 1))

    def of(self, twins: Numbers) -> tuple[Numbers, Numbers]:
        """All slots of some twins (K,): slot (M,), which of the twins each is of (M,)."""
        count = self.begin[twins + 1] - self.begin[twins]
        which = np.repeat(np.arange(len(twins)), count)
        within = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        return self.begin[twins][which] + within, which


@dataclass(frozen=True)
class Truth:
    """The true constants, one a bearing: (A,). Drawn once from the seed, log-spread about 10 %."""

    friction: Floats  # K/s at 3000 rpm, 75 degC, no wear
    loading: Floats  # K/s at 90 % load
    cooling: Floats  # 1/s at 35 L/min
    wear_rate: Floats  # 1/s at 75 degC and 90 % load
    bias: Floats  # K, of the thermometer

    def as_record(self) -> dict[str, list[float]]:
        return {name: getattr(self, name).tolist() for name in self.__dataclass_fields__}


class SteamHall:
    """Turbines st1, st2 … each with bearings st1-b1, st1-b2 …

        T' = friction (n/3000)² e^{−0.0145 (T−75)} (1 + 3.5 w) + loading (0.2 + 0.8 (L/90)^1.3)
             − cooling ((Q/35)^0.8 (T − T_oil) + 0.045 (T − T_hall))
        w' = r (n/3000) (L/90)^5 e^{0.07 (T−75)}                 (Archard, hotter wears faster)
        T_oil → 45 + 0.15 (T_hall − 25) + 25 fouling

    T metal, degC · w wear, 1 = worn out · n rpm · L load, % · Q oil flow, L/min. The temperature is
    integrated exactly for a heat that is constant over one step, so any step is stable.

    The same seed gives the same hall:

    >>> one, two = SteamHall(7), SteamHall(7)
    >>> one.step(60.0); two.step(60.0); one.readings() == two.readings()
    True
    """

    def __init__(
        self,
        seed: int,
        turbines: int = 2,
        bearings_per_turbine: int = 4,
        *,
        start: int = START,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        self.seed, self.faults = seed, faults
        self.turbines = [f"st{g + 1}" for g in range(turbines)]
        self.bearings = [
            f"{turbine}-b{k + 1}" for turbine in self.turbines for k in range(bearings_per_turbine)
        ]
        self.group = np.repeat(np.arange(turbines), bearings_per_turbine)
        self._acting = [(f, self._members(f)) for f in faults if f.kind in PHYSICAL]
        self.truth = _draw_truth(seed, len(self.bearings))
        self.instant, self.steps = start, 0
        self._begin(turbines, len(self.bearings))
        self._settle()

    def _begin(self, turbines: int, bearings: int) -> None:
        self.noise = 1.0  # 0 switches every random draw off: the expected future
        self.speed = np.full(turbines, 3000.0)
        self.demand = np.zeros(turbines)  # random part, %
        self.load = np.full(turbines, 90.0)
        self.load_limit = np.full(turbines, 100.0)  # as it acts
        self.load_target = np.full(turbines, 100.0)  # as it was ordered
        self.hall = 0.0  # random part of the hall's temperature, K
        self.inlet = np.full(turbines, 45.0)
        self.temperature = np.full(bearings, 75.0)
        self.wear = np.zeros(bearings)
        self.flow = np.full(bearings, 35.0)
        self.flow_target = np.full(bearings, 35.0)

    def _settle(self) -> None:
        """Start warm: at the temperature where heat and cooling balance."""
        for _ in range(40):
            self._warm(600.0)

    # ---- physics ------------------------------------------------------------------------

    @property
    def ambient(self) -> float:
        """Hall temperature, degC: a daily cycle and a slow random part."""
        hour = (self.instant % int(DAY * SECOND)) / SECOND / HOUR
        return 24.0 + 4.0 * float(np.sin(2 * np.pi * (hour - 9.0) / 24.0)) + float(self.hall)

    def step(self, dt: float) -> None:
        """Move the hall by dt seconds."""
        parts = max(1, int(np.ceil(dt / LONGEST)))
        begun = self.instant
        for k in range(1, parts + 1):
            self._step(dt / parts, begun + round(dt * SECOND * k / parts))

    def _step(self, dt: float, until: int) -> None:
        self.steps += 1
        self.instant = until
        turbines = len(self.turbines)
        draws = self.noise * _normals(self.seed, self.steps, 0, 2 * turbines + 1)
        self.speed = 3000.0 + _walk(self.speed - 3000.0, 2.0, 300.0, dt, draws[:turbines])
        self.demand = _walk(self.demand, 1.2, 5400.0, dt, draws[turbines : 2 * turbines])
        self.hall = float(_walk(np.array(self.hall), 0.6, 3 * HOUR, dt, draws[-1]))
        change = np.clip(self.load_target - self.load_limit, -dt / 30.0, dt / 30.0)  # 2 %/min
        self.load_limit = self.load_limit + change
        wanted = np.minimum(daily_demand(self.instant) + self.demand, self.load_limit)
        self.load = self.load + (wanted - self.load) * -np.expm1(-dt / 240.0)
        self.flow = self.flow + (self.flow_target - self.flow) * -np.expm1(-dt / 180.0)
        self._warm(dt)
        load = self.load[self.group] / 90.0
        rate = self.truth.wear_rate * self._wear_factor() * (self.speed / 3000.0)[self.group]
        heat = np.exp(0.07 * (np.minimum(self.temperature, 150.0) - 75.0))
        self.wear = np.minimum(self.wear + dt * rate * load**5.0 * heat, 1.5)

    def _warm(self, dt: float) -> None:
        """Oil inlet and metal temperatures over dt, exact for constant heat."""
        ambient = self.ambient
        target = 45.0 + 0.15 * (ambient - 25.0) + 25.0 * self._fouling()
        self.inlet = self.inlet + (target - self.inlet) * -np.expm1(-dt / 1800.0)
        load = self.load[self.group] / 90.0
        film = np.exp(-0.0145 * (self.temperature - 75.0)) * (1.0 + 3.5 * self.wear)
        heat = self.truth.friction * (self.speed[self.group] / 3000.0) ** 2 * film
        heat = heat + self.truth.loading * (0.2 + 0.8 * load**1.3)
        oil = self.truth.cooling * (self.flow / 35.0) ** 0.8
        hall = 0.045 * self.truth.cooling
        rate = oil + hall
        settled = (heat + oil * self.inlet[self.group] + hall * ambient) / rate
        self.temperature = settled + (self.temperature - settled) * np.exp(-rate * dt)

    def _members(self, fault: Fault) -> Numbers:
        """The bearings that wear hits; the turbines that fouling does, by any of their names."""
        names = self.bearings
        if fault.kind == "cooler_fouling":
            names = self.turbines
            hit = {
                g for g, b in zip(self.group.tolist(), self.bearings, strict=True) if fault.hits(b)
            }
            found = sorted(hit | {g for g, name in enumerate(names) if fault.hits(name)})
        else:
            found = [k for k, name in enumerate(names) if fault.hits(name)]
        if not found:
            raise Invalid(
                "fault.twin",
                f"there is no '{fault.twin}' in this hall",
                where=f"fault {fault.kind}",
                mend=f"use a name or a pattern of: {', '.join(names[:12])}",
            )
        return np.array(found)

    def _wear_factor(self) -> Floats:
        factor = np.ones(len(self.bearings))
        for fault, members in self._now("wear"):
            factor[members] *= fault.strength
        return factor

    def _fouling(self) -> Floats:
        share = np.zeros(len(self.turbines))
        for fault, members in self._now("cooler_fouling"):
            grown = min(1.0, (self.instant - fault.start) / (2 * DAY * SECOND))
            share[members] += fault.strength * grown
        return share

    def _now(self, kind: str) -> list[tuple[Fault, Numbers]]:
        return [(f, m) for f, m in self._acting if f.kind == kind and f.active(self.instant)]

    # ---- instruments --------------------------------------------------------------------

    def shown(self) -> tuple[Floats, Floats]:
        """Instrument readings: turbines (G, 4) speed, load, load_limit, ambient; bearings (A, 3)
        metal_temperature, oil_flow, oil_inlet."""
        turbines, bearings = len(self.turbines), len(self.bearings)
        draws = self.noise * _normals(self.seed, self.steps, 1, 3 * turbines + 3 * bearings)
        g = draws[: 3 * turbines].reshape(turbines, 3)
        a = draws[3 * turbines :].reshape(bearings, 3)
        ambient = np.full(turbines, self.ambient)
        turbine = np.stack([self.speed, self.load, self.load_limit, ambient], axis=1)
        turbine[:, [0, 1, 3]] += g * (1.0, 0.3, 0.15)
        metal = self.temperature + self.truth.bias + 0.3 * a[:, 0]
        flow, inlet = self.flow + 0.15 * a[:, 1], self.inlet[self.group] + 0.1 * a[:, 2]
        return turbine, np.stack([metal, flow, inlet], axis=1)

    def readings(self) -> list[tuple[str, dict[str, float]]]:
        """What sound instruments send at this instant: (twin, {signal: value})."""
        turbine, bearing = self.shown()
        return [
            (twin, dict(zip(signals, map(float, values), strict=True)))
            for names, signals, table in (
                (self.turbines, TURBINE_SIGNALS, turbine.round(4)),
                (self.bearings, BEARING_SIGNALS, bearing.round(4)),
            )
            for twin, values in zip(names, table, strict=True)
        ]

    def measured(self) -> Floats:
        """The same as one column, one number a slot: (N,)."""
        return np.concatenate([table.ravel() for table in self.shown()]).round(4)

    @cached_property
    def slots(self) -> Slots:
        """Whose signal each number of `measured` is."""
        twins, signals = self.turbines + self.bearings, TURBINE_SIGNALS + BEARING_SIGNALS
        g, t = len(self.turbines), len(TURBINE_SIGNALS)
        a, b = len(self.bearings), len(BEARING_SIGNALS)
        twin = np.concatenate([np.repeat(np.arange(g), t), g + np.repeat(np.arange(a), b)])
        signal = np.concatenate([np.tile(np.arange(t), g), np.tile(t + np.arange(b), a)])
        return Slots(twins, list(signals), twin, signal)

    # ---- commands -----------------------------------------------------------------------

    def command(self, twin: str, name: str, argument: Any) -> tuple[bool, str]:
        """Obey, or say why not: (accepted, detail). Never raises."""
        if name not in COMMANDS:
            return False, f"unknown command '{name}'; known: {', '.join(COMMANDS)}"
        low, high, unit = COMMANDS[name]
        if isinstance(argument, bool) or not isinstance(argument, (int, float)):
            return False, f"{name} takes a number in {unit}"
        if not low <= argument <= high:
            return False, f"{argument:g} {unit} is outside {low:g}..{high:g} {unit}"
        names, target = (
            (self.bearings, self.flow_target)
            if name == "set_oil_flow"
            else (self.turbines, self.load_target)
        )
        if twin not in names:
            return False, f"'{twin}' does not take {name}"
        target[names.index(twin)] = float(argument)
        return True, f"{name} {argument:g} {unit}"

    # ---- truth, state -------------------------------------------------------------------

    def remaining(self, horizon: float = 21 * DAY, dt: float = LONGEST) -> list[float | None]:
        """Seconds until each bearing's first true limit if nothing more is done; None: not before
        the horizon. Faults go on, noise is off, set-points stay."""
        ahead = SteamHall.restored(self.state(), self.faults)
        ahead.noise = 0.0
        left: list[float | None] = [None] * len(self.bearings)
        for k in range(1 + int(horizon / dt)):
            over = (ahead.temperature >= LIMIT_TEMPERATURE) | (ahead.wear >= LIMIT_WEAR)
            for a in np.flatnonzero(over):
                if left[a] is None:
                    left[a] = k * dt
            ahead.step(dt)
        return left

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as JSON."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {
            "seed": self.seed,
            "turbines": len(self.turbines),
            "bearings_per_turbine": len(self.bearings) // len(self.turbines),
            "instant": self.instant,
            "steps": self.steps,
            "hall": self.hall,
            **arrays,
        }

    @staticmethod
    def restored(state: dict[str, Any], faults: tuple[Fault, ...] = ()) -> "SteamHall":
        """The hall as `state()` left it."""
        hall = SteamHall(
            state["seed"], state["turbines"], state["bearings_per_turbine"], faults=faults
        )
        hall.instant, hall.steps, hall.hall = state["instant"], state["steps"], state["hall"]
        for name in _ARRAYS:
            setattr(hall, name, np.array(state[name], dtype=np.float64))
        return hall


TURBINE_SIGNALS = ("speed", "load", "load_limit", "ambient")
BEARING_SIGNALS = ("metal_temperature", "oil_flow", "oil_inlet")
_ARRAYS = "speed demand load load_limit load_target inlet temperature wear flow flow_target".split()


def daily_demand(instant: int) -> float:
    """Demand on a base-load set, %: high by day with a morning and an evening peak, less on
    Saturday and Sunday."""
    day, rest = divmod(instant // SECOND, int(DAY))
    hour = rest / HOUR
    turn = 2 * np.pi / 24.0
    shape = 4.0 * np.sin(turn * (hour - 8.0)) + 2.0 * np.sin(2 * turn * (hour - 6.0))
    weekend = 3.0 if (day + 3) % 7 >= 5 else 0.0
    return float(91.0 + shape - weekend)


def demo_faults(start: int = START) -> tuple[Fault, ...]:
    """The demo: st1-b2 starts to wear fast 8 h after `start`; small faults tease the rest."""
    hour = int(HOUR * SECOND)
    return (
        Fault("wear", "st1-b2", start + 8 * hour),
        Fault("duplicate", "st2-b1", start, share=0.3),
        Fault("dropout", "st2-b3", start + 30 * hour, start + 36 * hour, share=0.2),
    )


def _draw_truth(seed: int, bearings: int) -> Truth:
    draws = np.random.Generator(np.random.Philox(key=[seed, 2**63])).standard_normal((5, bearings))
    spread: Floats = np.exp(0.1 * draws)
    return Truth(
        friction=0.0195 * np.exp(0.06 * draws[0]),
        loading=0.0065 * spread[1],
        cooling=spread[2] ** 0.6 / 1200.0,
        wear_rate=7e-9 * spread[3],
        bias=0.2 * draws[4],
    )


def _normals(seed: int, step: int, stream: int, count: int) -> Floats:
    """Standard normal draws that belong to (seed, step, stream) alone."""
    generator = np.random.Generator(np.random.Philox(key=[seed, 3 * step + stream]))
    return generator.standard_normal(count)


def _walk(value: Floats, std: float, memory: float, dt: float, draw: Floats) -> Floats:
    """One exact step of an Ornstein–Uhlenbeck process with stationary `std`."""
    keep = np.exp(-dt / memory)
    return np.asarray(value * keep + std * np.sqrt(1.0 - keep * keep) * draw)
