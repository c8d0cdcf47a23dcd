"""Other people's messages → samples, by configuration: topic and JSON path → twin, signal, unit.

Owns    a source's `map`: its topics, its paths, and what becomes of a message that fits none.
Never   evaluates anything: a path is names and numbers, a template is text with names in braces.

    map = [{ topic = "plant/{area}/{twin}/+", time = "ts", time_unit = "ms",
             values = { speed = "payload.rpm", load = "payload.power[0].kw" },
             unit = { speed = "rpm" }, scale = { load = 0.001 } }]

topic   levels; {name} is one and named, + is any one, # is all that follow. Default: every topic
twin    a template of the topic's names and of {paths}: "{area}-{twin}", "{payload.device}"
time    path; ISO 8601 with a zone, or a number of `time_unit` (s ms us ns). Default: when it came
values  signal → path; or the path of an object, whose numbers are signals by their keys
signal, value    instead of values: a template and a path, for a message of one sample
unit, scale, offset    signal → unit, factor, number; or one for all. value = scale · read + offset

A path is names with dots, [n] and ["a.b"]; one [*] stands for every element, and gives a sample for
each. Text that is a number is one; true and false are 1 and 0.
"""

import math
import re
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from typing import Any

from gemel.clock import parse_instant
from gemel.connect.decoded import Decoded, Letters, check_twin
from gemel.connect.objects import Row, as_bytes, leaves, parse, sample
from gemel.errors import Invalid
from gemel.records import Batch
from gemel.units import check

KEYS = (
    "topic",
    "twin",
    "time",
    "time_unit",
    "values",
    "signal",
    "value",
    "unit",
    "scale",
    "offset",
)
STEPS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
SHOWN = 12  # paths that an error names
_STEP = re.compile(r'\.?([^.\[\]"{}]+)|\[(\d{1,6}|\*)\]|\["([^"]+)"\]')
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACES = re.compile(r"\{([^{}]*)\}")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
EVERY = -1  # the step [*]


class _Absent:
    """What a path finds where there is nothing."""


ABSENT = _Absent()


@dataclass(frozen=True)
class Path:
    """A way into a JSON document.

    >>> Path.read('a.b[1]["c.d"]').of({"a": {"b": [0, {"c.d": 7}]}})
    7
    """

    text: str
    steps: tuple[str | int, ...]

    @staticmethod
    def read(text: object, where: str = "") -> "Path":
        """A path as written; "$" is the whole document. Raises `map.path`."""
        steps: list[str | int] = []
        rest = text.removeprefix("$") if isinstance(text, str) else ""
        while rest:
            found = _STEP.match(rest)
            if found is None or (rest[0] == "." and rest == text):
                break
            name, index, quoted = found.groups()
            if index is None:
                steps.append(name if quoted is None else quoted)
            else:
                steps.append(EVERY if index == "*" else int(index))
            rest = rest[found.end() :]
        if rest or not isinstance(text, str) or not text or steps.count(EVERY) > 1:
            raise Invalid(
                "map.path",
                f"{text!r} is not a path",
                where=where,
                mend='write names with dots: payload.rpm, rows[0].v, rows[*].v, a["b.c"], or $',
            )
        return Path(text, tuple(steps))

    def of(self, item: Any) -> Any:
        """What stands there, ABSENT where nothing does."""
        for step in self.steps:
            if isinstance(step, str):
                if not isinstance(item, dict) or step not in item:
                    return ABSENT
                item = item[step]
            elif not isinstance(item, list) or not 0 <= step < len(item):
                return ABSENT
            else:
                item = item[step]
        return item

    def split(self) -> "tuple[Path | None, Path]":
        """The list that [*] goes through, and the way on from each of its elements."""
        if EVERY not in self.steps:
            return None, self
        cut = self.steps.index(EVERY)
        return Path(self.text, self.steps[:cut]), Path(self.text, self.steps[cut + 1 :])


@dataclass(frozen=True)
class Text:
    """A template: "{area}-{payload.device}". Names are the topic's; others are paths."""

    text: str
    parts: tuple[str | Path, ...]  # a str at even places, a Path at odd ones

    @staticmethod
    def read(text: object, where: str) -> "Text":
        if not isinstance(text, str) or not text:
            raise Invalid(
                "map.template", f"{text!r} is not a text", where=where, mend='write "{area}-{twin}"'
            )
        parts: list[str | Path] = list(_BRACES.split(text))
        for k in range(1, len(parts), 2):
            parts[k] = Path.read(parts[k], where)
        return Text(text, tuple(parts))

    def of(self, names: Table[str, str], find: Callable[[Path], Any]) -> str:
        """The text for one message; "" where a part of it is missing."""
        told = ""
        for part in self.parts:
            if isinstance(part, str):
                told += part
                continue
            found = names[part.text] if part.text in names else find(part)
            if not isinstance(found, str | int) or isinstance(found, bool):
                return ""
            told += str(found)
        return told


@dataclass(frozen=True)
class Rule:
    """One table of a `map`, read."""

    where: str
    topic: tuple[str, ...]
    twin: Text
    time: Path | None
    step: int
    values: tuple[tuple[Text, Path], ...]
    whole: Path | None
    units: Table[str, Text]
    scale: Table[str, float]
    offset: Table[str, float]
    each: Path | None

    def match(self, topic: str) -> dict[str, str] | None:
        """The topic's names, None when the topic is another's."""
        levels = topic.split("/")
        names: dict[str, str] = {}
        for k, wanted in enumerate(self.topic):
            if wanted == "#":
                return names
            if k >= len(levels):
                return None
            if wanted.startswith("{"):
                names[wanted[1:-1]] = levels[k]
            elif wanted not in ("+", levels[k]):
                return None
        return names if len(levels) == len(self.topic) else None


@dataclass(frozen=True)
class Mapped:
    """What a message became. rule: its number in the map, −1 none · unmapped: paths not used."""

    decoded: Decoded
    rule: int
    unmapped: list[str] = field(default_factory=list)


class Mapping:
    """The `map` of one source.

    >>> rule = {"topic": "plant/{twin}", "values": {"speed": "rpm"}, "scale": 0.5}
    >>> told = Mapping([rule]).decode("plant/st1", b'{"rpm": 3000}', received_at=7, source="hall")
    >>> told.batch.twin.tolist(), told.batch.instant.tolist(), told.batch.value.tolist()
    (['st1'], [7], [1500.0])
    """

    def __init__(self, tables: object, where: str = "map") -> None:
        if not isinstance(tables, list) or not tables:
            raise Invalid(
                "map.key",
                "a map is a list of tables",
                where=where,
                mend='write map = [{ topic = "plant/{twin}", values = { speed = "rpm" } }]',
            )
        self.rules = [_rule(table, f"{where}[{k}]") for k, table in enumerate(tables)]

    def decode(
        self, topic: str, payload: bytes, *, twin: str | None = None, received_at: int, source: str
    ) -> Decoded:
        """Samples of one message by the first rule whose topic fits; the rule names the twin."""
        return self.explain(topic, payload, received_at=received_at, source=source).decoded

    def explain(self, topic: str, payload: bytes, *, received_at: int, source: str) -> Mapped:
        """The same, with the rule that was used, and which paths no rule asked for."""
        letters = Letters(source, received_at)
        rows: list[Row] = []
        number, unmapped = -1, []
        try:
            number, names = self._rule_of(topic)
            item = parse(payload)
            rows = _Message(self.rules[number], names, letters).read(item)
            unmapped = _unasked(item, self.rules[number])
        except Invalid as error:
            letters.bury(payload, error)
        return Mapped(letters.decoded(Batch.of(rows)), number, unmapped)

    def _rule_of(self, topic: str) -> tuple[int, dict[str, str]]:
        for k, rule in enumerate(self.rules):
            names = rule.match(topic)
            if names is not None:
                return k, names
        wanted = ", ".join("/".join(rule.topic) for rule in self.rules[:SHOWN])
        raise Invalid(
            "map.topic_unknown",
            f"no rule of the map has the topic '{topic[:120]}'",
            mend=f"add one, or mend its pattern; there are: {wanted}",
        )


class _Message:
    """One message by one rule."""

    def __init__(self, rule: Rule, names: dict[str, str], letters: Letters) -> None:
        self.rule, self.names, self.letters = rule, names, letters
        self.rows: list[Row] = []

    def read(self, item: Any) -> list[Row]:
        """Every sample; a dead letter for each that cannot be read, one when there is none."""
        rule = self.rule
        elements = [item] if rule.each is None else rule.each.of(item)
        if not isinstance(elements, list):
            raise _nothing(rule, item)
        found = 0
        for element in elements:
            found += self._element(item, element)
        if not found:
            raise _nothing(rule, item)
        return self.rows

    def _element(self, item: Any, element: Any) -> int:
        """One element of the list that [*] goes through, or the whole message."""
        pairs = self._pairs(item, element)
        if not pairs:
            return 0
        try:
            self.letters.take(len(pairs))
            twin = check_twin(self._text(self.rule.twin, item, element))
            instant = self._instant(item, element)
        except Invalid as error:
            self.letters.bury(as_bytes(element), error, len(pairs))
            return len(pairs)
        for signal, value in pairs:
            try:
                self._sample(twin, instant, signal, value, item, element)
            except Invalid as error:
                named = {"twin": twin, "signal": signal, "value": value}
                self.letters.bury(as_bytes(named), error)
        return len(pairs)

    def _pairs(self, item: Any, element: Any) -> list[tuple[str, Any]]:
        """(signal, what is read) of everything that is there."""
        if self.rule.whole is not None:
            held = self._at(self.rule.whole, item, element)
            return _numbers(held) if isinstance(held, dict) else []
        pairs = []
        for signal, path in self.rule.values:
            value = self._at(path, item, element)
            if value is not ABSENT:
                pairs.append((self._text(signal, item, element), value))
        return pairs

    def _at(self, path: Path, item: Any, element: Any) -> Any:
        each, rest = path.split()
        return path.of(item) if each is None else rest.of(element)

    def _text(self, text: Text, item: Any, element: Any) -> str:
        return text.of(self.names, lambda path: self._at(path, item, element))

    def _instant(self, item: Any, element: Any) -> int:
        rule = self.rule
        if rule.time is None:
            return self.letters.received_at
        told = self._at(rule.time, item, element)
        if isinstance(told, str) and told.isprintable() and not (rule.step and _is_number(told)):
            return parse_instant(told)
        told = float(told) if isinstance(told, str) and _is_number(told) else told
        if isinstance(told, int | float) and not isinstance(told, bool) and rule.step:
            instant = told * rule.step
            if abs(instant) < 2**62:
                return round(instant)
        raise Invalid(
            "time.unreadable",
            f"there is no instant at '{rule.time.text}'"
            if told is ABSENT
            else f"{as_bytes(told)[:40].decode()} at '{rule.time.text}' is not an instant",
            mend='map it by time = PATH, and say time_unit = "s", "ms", "us" or "ns" of a number',
        )

    def _sample(
        self, twin: str, instant: int, signal: str, value: Any, item: Any, element: Any
    ) -> None:
        if isinstance(value, str) and len(value) < 400 and _is_number(value):
            value = float(value)
        elif isinstance(value, bool):
            value = int(value)
        unit = self.rule.units.get(signal, self.rule.units.get(""))
        word = "" if unit is None else self._text(unit, item, element)
        _, _, _, read, _ = sample(twin, signal, instant, value, word)
        scale = self.rule.scale.get(signal, self.rule.scale.get("", 1.0))
        offset = self.rule.offset.get(signal, self.rule.offset.get("", 0.0))
        self.rows.append((twin, signal, instant, read * scale + offset, word))


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _numbers(item: Any) -> list[tuple[str, Any]]:
    """(name, value) of every number in an object of objects."""
    return [
        (name, held)
        for name, held in leaves(item)
        if isinstance(held, bool | int | float) or (isinstance(held, str) and _is_number(held))
    ]


def _paths(item: Any, most: int = 200) -> list[str]:
    """Paths of what stands in a document, the first `most`."""
    found: list[str] = []
    open_ = [("", item)]
    while open_ and len(found) < most:
        name, held = open_.pop()
        if isinstance(held, dict) and held:
            below = [(_joined(name, key), value) for key, value in held.items()]
            open_ += reversed(below[:most])
        elif isinstance(held, list) and held:
            open_ += [(f"{name}[{k}]", held[k]) for k in reversed(range(min(len(held), most)))]
        else:
            found.append(name or "$")
    return found


def _joined(name: str, key: str) -> str:
    if _STEP.fullmatch(key) is None or key.startswith((".", "[")):
        return f'{name}["{key}"]'
    return f"{name}.{key}" if name else key


def _unasked(item: Any, rule: Rule) -> list[str]:
    """Paths of the message that the rule does not ask for."""
    asked = [path for _, path in rule.values]
    asked += [path for path in (rule.time, rule.whole) if path is not None]
    for text in (rule.twin, *rule.units.values(), *(text for text, _ in rule.values)):
        asked += [part for part in text.parts if isinstance(part, Path)]
    steps = [path.steps for path in asked]
    return [path for path in _paths(item) if not any(_under(path, s) for s in steps)]


def _under(path: str, steps: Sequence[str | int]) -> bool:
    try:
        own = Path.read(path).steps
    except Invalid:
        return False
    return len(own) >= len(steps) and all(
        mine == wanted or (wanted == EVERY and isinstance(mine, int))
        for mine, wanted in zip(own, steps, strict=False)
    )


def _nothing(rule: Rule, item: Any) -> Invalid:
    wanted = [path.text for _, path in rule.values] or [rule.whole.text if rule.whole else ""]
    there = ", ".join(_paths(item, SHOWN)) or "nothing"
    return Invalid(
        "map.nothing",
        f"none of the paths is in the message: {', '.join(wanted[:SHOWN])}",
        where=rule.where,
        mend=f"mend the paths; the message has: {there[:400]}",
    )


# ---- reading the configuration -----------------------------------------------------------------


def _rule(table: Any, where: str) -> Rule:
    if not isinstance(table, dict) or (odd := sorted(set(table) - set(KEYS))):
        raise Invalid(
            "map.key",
            f"'{odd[0]}' is not known here" if isinstance(table, dict) else "it is not a table",
            where=where,
            mend=f"known are: {', '.join(KEYS)}",
        )
    values, whole = _values(table, where)
    time = Path.read(table["time"], where) if "time" in table else None
    unit = table.get("time_unit", "")
    if unit not in ("", *STEPS):
        raise Invalid(
            "map.key", f"time_unit = {unit!r} is not known", where=where, mend="write s, ms, us, ns"
        )
    paths = [path for _, path in values] + [path for path in (time, whole) if path is not None]
    lists = {each.steps: each for each in (path.split()[0] for path in paths) if each is not None}
    if len(lists) > 1:
        raise Invalid(
            "map.path",
            "its paths go through two lists",
            where=where,
            mend="let every [*] stand behind the same names; write a rule for each list",
        )
    return Rule(
        where,
        _levels(table.get("topic", "#"), where),
        Text.read(table.get("twin", "{twin}"), where),
        time,
        STEPS.get(unit, 0),
        tuple(values),
        whole,
        _units(table.get("unit", {}), where),
        _factors(table, "scale", where),
        _factors(table, "offset", where),
        next(iter(lists.values()), None),
    )


def _values(table: dict[str, Any], where: str) -> tuple[list[tuple[Text, Path]], Path | None]:
    given = table.get("values")
    if isinstance(given, dict) and given and "value" not in table:
        plain = [(Text(name, (name,)), path) for name, path in given.items()]
        return [(name, Path.read(path, f"{where} {name.text}")) for name, path in plain], None
    if isinstance(given, str) and "value" not in table:
        return [], Path.read(given, where)
    if given is None and "value" in table and "signal" in table:
        signal = Text.read(table["signal"], where)
        return [(signal, Path.read(table["value"], where))], None
    raise Invalid(
        "map.values",
        "it does not say which numbers are which signals",
        where=where,
        mend='write values = { speed = "payload.rpm" }, values = "payload", '
        'or signal = "{signal}" with value = "$"',
    )


def _levels(topic: object, where: str) -> tuple[str, ...]:
    levels = tuple(topic.split("/")) if isinstance(topic, str) and topic else ()
    named = [level for level in levels if level[:1] == "{" and level[-1:] == "}"]
    names = [level[1:-1] for level in named]
    fine = all(_NAME.fullmatch(name) for name in names) and len(set(names)) == len(names)
    plain = [level for level in levels if level not in ("+", "#", *named)]
    if not levels or not fine or "#" in levels[:-1] or any(set("{}+#") & set(p) for p in plain):
        raise Invalid(
            "map.topic",
            f"{topic!r} is not a pattern of topics",
            where=where,
            mend="write levels with / between: plant/{area}/{twin}/+; a # only at the end",
        )
    return levels


def _units(given: object, where: str) -> dict[str, Text]:
    table = given if isinstance(given, dict) else {"": given}
    units = {str(name): Text.read(unit, f"{where} unit") for name, unit in table.items()}
    for text in units.values():
        if len(text.parts) == 1:
            check(text.text, f"{where} unit")
    return units


def _factors(table: dict[str, Any], key: str, where: str) -> dict[str, float]:
    given = table.get(key, {})
    factors = given if isinstance(given, dict) else {"": given}
    for name, factor in factors.items():
        number = isinstance(factor, int | float) and not isinstance(factor, bool)
        if not number or not math.isfinite(factor):
            raise Invalid(
                "map.key",
                f"{key} of '{name}' is not a number" if name else f"{key} is not a number",
                where=where,
                mend=f"write {key} = {{ load = 0.001 }}",
            )
    return {str(name): float(factor) for name, factor in factors.items()}
