"""Questions in SQL over tables of the lake, answered by DuckDB.

Owns    the connection, and which files stand behind each name in a query.
Never   writes, or puts a value into the text of a query.
"""

import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from gemel.store.delta import Table, told
from gemel.store.wanted import Part, Wanted

TRIES = 3  # of a read whose files were deleted while it was under way


@dataclass(frozen=True)
class Facts:
    """The rows of a table that a query reads under a name.

    parts: as of an earlier look · few: they are read once, however often the query names them
    """

    table: Table
    wanted: Wanted = Wanted()
    parts: Sequence[Part] | None = None
    few: bool = False

    def files(self) -> list[str]:
        """The files that may hold such rows."""
        parts = self.table.look().parts if self.parts is None else self.parts
        return [str(self.table.folder / p.path) for p in parts if self.wanted.reaches(p)]


class Reader:
    """One DuckDB in memory, asked from any thread; threads: of one question, default: all cores."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._base: list[duckdb.DuckDBPyConnection] = []
        self._lock = threading.Lock()
        weakref.finalize(self, self._base.clear)  # at the latest when Python ends

    def ask(
        self,
        query: str,
        facts: Mapping[str, Facts],
        values: Mapping[str, Any] | None = None,
        tables: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """A query over `facts` and Arrow `tables`, each under its name; values: its parameters."""
        place = next(iter(facts.values())).table.folder
        with told(place):
            for _ in range(TRIES - 1):
                try:
                    return self._ask(query, facts, values or {}, tables or {})
                except duckdb.IOException:
                    continue  # listed just before a vacuum: look again
            return self._ask(query, facts, values or {}, tables or {})

    def _ask(
        self,
        query: str,
        facts: Mapping[str, Facts],
        values: Mapping[str, Any],
        tables: Mapping[str, pa.Table],
    ) -> pa.Table:
        given, named = dict(values), []
        with self._connection() as base:
            for name, table in tables.items():
                base.register(name, table)
            for name, one in facts.items():
                files = one.files()
                if files:
                    condition, more = one.wanted.condition(name)
                    given |= {f"{name}_files": files, **more}
                    rows = f"SELECT * FROM read_parquet(${name}_files) WHERE {condition}"
                    how = "MATERIALIZED" if one.few else "NOT MATERIALIZED"
                    named.append(f"{name} AS {how} ({rows})")
                else:
                    base.register(name, one.table.schema.empty_table())
            text = f"WITH {', '.join(named)} {query}" if named else query
            used = {key: value for key, value in given.items() if f"${key}" in text}
            return base.sql(text, params=used or None).to_arrow_table()

    def _connection(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if not self._base:
                how: dict[str, str | bool | int | float | list[str]] = {
                    "temp_directory": tempfile.gettempdir()
                }
                if self._threads is not None:
                    how["threads"] = self._threads
                self._base.append(duckdb.connect(config=how))
            return self._base[0].cursor()
