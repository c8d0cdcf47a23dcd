"""Roll-ups: count, least, greatest and mean of each signal of each twin, per minute, hour …

Owns    the tables `rollup-WIDTH`, how they are made of closed history and made anew where a fact
        came late, and which of an aggregate's answer may come from them.
Never   counts a fact of bad quality, or guesses: where a roll-up is not exact, the facts are read.

A row stands for instant ≤ t < instant + width; its `tick` is that of the last fact in it. The
files `made` hold each (twin, signal, instant) once; what was made anew stands in files `amend`
and hides them.

Of telemetry, at most one fact of a key has the fate `stored` (docs/contracts.md §3): so only the
few others can hide a fact, and a fleet's year is summed without sorting it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gemel.clock import SECOND
from gemel.errors import Conflict
from gemel.store.delta import BEGUN, KEPT, MADE, TAKEN, WRITTEN, Look, Table, sort
from gemel.store.lake import FACT, Lake
from gemel.store.sql import Facts, Reader
from gemel.store.wanted import Part, Wanted

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("twin", "signal")]
    + [(name, pa.int64()) for name in ("instant", "count", "tick")]
    + [(name, pa.float64()) for name in ("min", "max", "mean")]
    + [("row", pa.int32())]
)
KEYS = ("signal", "twin")
SLICE = 4_000_000  # facts that one pass takes into memory, about
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_KEY = "source, twin, signal, instant"

# What counts of {facts}: the stored facts that nothing amends, and the last amendment of a key.
_COUNTS = f"""(
    WITH amends AS MATERIALIZED (
        SELECT {_KEY}, value, quality, tick FROM {{facts}} WHERE fate <> 'stored' AND {FACT}
        QUALIFY row_number() OVER (PARTITION BY {_KEY} ORDER BY tick DESC, row DESC) = 1)
    SELECT twin, signal, instant, value, quality, tick
        FROM {{facts}} ANTI JOIN amends USING ({_KEY}) WHERE fate = 'stored'
    UNION ALL SELECT twin, signal, instant, value, quality, tick FROM amends)"""
# Amended facts that do not stand in the same files.
_ELSEWHERE = f"""
    SELECT twin, signal, instant FROM (SELECT * FROM facts WHERE fate <> 'stored')
    ANTI JOIN (SELECT {_KEY} FROM facts WHERE fate = 'stored') USING ({_KEY})"""
_MADE = """
    SELECT twin, signal, {bucket} AS instant, count(*) FILTER (quality < 2) AS count,
        max(tick) AS tick, min(value) FILTER (quality < 2) AS min,
        max(value) FILTER (quality < 2) AS max, avg(value) FILTER (quality < 2) AS mean
    FROM {counts} GROUP BY ALL"""
_SUMMED = """
    SELECT '' AS twin, signal, instant, CAST(sum(count) AS BIGINT) AS count, max(tick) AS tick,
        min(min) AS min, max(max) AS max, sum(mean * count) / nullif(sum(count), 0) AS mean
    FROM {rolled} GROUP BY signal, instant"""
_ROLLED = """(
    WITH later AS MATERIALIZED (
        SELECT * FROM amended
        QUALIFY row_number() OVER (PARTITION BY twin, signal, instant ORDER BY tick DESC) = 1)
    SELECT * FROM made ANTI JOIN later USING (twin, signal, instant)
    UNION ALL SELECT * FROM later)"""


def width_name(width: int) -> str:
    """A width in ns as a plant file writes it.

    >>> width_name(60 * SECOND), width_name(90 * SECOND), width_name(86_400 * SECOND)
    ('1min', '90s', '1d')
    """
    unit, size = next((u, s) for u, s in _UNITS if width % (s * SECOND) == 0)
    return f"{width // (size * SECOND)}{unit}"


@dataclass(frozen=True)
class Tier:
    """The roll-up of one width, ns."""

    lake: Lake
    width: int
    name = "rollup"

    @property
    def table(self) -> Table:
        return self.lake.derived(f"{self.name}-{width_name(self.width)}", SCHEMA)

    @property
    def fleet(self) -> "Fleet":
        """Its sums over all twins."""
        return Fleet(self.lake, self.width)

    def floor(self, instant: int) -> int:
        return instant - instant % self.width

    def make(self, reader: Reader, closed: int) -> Iterator[int]:
        """Bring the roll-up up to what the lake knows, for instants before `closed`.

        Yields after each commit: the instants before it are rolled up.
        """
        facts, mine = self.lake.table("telemetry").look(), self.table.look()
        known, taken, made = facts.marks[WRITTEN], mine.marks[TAKEN], mine.marks[MADE]
        if not facts.parts:
            return
        if made >= 0 and known > taken:
            kept = None if facts.marks[KEPT] < 0 else facts.marks[KEPT]
            newer = Wanted(start=kept, end=made, after=taken, known=known)
            self.amend(reader, facts, self.touched(reader, facts, newer), {TAKEN: known})
            yield made
        lowest = self.floor(min(part.low["instant"] for part in facts.parts))
        begin, last = made if made >= 0 else lowest, self.floor(closed)
        while begin < last:
            end = self._slice(facts.parts, begin, last)
            rows = self._sum(reader, facts, Wanted(start=begin, end=end, known=known))
            marks = {TAKEN: known, MADE: end} | ({BEGUN: begin} if made < 0 else {})
            made = end
            self.table.append(self._ordered(rows), marks, f"made-{known:09d}", ordered=True)
            begin = end
            yield begin

    def amend(self, reader: Reader, facts: Look, touched: pa.Table, marks: dict[str, int]) -> None:
        """Make anew what was touched: twin, signal and instant of rows of this roll-up."""
        rows = SCHEMA.empty_table()
        if len(touched):
            among = {name: touched[name].unique().to_pylist() for name in ("twin", "signal")}
            instants = touched["instant"].to_numpy()
            wanted = Wanted(among, int(instants.min()), int(instants.max()) + self.width, None)
            rows = self._sum(reader, facts, wanted, touched)
        name = f"amend-{facts.marks[WRITTEN]:09d}"
        self.table.append(self._ordered(rows), marks, name, ordered=True)

    def touched(self, reader: Reader, facts: Look, wanted: Wanted) -> pa.Table:
        """Rows of this roll-up, twin, signal and instant, in which wanted facts lie."""
        query = f"SELECT DISTINCT twin, signal, {_bucket(self.width)} AS instant FROM facts"
        named = {"facts": Facts(self.lake.table("telemetry"), wanted, facts.parts)}
        return reader.ask(f"{query} WHERE {FACT}", named)

    def _sum(
        self, reader: Reader, facts: Look, wanted: Wanted, touched: pa.Table | None = None
    ) -> pa.Table:
        table, tables = self.lake.table("telemetry"), {}
        if touched is None:
            counts, named = _counted(reader, table, wanted, facts.parts, "facts")
        else:
            named, tables["touched"] = {"facts": Facts(table, wanted, facts.parts)}, touched
            counts = _COUNTS.format(
                facts="(SELECT f.* FROM facts AS f SEMI JOIN touched AS t ON f.twin = t.twin AND"
                f" f.signal = t.signal AND {_bucket(self.width, 'f.instant')} = t.instant)"
            )
        query = _MADE.format(bucket=_bucket(self.width), counts=counts)
        return reader.ask(query, named, tables=tables)

    def _ordered(self, rows: pa.Table) -> pa.Table:
        number = pa.array(np.arange(len(rows), dtype=np.int32))
        columns = rows.drop_columns(["row"]) if "row" in rows.column_names else rows
        columns = columns.append_column("row", number).select(SCHEMA.names).cast(SCHEMA)
        for name in KEYS:
            place = columns.column_names.index(name)
            columns = columns.set_column(place, name, columns[name].dictionary_encode())
        return sort(columns, KEYS)

    def rolled(self, look: Look, wanted: Wanted) -> tuple[str, dict[str, Facts]]:
        """Its wanted rows: what stands for them in a query, and the files behind that."""
        named = {
            kind: Facts(self.table, wanted, [p for p in look.parts if is_amended(p) == amended])
            for kind, amended in (("made", False), ("amended", True))
        }
        return (_ROLLED if named["amended"].files() else "made"), named

    def _slice(self, parts: Sequence[Part], begin: int, last: int) -> int:
        """The end of a span from `begin` on that holds about SLICE facts."""
        rows = 0.0
        for part in parts:
            low, high = part.low["instant"], part.high["instant"]
            share = (min(high, last) - max(low, begin) + 1) / (high - low + 1)
            rows += part.rows * max(share, 0.0)
        slices = max(1, round(rows / SLICE))
        step = max(self.width, self.floor((last - begin) // slices))
        return min(last, begin + step)


class Fleet(Tier):
    """The sums of a roll-up over all twins: its rows have the twin ""."""

    name = "fleet"

    def gather(self, reader: Reader) -> Iterator[int]:
        """Bring the sums up to the roll-up; yields the instant before which they are there."""
        tier = Tier(self.lake, self.width)
        look, mine = tier.table.look(), self.table.look()
        marks = {TAKEN: look.marks[TAKEN], MADE: look.marks[MADE]}
        made = mine.marks[MADE]
        if not look.parts or all(mine.marks[name] == marks[name] for name in marks):
            return
        if made >= 0 and marks[TAKEN] > mine.marks[TAKEN]:
            source, named = tier.rolled(look, Wanted(end=made))
            changed = f"SELECT DISTINCT signal, instant FROM {source} WHERE tick > $taken"
            touched = reader.ask(changed, named, {"taken": mine.marks[TAKEN]})
            if len(touched):
                ends = pc.min_max(touched["instant"]).as_py()
                source, named = tier.rolled(look, Wanted(start=ends["min"], end=ends["max"] + 1))
                source = f"(SELECT * FROM {source} SEMI JOIN touched USING (signal, instant))"
                rows = reader.ask(_SUMMED.format(rolled=source), named, tables={"touched": touched})
                name = f"amend-{marks[TAKEN]:09d}"
                self.table.append(self._ordered(rows), {}, name, ordered=True)
        begin = made if made >= 0 else min(part.low["instant"] for part in look.parts)
        new: list[pa.Table] = []
        while begin < marks[MADE]:
            end = self._slice(look.parts, begin, marks[MADE])
            source, named = tier.rolled(look, Wanted(start=begin, end=end))
            new.append(reader.ask(_SUMMED.format(rolled=source), named))
            begin = end
        rows = self._ordered(pa.concat_tables(new) if new else SCHEMA.empty_table())
        marks[BEGUN] = look.marks[BEGUN]
        self.table.append(rows, marks, f"made-{marks[TAKEN]:09d}", ordered=True)
        yield marks[MADE]

    def forget(self) -> None:
        """Begin anew: what was erased is in no sum."""
        look = self.table.look()
        if look.parts:
            begin = min(part.low["instant"] for part in look.parts)
            marks = {MADE: begin, TAKEN: look.marks[TAKEN]}
            self.table.replace(look.parts, [], marks, "made", changes=True)


def tiers(lake: Lake) -> list[Tier]:
    """The roll-ups that a lake has, the widest first."""
    found = []
    for path in lake.folder.glob("rollup-*/_delta_log"):
        number = path.parent.name.removeprefix("rollup-")
        unit, size = next((u, s) for u, s in _UNITS if number.endswith(u))
        found.append(Tier(lake, int(number.removesuffix(unit)) * size * SECOND))
    return sorted(found, key=lambda tier: -tier.width)


def aggregate(
    lake: Lake, wanted: Wanted, every: int, by: Sequence[str], rolled: bool = True
) -> pa.Table:
    """count, min, max and mean per `by` and `every` ns, of the wanted facts.

    From the widest roll-up that divides `every`, where it is exact, and from the facts where it is
    not: at the ends, where a fact came since, where it had not yet come at the tick `known`.
    `rolled` False: from the facts alone.
    """
    group = ", ".join(by)
    over_all = "twin" not in by and wanted.among.get("twin") is None
    tier = _best(lake, wanted, every, over_all) if rolled else None
    told, facts, tables = _raw_alone(lake, wanted) if tier is None else _joined(tier, wanted)
    pieces = [
        f"SELECT {group}, {_bucket(every)} AS instant, {columns} FROM {source}"
        f" GROUP BY {group}, {_bucket(every)}"
        for source, columns in told
    ]
    query = (
        f"SELECT {group}, instant, CAST(sum(count) AS BIGINT) AS count, min(min) AS min,"
        " max(max) AS max, sum(total) / sum(count) AS mean"
        f" FROM ({' UNION ALL '.join(pieces)}) GROUP BY {group}, instant"
        f" HAVING sum(count) > 0 ORDER BY {group}, instant"
    )
    return lake.reader.ask(query, facts, tables=tables)


def usable(lake: Lake, wanted: Wanted) -> pa.Table:
    """twin, signal, instant, value of the wanted facts that are not bad, in that order."""
    table = lake.table("telemetry")
    query = (
        f"SELECT twin, signal, instant, value FROM {_COUNTS.format(facts='facts')}"
        " WHERE quality < 2 ORDER BY twin, signal, instant"
    )
    return lake.reader.ask(query, {"facts": Facts(table, wanted, few=True)})


def _best(lake: Lake, wanted: Wanted, every: int, over_all: bool) -> Tier | None:
    """The widest roll-up that divides `every` and reaches as far back as any, or as is wanted."""
    found = [
        (tier.table.mark(BEGUN), tier)
        for tier in (tier.fleet if over_all else tier for tier in tiers(lake))
        if every % tier.width == 0 and tier.table.mark(MADE) >= 0
    ]
    if not found:
        return None
    enough = max(min(begun for begun, _ in found), wanted.start or 0)
    return next(tier for begun, tier in found if begun <= enough)


_Told = tuple[list[tuple[str, str]], dict[str, Facts], dict[str, pa.Table]]
_OF_FACTS = "count(*) AS count, min(value) AS min, max(value) AS max, sum(value) AS total"
_OF_ROLLED = "sum(count) AS count, min(min) AS min, max(max) AS max, sum(mean * count) AS total"


def _raw_alone(lake: Lake, wanted: Wanted) -> _Told:
    table = lake.table("telemetry")
    counts, named = _counted(lake.reader, table, wanted, table.look().parts, "facts")
    return [(f"(SELECT * FROM {counts} WHERE quality < 2)", _OF_FACTS)], named, {}


def _joined(tier: Tier, wanted: Wanted) -> _Told:
    """The roll-up where it is exact, and facts before, after and instead of it."""
    look, table = tier.table.look(), tier.lake.table("telemetry")
    facts = table.look()  # after the roll-up: what came between is read as facts
    among, start, end = wanted.among, wanted.start, wanted.end
    inner = None if start is None else -(-start // tier.width) * tier.width
    made = look.marks[MADE]
    until = max(made if end is None else min(made, tier.floor(end)), inner or 0)
    rolled = Wanted(among, inner, until)
    source, named = tier.rolled(look, rolled)
    doubtful = _doubtful(tier, named, source, facts, look.marks[TAKEN], wanted.known)
    told = [(f"(SELECT * FROM {source} ANTI JOIN doubtful USING (instant))", _OF_ROLLED)]
    spans = {"after": replace(wanted, start=until)}
    if inner is not None and start is not None and start < inner:
        spans["before"] = replace(wanted, end=inner if end is None else min(inner, end))
    if len(doubtful):
        instants = doubtful["instant"].to_numpy()
        low, high = int(instants.min()), int(instants.max()) + tier.width
        spans["instead"] = replace(wanted, start=low, end=high)
    for name, span in spans.items():
        if name == "instead":
            named[name] = Facts(table, span, facts.parts)
            only = f"SEMI JOIN doubtful AS d ON {_bucket(tier.width, 'f.instant')} = d.instant"
            counts = _COUNTS.format(facts=f"(SELECT f.* FROM {name} AS f {only})")
        else:
            counts, more = _counted(tier.lake.reader, table, span, facts.parts, name)
            named |= more
        told.append((f"(SELECT * FROM {counts} WHERE quality < 2)", _OF_FACTS))
    return told, named, {"doubtful": doubtful}


def _doubtful(
    tier: Tier,
    named: dict[str, Facts],
    source: str,
    facts: Look,
    taken: int,
    known: int | None,
) -> pa.Table:
    """Instants of a roll-up that are not what was known: facts came since, or came later."""
    lake, kept, rolled = tier.lake, facts.marks[KEPT], named["made"].wanted
    start = max(kept, rolled.start or 0) if kept >= 0 else rolled.start
    newer = Wanted(rolled.among, start, rolled.end, taken, known)
    query = f"SELECT DISTINCT {_bucket(tier.width)} AS instant FROM newer WHERE {FACT}"
    found = lake.reader.ask(query, {"newer": Facts(lake.table("telemetry"), newer, facts.parts)})
    if known is None or known >= taken:
        return found
    query = f"SELECT DISTINCT instant FROM {source} WHERE tick > $known"
    later = lake.reader.ask(query, named, {"known": known})
    if len(later) and min(later["instant"].to_pylist()) < kept:
        raise Conflict(
            "history.expired",
            "what was known then cannot be told: its facts were dropped, as the retention says",
            where=f"before {kept} ns",
            mend="ask without as_known_at, or from where facts are kept on",
        )
    return pa.concat_tables([found, later]).group_by("instant").aggregate([])


def is_amended(part: Part) -> bool:
    """Whether a file of a roll-up hides rows of others."""
    return part.path.startswith("amend")


def _bucket(width: int, column: str = "instant") -> str:
    return f"({column} - {column} % {int(width)})"


def _counted(
    reader: Reader, table: Table, wanted: Wanted, parts: Sequence[Part], name: str
) -> tuple[str, dict[str, Facts]]:
    """What counts of the wanted facts in some files: what stands for it in a query, and the files.

    Only files that hold amendments, or that one of another file may reach, are searched for them.
    """
    parts = [part for part in parts if wanted.reaches(part)]
    plain = [part for part in parts if part.low["fate"] == part.high["fate"] == "stored"]
    amended = [part for part in parts if part not in plain]
    if amended:
        far = reader.ask(_ELSEWHERE, {"facts": Facts(table, wanted, amended)})
        amended += [part for part in plain if _may_hold(part, far)]
        plain = [part for part in plain if part not in amended]
    named = {name: Facts(table, wanted, plain)}
    if not amended:
        return name, named
    named[f"{name}_amended"] = Facts(table, wanted, amended)
    columns = "twin, signal, instant, value, quality, tick"
    both = f"SELECT {columns} FROM {name} UNION ALL SELECT {columns} FROM"
    return f"({both} {_COUNTS.format(facts=f'{name}_amended')})", named


def _may_hold(part: Part, facts: pa.Table) -> bool:
    """Whether one of the facts lies within the bounds of a file."""
    inside = [
        (pc.field(name) >= part.low[name]) & (pc.field(name) <= part.high[name])
        for name in ("twin", "signal", "instant")
    ]
    return bool(len(facts.filter(inside[0] & inside[1] & inside[2])))
