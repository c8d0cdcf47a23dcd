"""Units: what they measure, how they are put together, and what is said of a strange one."""

import math
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel.errors import Invalid
from gemel.kernels.base import Kernel, parameter, sensor, signal, state
from gemel.units import _PLAIN, _SCALED, check, convert, find, known, same_dimension


def value(number: float, source: str, target: str) -> float:
    return float(convert(np.array([number]), source, target)[0])


@pytest.mark.parametrize(
    ("one", "number", "other"),
    [
        ("kW h", 3.6, "MJ"),
        ("kWh", 1.0, "kW h"),
        ("m3/h", 1000 / 60, "L/min"),
        ("N m/s", 1.0, "W"),
        ("kNm", 1.0, "kN m"),
        ("kg m2 s^-3", 1.0, "W"),
        ("kg·m²·s⁻³", 1.0, "W"),
        ("W/m2/K", 1.0, "W/(m2 K)"),
        ("J/(kg (m/s))", 1.0, "J s/kg/m"),
        ("K/min", 1 / 60, "K/s"),
        ("1/h", 1 / 3600, "1/s"),
        ("A h", 3600, "C"),
        ("Ohm", 1.0, "V/A"),
        ("V A", 1.0, "W"),
        ("bar", 14.503773773, "psi"),
        ("cSt", 1.0, "mm2/s"),
        ("mPa s", 1.0, "cP"),
        ("MPa m^0.5", 1e6, "Pa m**0.5"),
        ("MPa m^0.5", 1e6, "N/m^1.5"),
        ("um/MPa/m", 1e-12, "1/Pa"),
        ("EUR/MWh", 0.1, "cEUR/kWh"),
        ("degC per rpm", 60.0, "K s/turn"),
        ("1 per rpm", 60.0, "1/Hz"),
        ("degC per m/s", 1.0, "K s/m"),
        ("deg", math.pi / 180, "rad"),
        ("Hz", 2 * math.pi, "rad/s"),
        ("rad/s", 60 / (2 * math.pi), "rpm"),
        ("gn", 9.80665, "m/s2"),
        ("inch", 25.4, "mm"),
        ("%", 0.01, "1"),
    ],
)
def test_two_ways_to_write_a_quantity_are_one(one: str, number: float, other: str) -> None:
    assert same_dimension(one, other)
    assert value(1.0, one, other) == pytest.approx(number, rel=1e-9)
    assert value(number, other, one) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(
    ("number", "source", "target", "becomes"),
    [
        (0.0, "K", "degC", -273.15),
        (-40.0, "degC", "degF", -40.0),
        (100.0, "degC", "°F", 212.0),
        (1.8, "degF/min", "degC/min", 1.0),  # a difference: no zero is taken off
        (5.0, "degC", "K", 278.15),
        (5.0, "degC/s", "K/s", 5.0),
        (50.0, "Hz", "rpm", 3000.0),
    ],
)
def test_a_temperature_has_a_zero_and_a_difference_has_none(
    number: float, source: str, target: str, becomes: float
) -> None:
    assert value(number, source, target) == pytest.approx(becomes, abs=1e-12)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("kW", "kWh"),
        ("degC", "rpm"),
        ("Hz", "1/s"),  # a turn is not a plain number
        ("rad", "1"),
        ("EUR", "USD"),
        ("m3/h", "kg/h"),
        ("W/m2 K", "W/(m2 K)"),  # a slash divides by one factor
        ("kW", "foo"),
    ],
)
def test_what_is_of_another_kind_is_not_converted(source: str, target: str) -> None:
    assert not same_dimension(source, target)
    with pytest.raises(Invalid) as told:
        value(1.0, source, target)
    assert told.value.code == "unit.mismatch"


@pytest.mark.parametrize(
    "text",
    ["", " ", "foo", "/s", "1/", "K//s", "K**s", "*s", "(m", "m)", "m ( )", "2 m", "m^", "m^99",
     "m0", "kmin", "kW-h", "m per", "per s", "m" * 65, "kW;h", "7", "1.5", "m^-", "m/s per"],
)  # fmt: skip
def test_what_is_no_unit_is_said_to_be_none(text: str) -> None:
    assert find(text) is None and not same_dimension(text, "1")
    with pytest.raises(Invalid) as told:
        value(1.0, text, "K")
    assert told.value.code == "unit.unknown"


NAMES = st.sampled_from(sorted({*_PLAIN, *_SCALED, "kW", "MPa", "um", "mA", "kEUR"} - {"1"}))
POWERS = st.integers(-9, 9).filter(bool)


@given(NAMES, POWERS, NAMES, POWERS)
def test_multiplied_and_divided_again_a_unit_is_itself(a: str, m: int, b: str, n: int) -> None:
    assert find(f"{a}^{m} {b}^{n} {b}^{-n}") == find(f"{a}^{m} 1")
    assert find(f"{a}^{m}/{b}^{n}") == find(f"{a}^{m} {b}^{-n}") == find(f"{a}^{m} per {b}^{n}")


@given(NAMES, st.floats(-1e6, 1e6))
def test_there_and_back_is_where_it_began(name: str, number: float) -> None:
    for other in (unit for unit in (*_PLAIN, *_SCALED) if same_dimension(name, unit)):
        scale = max(abs(number), abs(value(0.0, other, name)))
        assert abs(value(value(number, name, other), other, name) - number) <= 1e-9 * scale + 1e-300


@given(st.text(max_size=70))
def test_any_text_is_a_unit_or_none(text: str) -> None:
    assert find(text) is None or same_dimension(text, text)


def test_the_last_word_of_a_column_is_a_unit_only_when_it_is_a_usual_one() -> None:
    assert known("rpm") and known("m3/h")
    assert not any(known(tail) for tail in ("T2", "L1", "C", "S", "in", ""))


# --- declared in a kernel ------------------------------------------------------------------------


def test_a_kernel_with_a_strange_unit_is_refused_where_it_was_declared() -> None:
    with pytest.raises(Invalid) as told:

        class Oven(Kernel):
            version = "1.0"
            temperature = state("degC", start=20.0, start_std=5.0)
            power = signal("KW")
            heat = parameter("K/s/kW", typical=0.1, spread=0.3)
            thermometer = sensor("degC", noise=0.5)

            def flow(self, x, u, p):
                return {"temperature": p.heat * u.power}

    assert told.value.code == "unit.unknown"
    assert told.value.where == "kernel Oven, signal power"
    assert "'KW'" in told.value.message and "kW" in told.value.mend


@pytest.mark.parametrize(
    ("strange", "near"),
    [("RPM", "rpm"), ("Celsius/s", ""), ("m/sek", ""), ("W/Kelvn", ""), ("K/minn", "min"),
     ("kw h", "kW"), ("", "plain number"), ("K//s", "K/s/kW")],
)  # fmt: skip
def test_the_mend_names_what_is_near(strange: str, near: str) -> None:
    with pytest.raises(Invalid) as told:
        check(strange, "here")
    assert near in told.value.mend and told.value.where == "here"


# --- pint ----------------------------------------------------------------------------------------

with_pint = pytest.mark.skipif(find_spec("pint") is None, reason="the extra 'units' is missing")


@with_pint
def test_what_pint_knows_is_known_once_it_is_declared() -> None:
    assert find("nautical_mile/fortnight") is None, "a wire does not ask pint"
    check("nautical_mile/fortnight", "here")
    assert value(1.0, "nautical_mile/fortnight", "m/s") == pytest.approx(1852 / 1_209_600)
    check("delta_degF/hour", "here")
    assert value(1.8, "delta_degF/hour", "K/h") == pytest.approx(1.0)
    check("degree_Rankine", "here")
    assert value(491.67, "degree_Rankine", "degC") == pytest.approx(0.0, abs=1e-9)
    check("revolutions_per_minute m2", "here")
    assert value(1.0, "revolutions_per_minute m2", "rpm m2") == pytest.approx(1.0)
    check("byte", "here")
    check("bit", "here")
    assert value(1.0, "byte", "bit") == 8.0


@with_pint
@pytest.mark.parametrize("strange", ["dBm", "gibberish", "m +", "m ** m", "K/K/(", "[]", "7 m"])
def test_what_has_no_factor_is_refused_by_pint_too(strange: str) -> None:
    with pytest.raises(Invalid) as told:
        check(strange, "here")
    assert "pip install" not in told.value.mend


def test_the_table_agrees_with_pint() -> None:
    registry = pytest.importorskip("pint").UnitRegistry()
    other = {"gn": "g_0", "EUR": "", "USD": "", "Ohm": "ohm", "gal": "gallon", "P": "poise",
             "St": "stokes", "t": "metric_ton", "d": "day", "L": "liter", "l": "liter",
             "hp": "horsepower", "°": "degree", "Hz": "turn/s", "lm": "", "lx": "", "°C": "degC",
             "°F": "degF", "var": "", "Nm": "N*m", "rev": "turn", "BTU": "Btu"}  # fmt: skip
    for name in (*_PLAIN, *_SCALED):
        if not (theirs := other.get(name, name)):
            continue
        ours, quantity = find(name), registry.Quantity(1.0, theirs).to_base_units()
        turn = 2 * math.pi if "turn" in dict(ours.dimension) else 1.0
        assert float(ours.factor + ours.offset) * turn == pytest.approx(quantity.magnitude, 1e-6)


def test_without_pint_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['pint'] = None\n"
        "from gemel.errors import Invalid\nfrom gemel.units import check\n"
        "try: check('furlong', 'here')\nexcept Invalid as told: sys.stdout.write(told.mend)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'gemel[units]'" in told.stdout
