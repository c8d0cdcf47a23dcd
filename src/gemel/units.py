"""Units: what a unit measures, and conversion at the edge.

Owns    the table of named units, units put together from them, and conversion.
Never   converts inside a kernel: a binding converts once, on the way in.

A unit is a product of powers of named ones: `kW h`, `K/s/kW`, `m3/h`, `kg m2 s^-3`, `W/(m2 K)`,
`MPa m^0.5`. A slash divides by the one factor behind it, the word `per` by all that follows. SI
prefixes p … T stand before the units of `_SCALED`.

An angle is a dimension of its own, counted in turns. So rpm, Hz and rad/s are of one kind, and 1/s,
the rate of a decay, is of another. Currencies are, too: no table knows their rates.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel.errors import Invalid

# What each is in units above it: "factor unit". A factor is kept as a fraction, so 1 Hz is 60 rpm.
# One without a definition is a base unit.
_SCALED = {
    "m": "", "s": "", "A": "", "K": "", "mol": "", "cd": "", "EUR": "", "USD": "", "g": "1/1000 kg",
    "N": "1 kg m/s2", "Nm": "1 N m", "Pa": "1 N/m2", "J": "1 N m", "W": "1 J/s",
    "C": "1 A s", "V": "1 W/A", "ohm": "1 V/A", "Ohm": "1 ohm", "Ω": "1 ohm", "S": "1 A/V",
    "F": "1 C/V", "Wb": "1 V s", "T": "1 Wb/m2", "H": "1 Wb/A", "VA": "1 W", "var": "1 W",
    "Wh": "3600 J", "Ah": "3600 C", "L": "1/1000 m3", "l": "1 L", "bar": "100000 Pa",
    "P": "0.1 Pa s", "St": "0.0001 m2/s", "Hz": "1 turn/s", "rad": f"{0.5 / np.pi!r} turn",
    "cal": "4.184 J", "eV": "1.602176634e-19 J", "lm": "1 cd", "lx": "1 lm/m2",
}  # fmt: skip
_PLAIN = {
    "kg": "", "turn": "", "rev": "1 turn", "rpm": "1/60 turn/s", "deg": "1/360 turn", "°": "1 deg",
    "degC": "1 K", "°C": "1 K", "degF": "5/9 K", "°F": "5/9 K", "%": "1/100", "ppm": "1/1000000",
    "min": "60 s", "h": "3600 s", "d": "86400 s", "t": "1000 kg", "psi": "6894.757293168 Pa",
    "atm": "101325 Pa", "mmHg": "133.322387415 Pa", "hp": "745.69987158227 W", "inch": "0.0254 m",
    "ft": "0.3048 m", "lb": "0.45359237 kg", "gal": "3.785411784 L", "BTU": "1055.05585262 J",
    "gn": "9.80665 m/s2",
}  # fmt: skip
_PREFIXES = {
    "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "c": -2, "d": -1,
    "h": 2, "k": 3, "M": 6, "G": 9, "T": 12,
}  # fmt: skip
_USUAL = (
    "1,%,K,degC,degF,rpm,Hz,rad/s,W,kW,MW,N m,kN m,Pa,kPa,bar,psi,m/s,mm/s,km/h,L/min,m3/h,L/s,"
    "s,min,h,d,deg,rad,m,mm,um,V,A,EUR,EUR/h,EUR/MWh"
).split(",")
_TOKEN = re.compile(
    r"(?P<name>[A-Za-z°µμΩ%_]+)(?:(?:\^|\*\*)?(?P<power>-?\d+(?:\.\d+)?))?"
    r"|(?P<sign>[/*·()]|1(?![\d.]))|\s+"
)
_SMALL = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_LONGEST = 64  # letters: a unit may come off a wire
ONE = Fraction(1)


@dataclass(frozen=True)
class Unit:
    """base = factor · value + offset; dimension: base unit → power, none of them 0."""

    dimension: frozenset[tuple[str, Fraction]] = frozenset()
    factor: Fraction = ONE
    offset: Fraction = Fraction(0)

    def times(self, other: "Unit", power: Fraction = ONE) -> "Unit":
        """self · otherᵖ, where offsets have no meaning any more."""
        powers = dict(self.dimension)
        for base, its in other.dimension:
            powers[base] = powers.get(base, Fraction(0)) + its * power
        left = frozenset((base, its) for base, its in powers.items() if its)
        return Unit(left, self.factor * Fraction(other.factor**power))


class _Strange(ValueError):
    """What cannot be read: a `name` that is not known, or '' where no name was to be."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.name = name


def find(unit: str) -> Unit | None:
    """What a unit measures, or None for one that is not known.

    >>> find("kW h") == find("MJ"), find("kW h").factor == 3_600_000, find("rpm2 per foo")
    (False, True, None)
    """
    try:
        return _find(unit)
    except _Strange:
        return None


def known(unit: str) -> bool:
    """Whether a unit is so usual that the last word of a column's name may be one.

    Any unit that `find` knows may be declared; but `T2` at the end of a name is no square tesla.
    """
    return unit in _USUAL


def check(unit: str, where: str) -> None:
    """Raise `unit.unknown`, saying `where`, for a unit that neither the table nor pint knows.

    A name that pint knows is remembered from here on, so that what is declared can be converted.
    """
    try:
        _find(unit)
    except _Strange as strange:
        if strange.name and _learn(strange.name):
            return check(unit, where)
        near = _alike(strange.name)
        mend = f"near it are: {', '.join(near)}" if near else "write it in SI, as K/s/kW or m3/h"
        raise Invalid(
            "unit.unknown",
            f"'{unit}' is not a unit I know",
            where=where,
            mend=f'{mend}; "1" is a plain number'
            + ("" if _registry() else "; pint knows more: pip install 'gemel[units]'"),
        ) from None


def same_dimension(source: str, target: str) -> bool:
    """Whether a value in `source` can be written in `target`."""
    if source == target:
        return True
    one, other = find(source), find(target)
    return one is not None and other is not None and one.dimension == other.dimension


def convert(value: NDArray[np.float64], source: str, target: str) -> NDArray[np.float64]:
    """Values in `source` units, in `target` units: (f_s v + o_s − o_t) / f_t.

    Raises `unit.mismatch` when the two do not measure the same thing.

    Water boils at 100 °C, and a fan at 25 Hz turns 1500 times a minute:

    >>> convert(np.array([212.0]), "degF", "degC").round(6), convert(np.array([25.0]), "Hz", "rpm")
    (array([100.]), array([1500.]))
    """
    if source == target:
        return value
    factor, offset = _change(source, target)
    return value * factor + offset


@lru_cache(1024)
def _change(source: str, target: str) -> tuple[float, float]:
    one, other = find(source), find(target)
    if one is None:
        raise Invalid(
            "unit.unknown",
            f"'{source}' is not a unit I know",
            mend=f"send '{target}' or a unit of its kind, or leave the unit out",
        )
    if other is None or one.dimension != other.dimension:
        raise Invalid(
            "unit.mismatch",
            f"'{source}' cannot be written in '{target}'",
            mend=f"send a unit of the same kind as '{target}', or leave the unit out",
        )
    offset = (one.offset - other.offset) / other.factor
    return float(one.factor / other.factor), float(offset)


# --- reading -------------------------------------------------------------------------------------


@lru_cache(1024)
def _find(unit: str) -> Unit:
    unit = str(unit).strip().translate(_SMALL)
    if alone := _ALONE.get(unit):
        return alone
    if len(unit) > _LONGEST:
        raise _Strange
    total = Unit()
    for place, part in enumerate(re.split(r"\s+per\s+", unit)):
        tokens = _tokens(part)
        total = total.times(_product(tokens), Fraction(-1 if place else 1))
        if tokens:
            raise _Strange
    return total


def _tokens(text: str) -> list[re.Match[str]]:
    found, at = [], 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise _Strange
        if token["name"] or token["sign"]:
            found.append(token)
        at = token.end()
    return found


def _product(tokens: list[re.Match[str]]) -> Unit:
    """factor { factor | "*" factor | "/" factor }, to the end or a closing parenthesis."""
    total = _factor(tokens)
    while tokens and (sign := tokens[0]["sign"]) != ")":
        if sign and sign in "/*·":
            tokens.pop(0)
        total = total.times(_factor(tokens), Fraction(-1 if sign == "/" else 1))
    return total


def _factor(tokens: list[re.Match[str]]) -> Unit:
    """1 | name, with its power | "(" product ")"."""
    token = tokens.pop(0) if tokens else None
    if token is None or token["sign"] not in (None, "1", "("):
        raise _Strange
    if token["sign"] == "(":
        inner = _product(tokens)
        if not tokens:
            raise _Strange
        tokens.pop(0)
        return inner
    return Unit() if token["sign"] else _named(token["name"], token["power"] or "1")


def _named(name: str, power: str) -> Unit:
    if name in _PLAIN or name in _SCALED:
        unit = _defined(name)
    elif name[0] in _PREFIXES and name[1:] in _SCALED:
        scale = Unit(factor=Fraction(10) ** _PREFIXES[name[0]])
        unit = scale.times(_defined(name[1:]))
    elif name in _ALONE:
        unit = _ALONE[name]
    else:
        raise _Strange(name)
    return Unit().times(unit, _power(power))


def _power(text: str) -> Fraction:
    power = Fraction(text)
    if not 0 < abs(power) <= 9:
        raise _Strange
    return power


@cache
def _defined(name: str) -> Unit:
    number, _, rest = (_PLAIN.get(name) or _SCALED.get(name, "")).partition(" ")
    if not number:
        return Unit(frozenset({(name, ONE)}))
    return Unit(factor=Fraction(number)).times(_find(rest or "1"))


def _alike(name: str) -> list[str]:
    """Units whose names look like a name, whatever its case."""
    shown = {unit.lower(): unit for unit in (*_PLAIN, *_SCALED, *_USUAL)}
    return [shown[low] for low in get_close_matches(name.lower(), shown, n=3, cutoff=0.6)]


def _above(zero: str, degree: str = "1") -> Unit:
    """A scale of temperature: its zero in K, its degree in K."""
    return Unit(frozenset({("K", ONE)}), Fraction(degree), Fraction(zero) * Fraction(degree))


# What a name means when it stands alone: in a compound a degree is a difference, without a zero.
_ALONE = {
    "degC": _above("273.15"), "°C": _above("273.15"),
    "degF": _above("459.67", "5/9"), "°F": _above("459.67", "5/9"),
}  # fmt: skip

# --- pint ----------------------------------------------------------------------------------------

_BASES = {
    "meter": "m", "kilogram": "kg", "second": "s", "ampere": "A", "kelvin": "K", "mole": "mol",
    "candela": "cd", "radian": "rad",
}  # fmt: skip


def _learn(name: str) -> bool:
    """Take over one name from pint, where that is installed and knows it."""
    registry = _registry()
    if registry is None:
        return False
    try:
        zero, one, two = (registry.Quantity(v, name).to_base_units() for v in (0.0, 1.0, 2.0))
    except Exception:  # an unknown name and one that cannot be converted raise all kinds
        return False
    factor, offset = one.magnitude - zero.magnitude, zero.magnitude
    if abs(two.magnitude - one.magnitude - factor) > 1e-9 * abs(factor):
        return False  # a logarithmic one: dB has no factor
    unit = Unit(factor=Fraction(factor))
    for base, power in one.unit_items():
        named = Unit(frozenset({(base, ONE)}))
        known_as = _find(_BASES[base]) if base in _BASES else named
        unit = unit.times(known_as, Fraction(power).limit_denominator(1000))
    _ALONE[name] = Unit(unit.dimension, unit.factor, Fraction(offset))
    return True


@cache
def _registry() -> Any:
    """pint's units, None when it is not installed."""
    try:
        return import_module("pint").UnitRegistry()
    except ModuleNotFoundError:
        return None
