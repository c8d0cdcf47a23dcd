"""The lake: the history of a plant as Delta tables, readable by anything that reads Delta.

Owns    the folders `lake/telemetry`, `estimates`, `findings`, `events`, what is made of them
        (`latest`, `rollup-…`), and the question "what was known then": the latest fact with
        tick ≤ k.
Never   is the truth: it is derived from the journal, may lag, and can be rebuilt. Delta's own
        versions mean nothing here; known time is the column `tick`.

Instants (`instant`, `received_at`, `known_at`, `closed_at`) are int64 ns UTC columns, not
timestamps: Delta's timestamp has microseconds. `body` and `evidence` are JSON text.
`row` numbers the rows of one append: of two facts of one tick, the one with the greater is later.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gemel.clock import format_instant
from gemel.errors import Invalid
from gemel.store.coded import plainly
from gemel.store.delta import ERASED, KEPT, TAKEN, WRITTEN, Table
from gemel.store.sql import Facts, Reader
from gemel.store.wanted import Wanted


def _fields(words: str, instants: str, numbers: str = "", small: str = "") -> pa.Schema:
    columns = [(name, pa.string()) for name in words.split()]
    columns += [(name, pa.int64()) for name in f"{instants} tick".split()]
    columns += [(name, pa.float64()) for name in numbers.split()]
    columns += [(name, pa.int8()) for name in small.split()]
    return pa.schema([*columns, ("row", pa.int32())])


SCHEMAS: dict[str, pa.Schema] = {
    "telemetry": _fields(
        "twin signal reason fate source", "instant received_at", "value", small="quality"
    ),
    "estimates": _fields("twin binding name", "instant known_at", "mean std"),
    "findings": _fields(
        "id kind twin binding subject severity text evidence status",
        "instant closed_at",
        "statistic threshold",
    ),
    "events": _fields("name body", "instant"),
}

# What every question is about: neither a duplicate nor a rejected sample is a fact.
FACT = "fate NOT IN ('duplicate', 'rejected')"
_LATEST = (
    "SELECT * EXCLUDE (row) FROM facts {where}"
    " QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY tick DESC, row DESC) = 1"
    " ORDER BY {order}"
)
_TELEMETRY = _LATEST.format(
    where=f"WHERE {FACT}",
    key="source, twin, signal, instant",
    order="twin, signal, instant, source",
)
_ESTIMATES = _LATEST.format(
    where="", key="binding, twin, name, instant", order="twin, name, instant, binding"
)
_FINDINGS = _LATEST.format(where="", key="id", order="instant, id")
_EVENTS = "SELECT * EXCLUDE (row) FROM facts ORDER BY instant, name, tick, row"
NEWEST = (  # of each signal of each twin, among rows of {facts}
    "SELECT unnest(arg_max(f, ROW(f.instant, f.tick, f.row))) FROM {facts} AS f"
    " GROUP BY f.twin, f.signal"
)
# Of two facts the later is the one with the greater instant, then tick, then row: as one number,
# which is found ten times as fast as the greatest of three columns.
_LATER = f"(instant::HUGEINT * {2**31} + tick) * {2**32} + row"
_BELIEVED = (
    "SELECT binding, twin, name, max(instant) AS instant,"
    f" arg_max(mean, {_LATER}) AS mean, arg_max(std, {_LATER}) AS std"
    " FROM facts GROUP BY ALL"
)
_HEARD = (
    f"SELECT twin, signal, arg_max(value, {_LATER}) FILTER (quality < 2) AS value,"
    " max(instant) FILTER (quality < 2) AS instant,"
    f" arg_max(reason, {_LATER}) AS reason FROM facts WHERE {FACT} GROUP BY twin, signal"
)


class Lake:
    """The Delta tables of one data directory: one writer, any readers, also while it is written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lake = Lake(Path(folder))
    ...     price = pa.table({"name": ["price"], "body": ["{}"], "instant": [5], "tick": [1]})
    ...     lake.append("events", price, tick=1), lake.append("events", price, tick=1)
    ...     lake.known("events"), lake.events().num_rows
    (True, False)
    (1, 1)
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.reader = Path(folder), Reader()
        self._tables = {name: Table(self.folder / name, SCHEMAS[name]) for name in SCHEMAS}
        self._derived: dict[str, Table] = {}

    def derived(self, name: str, schema: pa.Schema) -> Table:
        """A table that is made of others."""
        return self._derived.setdefault(name, Table(self.folder / name, schema))

    @property
    def newest(self) -> Table:
        """What upkeep gathers: the newest fact of each signal of each twin."""
        return self.derived("latest", SCHEMAS["telemetry"])

    def table(self, name: str) -> Table:
        """One of the four tables."""
        _schema(name)
        return self._tables[name]

    def append(self, table: str, rows: pa.Table, tick: int) -> bool:
        """Append the rows up to `tick`, once: False, and nothing done, if it is already there.

        `rows` has the table's columns without `row`, in the order in which the facts came to be
        known. Rows of several ticks may go together; `tick` is then the last of them.
        """
        facts = _cast(table, rows)
        if self.known(table) >= tick or not facts.num_rows:
            return False
        self._tables[table].append(facts, {WRITTEN: tick}, f"part-{tick:09d}")
        return True

    def known(self, table: str) -> int:
        """The last tick written to a table, −1 before the first."""
        return self.table(table).mark(WRITTEN)

    def telemetry(
        self,
        twins: Sequence[str] | None = None,
        signals: Sequence[str] | None = None,
        start: int | None = None,
        end: int | None = None,
        as_known_at: int | None = None,
        good_only: bool = False,
    ) -> pa.Table:
        """The latest fact per (source, twin, signal, instant), start ≤ instant < end.

        `as_known_at`: what was known after that tick. `good_only`: only where that fact is of good
        quality. Duplicates and rejected samples are no facts and are left out.
        """
        among = {"twin": twins, "signal": signals}
        table = self._ask("telemetry", among, start, end, as_known_at, _TELEMETRY)
        return table.filter(pc.field("quality") == 0) if good_only else table

    def latest(
        self,
        twins: Sequence[str] | None = None,
        signals: Sequence[str] | None = None,
        as_known_at: int | None = None,
    ) -> pa.Table:
        """The newest fact of each signal of each twin, in order of twin and signal.

        It reads what upkeep has gathered, and of the telemetry only what was written since.
        """
        among = {"twin": twins, "signal": signals}
        look = self.newest.look()  # before the telemetry: what comes between is read twice
        taken = look.marks[TAKEN]
        facts = {"newer": Facts(self.table("telemetry"), Wanted(among, known=as_known_at))}
        union = "(SELECT * FROM newer)"
        if taken >= 0 and (as_known_at is None or as_known_at >= taken):
            newer = Wanted(among, after=taken, known=as_known_at)
            facts = {"newer": Facts(self.table("telemetry"), newer)}
            facts["gathered"] = Facts(self.newest, Wanted(among), look.parts)
            union = "(SELECT * FROM newer UNION ALL SELECT * FROM gathered)"
        union = f"(SELECT * FROM {union} WHERE {FACT})"
        query = f"SELECT * EXCLUDE (row) FROM ({NEWEST.format(facts=union)}) ORDER BY twin, signal"
        return self.reader.ask(query, facts).select(_plain("telemetry"))

    def estimates(
        self,
        twins: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        start: int | None = None,
        end: int | None = None,
        as_known_at: int | None = None,
        bindings: Sequence[str] | None = None,
    ) -> pa.Table:
        """The latest estimate per (binding, twin, name, instant), start ≤ instant < end."""
        among = {"twin": twins, "name": names, "binding": bindings}
        return self._ask("estimates", among, start, end, as_known_at, _ESTIMATES)

    def believed(self, start: int, end: int, known: int | None = None) -> pa.Table:
        """The newest estimate of each (binding, twin, name) of start ≤ instant < end."""
        return self._ask("estimates", {}, start, end, known, _BELIEVED)

    def heard(
        self, twins: Sequence[str] | None, start: int, end: int, known: int | None = None
    ) -> pa.Table:
        """Of each signal the newest value that is not bad, its instant, and the last reason."""
        return self._ask("telemetry", {"twin": twins}, start, end, known, _HEARD)

    def about(self, table: str, start: int, end: int) -> float:
        """About how many facts lie in start ≤ instant < end, by the bounds of the files alone."""
        rows = 0.0
        for part in self.table(table).look().parts:
            low, high = part.low["instant"], part.high["instant"]
            share = (min(high + 1, end) - max(low, start)) / (high + 1 - low)
            rows += part.rows * max(share, 0.0)
        return rows

    def findings(
        self, twins: Sequence[str] | None = None, as_known_at: int | None = None
    ) -> pa.Table:
        """The latest form of every finding."""
        return self._ask("findings", {"twin": twins}, None, None, as_known_at, _FINDINGS)

    def events(
        self,
        name: str | None = None,
        start: int | None = None,
        end: int | None = None,
        as_known_at: int | None = None,
    ) -> pa.Table:
        """Every event, by instant; none hides another, as two services may stand at one instant."""
        among = {"name": None if name is None else [name]}
        return self._ask("events", among, start, end, as_known_at, _EVENTS)

    def count(
        self,
        table: str,
        among: Mapping[str, Sequence[str] | None],
        start: int | None = None,
        end: int | None = None,
        as_known_at: int | None = None,
    ) -> int:
        """How many rows a table has of what is asked for, each correction counted."""
        query = "SELECT count(*) AS rows FROM facts"
        return int(self._ask(table, among, start, end, as_known_at, query)["rows"][0].as_py())

    def reach(
        self,
        table: str,
        most: int,
        among: Mapping[str, Sequence[str] | None],
        start: int | None = None,
        end: int | None = None,
        as_known_at: int | None = None,
        newest: bool = False,
    ) -> int | None:
        """The instant up to which `most` facts have come, from the oldest on; None: there are less.

        `newest`: from the newest back. `among`: column → the values wanted. So a reader can stop
        there.
        """
        order = "instant DESC" if newest else "instant"
        query = f"SELECT instant FROM facts ORDER BY {order} LIMIT 1 OFFSET {int(most) - 1}"
        found = self._ask(table, among, start, end, as_known_at, query)
        return int(found["instant"][0].as_py()) if found.num_rows else None

    def kept_from(self) -> int:
        """Telemetry before this instant was dropped by retention; −1: none was."""
        return self.table("telemetry").mark(KEPT)

    def erasures(self) -> list[dict[str, Any]]:
        """What was erased, {twin, before, by, why, at, tick, done}, as the events tell it."""
        done = self.table("telemetry").mark(ERASED)
        return [
            {
                **json.loads(e["body"]),
                "at": e["instant"],
                "tick": e["tick"],
                "done": e["tick"] <= done,
            }
            for e in self.events("erasure").to_pylist()
        ]

    def notes(self, twins: Sequence[str] | None, start: int | None) -> list[str]:
        """What a reader of telemetry from `start` on must know: what was dropped or erased."""
        notes, kept = [], self.kept_from()
        if kept >= 0 and (start is None or start < kept):
            notes.append(
                f"samples before {format_instant(kept)} were dropped, as the retention says;"
                " roll-ups tell of them"
            )
        for one in self.erasures():
            if (twins is None or one["twin"] in twins) and (start is None or start < one["before"]):
                notes.append(
                    f"{one['twin']} before {format_instant(one['before'])} was erased by"
                    f" {one['by']}: {one['why']}"
                )
        return notes

    def _ask(
        self,
        table: str,
        among: Mapping[str, Sequence[str] | None],
        start: int | None,
        end: int | None,
        known: int | None,
        query: str,
    ) -> pa.Table:
        wanted = Wanted(among, start, end, known=known)
        return self.reader.ask(query, {"facts": Facts(self.table(table), wanted)})


def _plain(table: str) -> list[str]:
    return [name for name in SCHEMAS[table].names if name != "row"]


def _schema(table: str) -> pa.Schema:
    if table not in SCHEMAS:
        raise Invalid(
            "lake.table",
            f"there is no table '{table}' in the lake",
            mend=f"the tables are {', '.join(SCHEMAS)}",
        )
    return SCHEMAS[table]


def _cast(table: str, rows: pa.Table) -> pa.Table:
    schema = _schema(table)
    missing = set(schema.names) - set(rows.column_names) - {"row"}
    if missing:
        raise Invalid(
            "lake.columns",
            f"rows for '{table}' lack {', '.join(sorted(missing))}",
            mend=f"give the columns {', '.join(name for name in schema.names if name != 'row')}",
        )
    numbered = rows.drop_columns(["row"]) if "row" in rows.column_names else rows
    order = pa.array(np.arange(len(rows), dtype=np.int32))
    kept = numbered.append_column("row", order).select(schema.names)
    fields = [
        field.with_type(told.type) if plainly(told.type) == field.type else field
        for field, told in zip(schema, kept.schema, strict=True)
    ]
    try:
        return kept.cast(pa.schema(fields))
    except pa.ArrowException as problem:
        raise Invalid(
            "lake.columns",
            f"rows for '{table}' have another type: {problem}",
            mend="instants and ticks are int64, values float64, quality int8, the rest words",
        ) from problem
