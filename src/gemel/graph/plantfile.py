"""The plant file: what there is, how it hangs together, what may be done.

Owns    reading `plant.toml` text into frozen definitions, with errors that name the place.
Never   opens a file or imports a kernel: it is handed text and gives names.
"""

import re
import tomllib
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from gemel.clock import parse_duration, parse_instant
from gemel.errors import Invalid
from gemel.units import check

_TABLES = ("interface",)
_LISTS = ("twin", "binding", "source", "policy", "trigger")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Telemetry:
    """A declared stream: unit and the limits the quality stage judges by."""

    name: str
    unit: str
    low: float = float("-inf")
    high: float = float("inf")
    rate: float = float("inf")  # largest credible change, per second
    stuck: float = float("inf")  # seconds unchanged before it is doubted
    every: float = float("inf")  # seconds between two samples, as a rule
    gap: float = 3.0  # periods without a sample before it is silent
    drift: float = float("inf")  # largest credible slope over days, units per day


@dataclass(frozen=True)
class Consistent:
    """Signals that measure the same: paths from a twin, differing by `within` at most.

    age: seconds for which a reading may be compared with later ones
    """

    signals: tuple[str, ...]
    within: float
    age: float


@dataclass(frozen=True)
class Command:
    """A declared operation: its argument's range, what the twin assumes, how it is confirmed."""

    name: str
    unit: str
    low: float
    high: float
    input: str
    how: str
    signal: str
    confirm: str
    tolerance: float
    within: float
    at: str = ""


@dataclass(frozen=True)
class Interface:
    """The type of a twin."""

    name: str
    id: str
    telemetry: dict[str, Telemetry]
    properties: dict[str, dict[str, Any]]
    commands: dict[str, Command]
    relationships: dict[str, str]
    consistent: tuple[Consistent, ...] = ()


@dataclass(frozen=True)
class Twin:
    """The record of one asset."""

    id: str
    interface: str
    properties: dict[str, Any] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Binding:
    """Which kernel speaks for which twins, and where its ports read."""

    name: str
    kernel: str
    interface: str
    every: float
    ports: dict[str, str]
    foresee_every: float
    foresee_since: int
    horizon: float
    paths: int
    parameters: str
    false_alarms: float
    keep: float


@dataclass(frozen=True)
class SourceSpec:
    """One outside stream: kind and its options.

    clock_skew: seconds that its clock may be off, None = as the plant says
    signals: what it may send, None = whatever is declared
    """

    name: str
    kind: str
    options: dict[str, Any] = field(repr=False)  # a url may hold a password
    clock_skew: float | None = None
    signals: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Policy:
    """When to propose what."""

    name: str
    binding: str
    on: str
    before: str
    chance: float
    options: list[tuple[str, list[float]]]
    expires: float


@dataclass(frozen=True)
class Trigger:
    """A declared condition that starts a run and does nothing else."""

    name: str
    run: str
    on: str  # "timer" or a finding's kind
    every: float
    options: dict[str, Any]


@dataclass(frozen=True)
class Keeping:
    """How long history is kept, s: telemetry as it came, the roll-up of each width, the journal."""

    retention: float = float("inf")
    rollup: dict[float, float] = field(default_factory=dict)  # width → retention, s
    journal: float = float("inf")


@dataclass(frozen=True)
class Listening:
    """Where the API answers, by which names beside its addresses, and the files of its TLS."""

    address: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    certificate: str = ""
    private_key: str = ""

    @property
    def alone(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.address).is_loopback


@dataclass(frozen=True)
class PlantFile:
    """Everything a plant file says."""

    name: str
    seed: int
    lateness: float
    rerun: float
    skew: float
    clock: dict[str, Any]
    interfaces: dict[str, Interface]
    twins: dict[str, Twin]
    bindings: dict[str, Binding]
    sources: dict[str, SourceSpec]
    policies: list[Policy]
    triggers: list[Trigger]
    value: dict[str, Any]
    clock_skew: float = float("inf")
    history: Keeping = field(default_factory=Keeping)
    journal: dict[str, Any] = field(default_factory=dict)  # kind, and how it is reached
    server: Listening = field(default_factory=Listening)


def parse(text: str, where: str = "plant.toml") -> dict[str, Any]:
    """Plant file text → its tables as written."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(
            "plant.syntax", f"it is not TOML: {error}", where=where, mend="mend that line"
        ) from None
    _refuse_unknown(
        raw, {"include", "plant", "value", "history", "journal", "server", *_TABLES, *_LISTS}, where
    )
    return raw


def join(own: dict[str, Any], included: list[dict[str, Any]]) -> dict[str, Any]:
    """One plant out of several: own [plant], everybody's interfaces, twins, bindings and the rest.

    What two files name alike, the including one says.
    """
    joined = {**own, "value": dict(own.get("value", {}))}
    for other in included:
        for table in _TABLES:
            joined[table] = {**other.get(table, {}), **joined.get(table, {})}
        for table in _LISTS:
            mine = joined.get(table, [])
            names = {_name(item) for item in mine}
            joined[table] = [*mine, *(i for i in other.get(table, []) if _name(i) not in names)]
        joined["value"] = {**other.get("value", {}), **joined["value"]}
    return joined


def _name(item: dict[str, Any]) -> Any:
    return item.get("name", item.get("id"))


def read_plant(raw: dict[str, Any], where: str = "plant.toml") -> PlantFile:
    """Tables of a plant file → definitions. Raises `plant.*` naming the table at fault."""
    plant = _need(raw, "plant", where)
    allowed = {"name", "seed", "lateness", "rerun", "skew", "clock_skew", "clock"}
    _refuse_unknown(plant, allowed, f"{where} [plant]")
    interfaces = {
        name: _interface(name, body, f"{where} [interface.{name}]")
        for name, body in raw.get("interface", {}).items()
    }
    twins = _twins(raw.get("twin", []), interfaces, where)
    bindings = {
        b["name"]: _binding(b, interfaces, f"{where} [[binding]] {b.get('name', '')}")
        for b in raw.get("binding", [])
    }
    clock = dict(plant.get("clock", {"kind": "wall"}))
    if clock.get("kind") not in ("wall", "paced", "data"):
        raise Invalid(
            "plant.clock",
            f"clock kind '{clock.get('kind')}' is not known",
            where=where,
            mend='write { kind = "wall" }, { kind = "paced", start = "…Z", speed = 600 } '
            'or { kind = "data" } to replay as fast as the machine can',
        )
    if "start" in clock:
        clock["start"] = parse_instant(clock["start"])
    return PlantFile(
        name=str(_need(plant, "name", f"{where} [plant]")),
        seed=int(plant.get("seed", 1)),
        lateness=parse_duration(plant.get("lateness", "0s")),
        rerun=parse_duration(plant.get("rerun", "0s")),
        skew=parse_duration(plant.get("skew", "5min")),
        clock=clock,
        interfaces=interfaces,
        twins=twins,
        bindings=bindings,
        sources={s["name"]: _source(s, where) for s in raw.get("source", [])},
        policies=[_policy(p, bindings, f"{where} [[policy]]") for p in raw.get("policy", [])],
        triggers=[_trigger(t, f"{where} [[trigger]]") for t in raw.get("trigger", [])],
        value=dict(raw.get("value", {})),
        clock_skew=parse_duration(plant.get("clock_skew", float("inf"))),
        history=_keeping(raw.get("history", {}), f"{where} [history]"),
        journal=dict(raw.get("journal", {})),
        server=_listening(raw.get("server", {}), f"{where} [server]"),
    )


def _listening(raw: dict[str, Any], where: str) -> Listening:
    _refuse_unknown(raw, {"listen", "names", "certificate", "private_key"}, where)
    names = raw.get("names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Invalid(
            "plant.listen",
            "names is not a list of names",
            where=where,
            mend='write names = ["hall.example.com"]',
        )
    told = Listening(
        str(raw.get("listen", Listening.address)),
        tuple(name.lower() for name in names),
        str(raw.get("certificate", "")),
        str(raw.get("private_key", "")),
    )
    try:
        open_ = not told.alone and not told.certificate
    except ValueError:
        raise Invalid(
            "plant.listen",
            f"'{told.address}' is not an address of this machine",
            where=where,
            mend='write listen = "0.0.0.0" for all of them, or one; names go into names = [...]',
        ) from None
    if open_:
        raise Invalid(
            "plant.open_wire",
            f"others reach {told.address}, and what they send could be read on the way",
            where=where,
            mend='add certificate = "gemel.pem" and private_key = "gemel.key", or listen on '
            "127.0.0.1 and come through an SSH tunnel",
        )
    return told


def _keeping(raw: dict[str, Any], where: str) -> Keeping:
    _refuse_unknown(raw, {"retention", "rollup", "keep", "journal"}, where)
    keep = {parse_duration(k): parse_duration(v) for k, v in raw.get("keep", {}).items()}
    widths = [parse_duration(width) for width in raw.get("rollup", [])]
    retention = parse_duration(raw.get("retention", float("inf")))
    day = 86_400.0
    if any(w < 1 or w % 1 or (w % day and day % w) for w in widths):
        raise Invalid(
            "plant.rollup",
            "a roll-up's width is whole seconds that divide a day, or whole days",
            where=where,
            mend='write rollup = ["1min", "1h"]',
        )
    if set(keep) - set(widths) or (retention < float("inf") and not widths):
        raise Invalid(
            "plant.retention",
            "telemetry is dropped only where a roll-up stays, and keep names a declared one",
            where=where,
            mend='add rollup = ["1h"]',
        )
    journal = parse_duration(raw.get("journal", float("inf")))
    return Keeping(retention, {width: keep.get(width, float("inf")) for width in widths}, journal)


def _interface(name: str, raw: dict[str, Any], where: str) -> Interface:
    allowed = {"id", "telemetry", "properties", "commands", "relationships", "consistent"}
    _refuse_unknown(raw, allowed, where)
    telemetry = {
        signal: _telemetry(signal, body, f"{where} telemetry.{signal}")
        for signal, body in raw.get("telemetry", {}).items()
    }
    commands = {
        command: _command(command, body, f"{where} commands.{command}")
        for command, body in raw.get("commands", {}).items()
    }
    dtmi = raw.get("id", f"dtmi:gemel:{name};1")
    return Interface(
        name,
        dtmi,
        telemetry,
        raw.get("properties", {}),
        commands,
        raw.get("relationships", {}),
        tuple(_consistent(body, where) for body in raw.get("consistent", [])),
    )


def _telemetry(name: str, raw: dict[str, Any], where: str) -> Telemetry:
    allowed = {"unit", "range", "rate", "stuck", "every", "gap", "drift"}
    _refuse_unknown(raw, allowed, where)
    low, high = raw.get("range", (float("-inf"), float("inf")))
    return Telemetry(
        name,
        _unit(_need(raw, "unit", where), where),
        float(low),
        float(high),
        float(raw.get("rate", float("inf"))),
        parse_duration(raw.get("stuck", float("inf"))),
        parse_duration(raw.get("every", float("inf"))),
        float(raw.get("gap", 3.0)),
        float(raw.get("drift", float("inf"))),
    )


def _consistent(raw: dict[str, Any], where: str) -> Consistent:
    place = f"{where} consistent"
    _refuse_unknown(raw, {"signals", "within", "age"}, place)
    signals = tuple(_need(raw, "signals", place))
    if len(set(signals)) < 2 or len(set(signals)) < len(signals):
        raise Invalid(
            "plant.consistent",
            "two different signals at least can be consistent",
            where=place,
            mend='write { signals = ["t1", "t2"], within = 5.0 }',
        )
    within = float(_need(raw, "within", place))
    return Consistent(signals, within, parse_duration(raw.get("age", "1min")))


def _command(name: str, raw: dict[str, Any], where: str) -> Command:
    _refuse_unknown(raw, {"argument", "acts_on", "confirm", "at"}, where)
    argument, acts_on = _need(raw, "argument", where), _need(raw, "acts_on", where)
    confirm = _need(raw, "confirm", where)
    low, high = _need(argument, "range", where)
    if acts_on.get("how") not in ("set", "cap"):
        raise Invalid(
            "plant.acts_on", f"how = '{acts_on.get('how')}'", where=where, mend="write set or cap"
        )
    if confirm.get("how") not in ("near", "below", "above"):
        raise Invalid(
            "plant.confirm",
            f"how = '{confirm.get('how')}'",
            where=where,
            mend="write near, below or above",
        )
    return Command(
        name,
        _unit(_need(argument, "unit", where), where),
        float(low),
        float(high),
        _need(acts_on, "input", where),
        acts_on["how"],
        _need(confirm, "signal", where),
        confirm["how"],
        float(confirm.get("tolerance", 0.0)),
        parse_duration(confirm.get("within", "10min")),
        raw.get("at", ""),
    )


def _twins(raw: list[dict[str, Any]], interfaces: Any, where: str) -> dict[str, Twin]:
    twins: dict[str, Twin] = {}
    for body in raw:
        place = f"{where} [[twin]] {body.get('id', '')}"
        _refuse_unknown(body, {"id", "interface", "properties", "links"}, place)
        twin = Twin(
            str(_need(body, "id", place)),
            _need(body, "interface", place),
            body.get("properties", {}),
            body.get("links", {}),
        )
        if not _ID.fullmatch(twin.id):
            raise Invalid(
                "plant.twin_id",
                f"'{twin.id}' is not a twin's id",
                where=place,
                mend="use letters, digits, dot, dash, underscore; up to 64",
            )
        if twin.interface not in interfaces:
            raise _missing("interface", twin.interface, interfaces, place)
        if twin.id in twins:
            raise Invalid(
                "plant.twice", f"twin '{twin.id}' stands twice", where=place, mend="remove one"
            )
        twins[twin.id] = twin
    for twin in twins.values():
        for target in twin.links.values():
            if target not in twins:
                raise _missing("twin", target, twins, f"{where} [[twin]] {twin.id} links")
    return twins


def _binding(raw: dict[str, Any], interfaces: Any, where: str) -> Binding:
    allowed = {"name", "kernel", "interface", "every", "ports", "foresee", "parameters"}
    _refuse_unknown(raw, allowed | {"false_alarms", "keep"}, where)
    foresee = raw.get("foresee", {})
    interface = _need(raw, "interface", where)
    if interface not in interfaces:
        raise _missing("interface", interface, interfaces, where)
    return Binding(
        raw["name"],
        _need(raw, "kernel", where),
        interface,
        parse_duration(_need(raw, "every", where)),
        raw.get("ports", {}),
        parse_duration(foresee.get("every", "0s")),
        parse_instant(foresee["since"]) if "since" in foresee else 0,
        parse_duration(foresee.get("horizon", "14d")),
        int(foresee.get("paths", 200)),
        raw.get("parameters", ""),
        float(raw.get("false_alarms", 1e-4)),
        parse_duration(raw.get("keep", "0s")),
    )


def _source(raw: dict[str, Any], where: str) -> SourceSpec:
    place = f"{where} [[source]] {raw.get('name', '')}"
    own = {"name", "kind", "clock_skew"}
    if "path" not in raw:
        own.add("signals")  # of a file they are also what is read of it
    skew = parse_duration(raw["clock_skew"]) if "clock_skew" in raw else None
    return SourceSpec(
        str(_need(raw, "name", place)),
        _need(raw, "kind", place),
        {key: value for key, value in raw.items() if key not in own},
        skew,
        _signals(raw["signals"], place) if "signals" in raw else None,
    )


def _signals(raw: Any, where: str) -> tuple[str, ...]:
    if not isinstance(raw, list) or not raw or not all(isinstance(name, str) for name in raw):
        raise Invalid(
            "plant.signals",
            "signals is not a list of names",
            where=where,
            mend='write signals = ["speed", "load"]',
        )
    return tuple(raw)


def _policy(raw: dict[str, Any], bindings: Any, where: str) -> Policy:
    allowed = {"name", "binding", "on", "before", "chance", "options", "expires"}
    _refuse_unknown(raw, allowed, where)
    binding = _need(raw, "binding", where)
    if binding not in bindings:
        raise _missing("binding", binding, bindings, where)
    options = [(o["command"], [float(a) for a in o["arguments"]]) for o in raw.get("options", [])]
    return Policy(
        _need(raw, "name", where),
        binding,
        raw.get("on", "limit_foreseen"),
        str(raw.get("before", "next_service")),
        float(raw.get("chance", 0.1)),
        options,
        parse_duration(raw.get("expires", "24h")),
    )


def _trigger(raw: dict[str, Any], where: str) -> Trigger:
    options = {k: v for k, v in raw.items() if k not in ("name", "run", "on", "every")}
    every = parse_duration(raw.get("every", "0s"))
    if raw["on"] == "timer" and every < 1.0:
        raise Invalid(
            "plant.timer",
            "a timer needs every = a duration of a second or more",
            where=where,
            mend='add every = "24h"',
        )
    return Trigger(_need(raw, "name", where), _need(raw, "run", where), raw["on"], every, options)


def _need(raw: dict[str, Any], key: str, where: str) -> Any:
    if key not in raw:
        raise Invalid("plant.missing", f"'{key}' is missing", where=where, mend=f"add {key} = …")
    return raw[key]


def _refuse_unknown(raw: dict[str, Any], allowed: set[str], where: str) -> None:
    odd = sorted(set(raw) - allowed)
    if odd:
        raise Invalid(
            "plant.unknown_key",
            f"'{odd[0]}' is not known here",
            where=where,
            mend=f"known are: {', '.join(sorted(allowed))}",
        )


def _unit(unit: str, where: str) -> str:
    check(unit, where)
    return unit


def _missing(noun: str, name: str, there: Any, where: str) -> Invalid:
    return Invalid(
        "plant.not_declared",
        f"{noun} '{name}' is not declared",
        where=where,
        mend=f"declare it, or use one of: {', '.join(list(there)[:12]) or 'none'}",
    )
