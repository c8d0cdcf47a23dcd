"""The checks that ship: our own kernels keep every promise, and a broken one is caught and told."""

import importlib
import inspect
import math
import pkgutil
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemel import Fleet, Kernel, parameter, sensor, signal, state
from gemel.clock import SECOND
from gemel.errors import Invalid, explain
from gemel.flow.fleet import load_kernel
from gemel.kernels import library
from gemel.starter import init
from gemel.testing import kernel_checks
from gemel.testing.kernels import PROMISES
from gemel.testing.samples import Samples, draw

ROOT = Path(__file__).parent.parent


def kernels_of(module: Any) -> list[type[Kernel]]:
    """The kernels that a module writes itself."""
    found = [item for item in vars(module).values() if inspect.isclass(item)]
    return [k for k in found if issubclass(k, Kernel) and k.__module__ == module.__name__]


NAMES = [name for _, name, _ in pkgutil.iter_modules(library.__path__, f"{library.__name__}.")]
LIBRARY = [kernel for name in NAMES for kernel in kernels_of(importlib.import_module(name))]
EXAMPLES = [
    load_kernel(f"{path.name}:{name}", path.parent)
    for path in sorted((ROOT / "examples").glob("*/kernel*.py"))
    for name in re.findall(r"^class (\w+)\(Kernel\)", path.read_text("utf-8"), re.MULTILINE)
]


# --- our own -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", LIBRARY + EXAMPLES)
def test_every_kernel_that_we_ship_keeps_its_promises(kernel: type[Kernel]) -> None:
    kernel_checks(kernel)


def test_the_kernel_that_init_writes_keeps_its_promises(tmp_path: Path) -> None:
    lines = ["time,twin,power,temperature"]
    for k in range(300):
        power = 10.0 + math.sin(k / 20)
        heat = 60.0 + 5.0 * math.sin((k - 8) / 20)
        lines.append(f"2026-01-01T{k // 60:02d}:{k % 60:02d}:00Z,oven,{power:.3f},{heat:.2f}")
    data, folder = tmp_path / "data.csv", tmp_path / "plant"
    data.write_text("\n".join(lines), encoding="utf-8")
    init(data, folder)
    name = re.search(r"^class (\w+)\(Kernel\)", (folder / "kernel.py").read_text(), re.MULTILINE)
    assert name
    kernel = load_kernel(f"kernel.py:{name[1]}", folder)
    kernel_checks(kernel, ranges=dict.fromkeys(kernel.layout.inputs, (9.0, 11.0)))


# --- in a fleet ----------------------------------------------------------------------------------

IDS = ["first", "second", "third"]
WITH_STATES = [k for k in LIBRARY if k.layout.states]


def told(s: Samples) -> dict[str, np.ndarray]:
    """Inputs of three assets, alike."""
    return {name: np.full(3, s.u[0, k]) for k, name in enumerate(s.kernel.layout.inputs)}


def ticked(s: Samples, *further: dict[str, np.ndarray], every: float) -> Fleet:
    """A fleet of three that was told these values, one tick each."""
    fleet = Fleet(s.kernel, IDS)
    for k, values in enumerate(further):
        fleet.tick(int((1 + k * every) * SECOND), values)
    return fleet


@pytest.mark.parametrize("kernel", WITH_STATES)
def test_in_a_fleet_no_asset_feels_its_neighbours(kernel: type[Kernel]) -> None:
    s = draw(kernel, None, 0)
    inputs = told(s)
    readings = {name: np.ones(3) for name in kernel.layout.outputs}
    other = {name: value * [1.0, 1.1, 1.0] for name, value in (inputs | readings).items()}
    one = ticked(s, inputs | readings, inputs | readings, every=s.dt)
    two = ticked(s, inputs | readings, other, every=s.dt)
    for name in one.rows:
        before, after = one.column(name), two.column(name)
        assert before[[0, 2]].tobytes() == after[[0, 2]].tobytes(), name
    assert not np.array_equal(one.mean[1], two.mean[1])


@pytest.mark.parametrize("kernel", [k for k in WITH_STATES if k.layout.inputs])
def test_in_a_fleet_a_missing_input_ages_only_its_own_asset(kernel: type[Kernel]) -> None:
    s = draw(kernel, None, 0)
    inputs = told(s)
    last = next(iter(inputs))
    holed = inputs | {last: inputs[last] * [1.0, np.nan, 1.0]}
    every = 0.6 * kernel.layout.inputs[last].max_age
    whole = ticked(s, inputs, inputs, inputs, every=every)
    short = ticked(s, inputs, holed, holed, every=every)
    for name in whole.rows:
        before, after = whole.column(name), short.column(name)
        assert before[[0, 2]].tobytes() == after[[0, 2]].tobytes(), name
    assert (short.std[1] >= whole.std[1]).all()
    assert (short.std[1] > whole.std[1]).any()
    np.testing.assert_array_equal(short.mean[1], whole.mean[1])


# --- each promise, broken ------------------------------------------------------------------------


class Oven(Kernel):
    """T' = heat P − loss (T − 20): it keeps every promise, and each below breaks one."""

    version = "1.0"
    temperature = state("degC", start=60.0, start_std=5.0, noise=0.02)
    power = signal("kW")
    heat = parameter("K/s/kW", typical=0.02, spread=0.1, scale="log")
    loss = parameter("1/s", typical=1e-3, spread=0.1, scale="log")
    thermometer = sensor("degC", noise=0.5)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.heat * u.power - p.loss * (x.temperature - 20.0)}

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.temperature}

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"too hot": (120.0 - x.temperature) / 100.0}


POWER = {"power": (0.0, 4.0)}


def test_the_kernel_that_the_broken_ones_grow_from_is_whole() -> None:
    for seed in range(5):
        kernel_checks(Oven, ranges=POWER, seed=seed)


class Noiseless(Oven):
    version = "1.0"
    thermometer = sensor("degC", noise=0.0)


class Unbounded(Oven):
    version = "1.0"
    heat = parameter("K/s/kW", typical=0.02, spread=0.1, bounds=(1.0, 2.0))


class Logless(Oven):
    version = "1.0"
    heat = parameter("K/s/kW", typical=0.0, spread=0.1, scale="log")


class Certain(Oven):
    version = "1.0"
    temperature = state("degC", start=60.0, start_std=0.0, noise=0.02)


class Unheld(Oven):
    version = "1.0"
    power = signal("kW", max_age=0.0)


class Misspelt(Oven):
    version = "1.0"

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temprature": p.heat * u.power}


class Undeclared(Oven):
    version = "1.0"

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.heat * u.powr}


class Silent(Oven):
    version = "1.0"
    pressure = sensor("bar", noise=0.1)


class Mute(Oven):
    version = "1.0"

    def flow(self, x: Any, u: Any, p: Any) -> Any:
        {"temperature": p.heat * u.power}


class Rooted(Oven):
    version = "1.0"
    wear = state("1", start=0.0, start_std=0.01, noise=1e-6)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.heat * u.power, "wear": 1e-9 * np.sqrt(x.wear)}


class Truthful(Oven):
    version = "1.0"

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"too hot": x.temperature < 120.0}


class Divided(Oven):
    version = "1.0"

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.heat * u.power / (x.temperature - 60.0)}


class Branched(Oven):
    version = "1.0"

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        loss = p.loss if x.temperature > 50.0 else 0.0  # line: if
        return {"temperature": p.heat * u.power - loss * (x.temperature - 20.0)}


class Mathematical(Oven):
    version = "1.0"

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": x.temperature + math.exp(-x.temperature)}  # line: math


class Sliced(Oven):
    version = "1.0"

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        many = isinstance(x.temperature, np.ndarray)
        return {"thermometer": x.temperature[:3] if many else x.temperature}


class Writing(Oven):
    version = "1.0"

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        x.temperature -= 20.0
        return {"temperature": p.heat * u.power - p.loss * x.temperature}


class Random(Oven):
    version = "1.0"

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.heat * u.power + np.random.default_rng().normal()}


class Remembering(Oven):
    version = "1.0"
    calls = 0

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        Remembering.calls += 1
        return {"thermometer": x.temperature + 1e-3 * Remembering.calls}


class Sociable(Oven):
    version = "1.0"

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        room = x.temperature.mean() if hasattr(x.temperature, "mean") else x.temperature
        return {"temperature": p.heat * u.power - p.loss * (x.temperature - 0.3 * room)}


class TwoFaced(Oven):
    version = "1.0"

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        off = 0.1 if isinstance(x.temperature, np.ndarray) else 0.0
        return {"thermometer": x.temperature + off}


class Coarse(Oven):
    version = "1.0"

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": (x.temperature + 1e8) - 1e8}


class Counting(Oven):
    version = "1.0"
    turns = state("1", start=1e8, start_std=100.0, noise=0.1)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return super().flow(x, u, p) | {"turns": 0.05}


class Rounded(Oven):
    version = "1.0"

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"thermometer": np.floor(x.temperature * 1e6) * 1e-6}


class Quiet(Oven):
    version = "1.0"
    temperature = state("degC", start=60.0, start_std=5.0)


class Swinging(Oven):
    """Two states that drive each other: neither shows how fast they are together."""

    version = "1.0"
    place = state("m", start=0.0, start_std=1.0, noise=0.01)
    pace = state("m/s", start=0.0, start_std=1.0, noise=0.01)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return super().flow(x, u, p) | {"place": x.pace, "pace": -0.01 * x.place}


class Striding(Oven):
    version = "1.0"
    max_step = 1500.0


class Celsius(Oven):
    version = "1.0"

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"too hot": 120.0 - x.temperature}


BROKEN: list[tuple[type[Kernel], str, str, str]] = [
    (Noiseless, "its declarations", "sensor thermometer has noise 0.0", "noise=0.5"),
    (Unbounded, "its declarations", "parameter heat is 0.02 ± 0.1, bounds (1.0, 2.0)", "within"),
    (Logless, "its declarations", "parameter heat is 0.0", 'leave out scale="log"'),
    (Certain, "its declarations", "temperature starts at 60.0 ± 0.0", "start_std above 0"),
    (Unheld, "its declarations", "power may be held for 0.0 s", "max_age=900"),
    (Misspelt, "it runs on plain", "flow() answers 'temprature', which is no state", "temperature"),
    (Undeclared, "it runs on plain", "there is no 'powr' here", "declared are: power"),
    (Silent, "it runs on plain", "sense() says nothing of sensor pressure", "every sensor"),
    (Mute, "it runs on plain", "flow() returns a NoneType", "return a dict"),
    (Rooted, "it runs on plain", "flow() answers nan for wear, at temperature", "np.maximum("),
    (Truthful, "it runs on plain", "limits() answers True for too hot", "np.where("),
    (Divided, "it runs on plain", "in flow: ZeroDivisionError", "by hand with these numbers"),
    (
        Branched,
        "it can be traced",
        "line {if}, in flow: a Python `if`",
        "np.where(condition, a, b)",
    ),
    (Mathematical, "it can be traced", "line {math}, in sense: float, int", "np.exp"),
    (Sliced, "arrays keep", "sense.thermometer is (3,) for the (64,)", "for one asset"),
    (
        Writing,
        "it leaves its arguments",
        "flow() writes into x.temperature",
        "not x.temperature +=",
    ),
    (Random, "the same question", "flow.temperature is another number", "noise of a state"),
    (Remembering, "the same question", "sense.thermometer is another number", "is a state"),
    (
        Sociable,
        "no asset feels",
        "flow.temperature of an asset changes with another asset's",
        "one asset",
    ),
    (TwoFaced, "compiled code", "sense.thermometer is", "what kind of number"),
    (Coarse, "float32 is enough", "sense.thermometer is", "numbers of one size"),
    (Counting, "float32 is enough", "steps turns is", "turns = state(…, precise=True)"),
    (Rounded, "its derivatives", "its derivative says 0;", "np.floor"),
    (Quiet, "a missing input", "no state has noise", "noise=0.02"),
    (Swinging, "its steps", "after 60 s in one step place is", "max_step = "),
    (Striding, "its steps", "after 1.5e+03 s in one step temperature is", "max_step = 750"),
    (Celsius, "limits are margins", "'too hot' of a new asset is 60", "(120 - x.temperature) / 60"),
]


def line_of(mark: str) -> str:
    lines = Path(__file__).read_text("utf-8").splitlines()
    return str(next(n for n, text in enumerate(lines, 1) if text.endswith(f"# line: {mark}")))


@pytest.mark.parametrize(("kernel", "promise", "what", "mend"), BROKEN)
def test_a_broken_promise_is_caught_with_the_place_and_the_mend(
    kernel: type[Kernel], promise: str, what: str, mend: str
) -> None:
    for mark in ("if", "math"):
        what = what.replace(f"{{{mark}}}", line_of(mark))
    with pytest.raises(Invalid) as told:
        kernel_checks(kernel, ranges=POWER)
    assert told.value.code == "testing.kernel"
    assert told.value.where == f"kernel {kernel.__name__}"
    head, *lines = told.value.message.splitlines()
    assert head == "it breaks a promise", told.value
    assert lines[0].strip().startswith(promise)
    assert what in lines[1]
    assert lines[2].strip().startswith("mend: ")
    assert mend in lines[2]
    assert "a fault of Gemel's own" not in told.value.message


def test_every_promise_has_a_kernel_that_breaks_it() -> None:
    for promise, _, _ in PROMISES:
        assert any(promise.startswith(begin) for _, begin, _, _ in BROKEN), promise


def test_an_unknown_unit_is_refused_where_it_is_declared() -> None:
    with pytest.raises(Invalid, match="'kWatt' is not a unit I know"):

        class Foreign(Oven):
            version = "1.0"
            power = signal("kWatt")


def test_several_broken_promises_are_told_in_one_error() -> None:
    class Twice(Oven):
        version = "1.0"
        max_step = 1500.0
        limits = Celsius.limits

    with pytest.raises(Invalid, match="it breaks 2 promises") as told:
        kernel_checks(Twice, ranges=POWER)
    assert "its steps are fine enough" in str(told.value)
    assert "limits are margins" in str(told.value)
    assert "gemel explain testing.kernel" in str(told.value)
    assert "promise" in explain("testing.kernel")


def test_an_input_without_a_range_asks_for_one() -> None:
    with pytest.raises(Invalid) as told:
        kernel_checks(Oven)
    assert told.value.code == "testing.ranges"
    assert "nobody says how large power can be" in told.value.message
    assert told.value.mend == 'kernel_checks(Oven, ranges={"power": (low, high)})'
    with pytest.raises(Invalid, match="'pwer' has a range, and is no input"):
        kernel_checks(Oven, ranges={"pwer": (0.0, 1.0)})


def test_an_object_is_not_a_kernel() -> None:
    with pytest.raises(Invalid, match="give the class"):
        kernel_checks(Oven())  # type: ignore[arg-type]


def test_inputs_come_from_the_gold_set_together_and_a_range_wins() -> None:
    rotor = next(k for k in LIBRARY if k.__name__ == "RotorBearing")
    s = draw(rotor, {"ambient": (50.0, 60.0)}, 0)
    speed, power, ambient, _ = s.u.T
    assert np.corrcoef(speed, power)[0, 1] > 0.5
    assert ((ambient >= 50.0) & (ambient <= 60.0)).all()
    np.testing.assert_array_equal(s.u, draw(rotor, {"ambient": (50.0, 60.0)}, 0).u)
