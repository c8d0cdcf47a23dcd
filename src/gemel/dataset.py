"""The one read API: `gemel.open(target)`, whatever the target is.

Owns    what a target is, and the forms in which its history is handed out.
Never   writes, and never needs the lease: a plant may be read while it runs.

    a data directory                a plant: telemetry, estimates, findings, events, as known at
    a folder with `_delta_log`      any Delta table, long or wide
    history.csv, history.parquet    a file, long or wide
    sqlite:///x.db?table=t          a database table, long or wide; postgresql://… likewise
    mqtt://host:port/topic?seconds=10       listens that long
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from deltalake import DeltaTable
from sqlalchemy.exc import SQLAlchemyError

from gemel import notebook
from gemel.clock import SECOND, Instant, nanoseconds, parse_duration
from gemel.connect.files import read_table
from gemel.connect.mqtt import listen
from gemel.connect.tables import read_rows
from gemel.errors import Invalid, NotFound, Unavailable
from gemel.records import Batch
from gemel.store.declared import Declared
from gemel.store.history import ENDS, History
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger, engine
from gemel.store.pictures import Records, Twin, plant_html, twin_of
from gemel.store.rollups import aggregate
from gemel.store.samples import Samples
from gemel.store.series import asof, line, thin
from gemel.store.trend import Trend, measured, trend_of
from gemel.store.wanted import Wanted

DAY = 86_400 * SECOND
_OF_A_PLANT = " .twin(id) .estimates() .findings() .proposals() .invocations() .events()"


class _Store(Protocol):
    """Where a dataset's rows are."""

    def tick(self, known: Instant | None) -> int | None: ...

    def names(self, twin: str | None) -> tuple[list[str], list[str]]: ...

    def history(self, wanted: Wanted) -> pa.Table: ...

    def line(self, wanted: Wanted) -> pa.Table: ...

    def latest(self, wanted: Wanted) -> pa.Table: ...

    def aggregate(self, wanted: Wanted, every: int, by: list[str]) -> pa.Table: ...

    def notes(self, wanted: Wanted) -> list[str]: ...


class Dataset:
    """What can be asked of any target; `open` makes one."""

    def __init__(self, target: str, store: "_Store") -> None:
        self.target, self._store = target, store

    def twins(self) -> list[str]:
        """The ids of the twins that have telemetry, sorted."""
        return self._store.names(None)[0]

    def signals(self, twin: str | None = None) -> list[str]:
        """The names of the signals (of one twin), sorted."""
        return self._store.names(twin)[1]

    def history(
        self,
        twins: Sequence[str] | str | None = None,
        signals: Sequence[str] | str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        as_known_at: Instant | None = None,
    ) -> History:
        """Telemetry with start ≤ instant < end, in order of twin, signal, instant.

        `as_known_at`: what was known then; a number is a tick of the ledger, anything else an
        instant of the plant's clock. Only a plant remembers that.
        """
        wanted = self._wanted(twins, signals, start, end, as_known_at)
        return History(self._store.history(wanted), self._store.notes(wanted))

    def latest(
        self,
        twins: Sequence[str] | str | None = None,
        signals: Sequence[str] | str | None = None,
        as_known_at: Instant | None = None,
    ) -> History:
        """The newest sample of each signal of each twin, in order of twin and signal."""
        return History(self._store.latest(self._wanted(twins, signals, known=as_known_at)))

    def downsample(
        self,
        twins: Sequence[str] | str | None = None,
        signals: Sequence[str] | str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        points: int = 500,
        as_known_at: Instant | None = None,
    ) -> History:
        """Each line (twin, signal) in at most `points` of its points, those that keep its look.

        Largest triangle, three buckets (Steinarsson 2013); bad samples are left out. Where
        retention has dropped the samples, the means of the narrowest roll-up stand for them.
        """
        wanted = self._wanted(twins, signals, start, end, as_known_at)
        return History(thin(self._store.line(wanted), points), self._store.notes(wanted))

    def asof(
        self,
        signals: Sequence[str],
        twins: Sequence[str] | str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        every: str | float | None = None,
        on: str | None = None,
        tolerance: str | float | None = None,
        as_known_at: Instant | None = None,
    ) -> History:
        """Several signals on one time line: twin, instant, then a column a signal.

        Each row holds the last value at or before its instant, no older than `tolerance` (and
        none from before `start`); null where there is none. The time line of a twin: the instants
        of signal `on`, or every `every` ("10min", or seconds), or wherever any signal has one.
        """
        wanted = self._wanted(twins, signals, start, end, as_known_at)
        rows = self._store.line(wanted)
        joined = asof(rows, signals, _span(every), on, _span(tolerance))
        return History(joined, self._store.notes(wanted))

    def rollup(
        self,
        every: str | float,
        twins: Sequence[str] | str | None = None,
        signals: Sequence[str] | str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        as_known_at: Instant | None = None,
    ) -> History:
        """count, min, max and mean of each signal of each twin per `every` ("1h", or seconds).

        A row stands for instant ≤ t < instant + every; bad samples are left out. A plant answers
        from its roll-ups where they are exact, and from the samples where they are not.
        """
        wanted = self._wanted(twins, signals, start, end, as_known_at)
        return self._aggregate(wanted, every, ["twin", "signal"])

    def fleet(
        self,
        every: str | float,
        signals: Sequence[str] | str | None = None,
        twins: Sequence[str] | str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        as_known_at: Instant | None = None,
    ) -> History:
        """count, min, max and mean of each signal over all twins (or those named) per `every`."""
        wanted = self._wanted(twins, signals, start, end, as_known_at)
        return self._aggregate(wanted, every, ["signal"])

    def _aggregate(self, wanted: Wanted, every: str | float, by: list[str]) -> History:
        width = _span(every) or 0
        if width < 1:
            raise Invalid(
                "dataset.every",
                f"'{every}' is no time to sum over",
                mend='write every="1h", or a number of seconds',
            )
        rows = self._store.aggregate(wanted, width, by)
        return History(rows, self._store.notes(wanted))

    def _wanted(
        self,
        twins: Sequence[str] | str | None,
        signals: Sequence[str] | str | None,
        start: Instant | None = None,
        end: Instant | None = None,
        known: Instant | None = None,
    ) -> Wanted:
        among = {"twin": _several(twins), "signal": _several(signals)}
        return Wanted(among, _instant(start), _instant(end), known=self._store.tick(known))

    def erasures(self) -> list[dict[str, Any]]:
        """What was erased of a plant: {twin, before, by, why, at, tick, done} of its history."""
        return self._plant("erasures").lake.erasures()

    def estimates(
        self,
        twins: Sequence[str] | str | None = None,
        names: Sequence[str] | str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        as_known_at: Instant | None = None,
    ) -> History:
        """Estimates of a plant: mean and standard deviation of each name (a state, …)."""
        plant = self._plant("estimates")
        return History(
            plant.lake.estimates(
                _several(twins),
                _several(names),
                _instant(start),
                _instant(end),
                plant.tick(as_known_at),
            )
        )

    def findings(
        self,
        status: str | None = None,
        twin: str | None = None,
        as_known_at: Instant | None = None,
        limit: int = 500,
    ) -> Records:
        """Findings of a plant as the ledger has them, newest first: a list of records."""
        plant = self._plant("findings")
        found = plant.ledger().findings(status, twin, plant.tick(as_known_at), limit)
        return Records("findings", found)

    def proposals(
        self,
        status: str | None = None,
        twin: str | None = None,
        as_known_at: Instant | None = None,
        limit: int = 500,
    ) -> Records:
        """Proposals of a plant, newest first."""
        plant = self._plant("proposals")
        found = plant.ledger().proposals(status, twin, plant.tick(as_known_at), limit)
        return Records("proposals", found)

    def invocations(
        self,
        status: str | None = None,
        twin: str | None = None,
        as_known_at: Instant | None = None,
        limit: int = 500,
    ) -> Records:
        """Approved commands of a plant and what became of them, newest first."""
        plant = self._plant("invocations")
        found = plant.ledger().invocations(status, twin, plant.tick(as_known_at), limit)
        return Records("invocations", found)

    def twin(self, twin: str, as_known_at: Instant | None = None) -> Twin:
        """One twin of a plant as history has it: newest samples, beliefs, health, what is open.

        Raises NotFound `twin.unknown`.
        """
        plant = self._plant("twins")
        return twin_of(plant.lake, plant.ledger(), plant.declared, twin, plant.tick(as_known_at))

    def trend(
        self,
        twin: str,
        signal: str,
        start: Instant | None = None,
        end: Instant | None = None,
        level: float = 0.9,
        as_known_at: Instant | None = None,
    ) -> Trend:
        """One signal of one twin: measured with its quality, expected with its band, what happened.

        Default: the day up to its newest sample. level: of the band. `gemel.plot` draws it.
        Raises NotFound `twin.unknown`.
        """
        wanted = self._wanted(twin, signal, start, end, as_known_at)
        newest = self._store.latest(wanted)
        if not len(newest):
            raise NotFound(
                "twin.unknown",
                f"there is no sample of '{signal[:64]}' of a twin '{twin[:64]}'",
                mend="dataset.signals(twin) lists what there is",
            )
        last = pc.max(newest["instant"].cast(pa.int64())).as_py() + 1
        until = last if wanted.end is None else wanted.end
        begin = until - DAY if wanted.start is None else wanted.start
        wanted = replace(wanted, start=begin, end=until)
        if isinstance(self._store, _Plant):
            plant = self._store
            return trend_of(plant.lake, plant.ledger(), plant.declared, wanted, level)
        return measured(twin, signal, self._store.history(wanted), begin, until, level)

    def events(self, name: str | None = None, as_known_at: Instant | None = None) -> History:
        """Events of a plant (prices, calendars …), by instant; `body` is JSON text."""
        plant = self._plant("events")
        return History(plant.lake.events(name, as_known_at=plant.tick(as_known_at)))

    def _plant(self, what: str) -> "_Plant":
        if not isinstance(self._store, _Plant):
            raise Invalid(
                "dataset.not_a_plant",
                f"{what} are kept by a plant, and this is a table of samples",
                where=self.target,
                mend="open the data directory of a plant (gemel run --data DIRECTORY)",
            )
        return self._store

    def __repr__(self) -> str:
        twins, signals = self._store.names(None)
        return (
            f"Dataset {self.target}\n  twins:   {_some(twins)}\n  signals: {_some(signals)}"
            "\n  ask: .history(twins, signals, start, end)"
            " .latest() .downsample() .asof() .rollup() .fleet()"
            " .trend(twin, signal)"
            + (
                " .twin(id) .estimates() .findings() .proposals() .events()"
                if isinstance(self._store, _Plant)
                else ""
            )
        )

    def _repr_html_(self) -> str:
        if isinstance(self._store, _Plant):
            plant = self._store
            return plant_html(self.target, plant.lake, plant.ledger(), plant.declared)
        (twins, signals), newest = self._store.names(None), self._store.latest(Wanted())
        rows = [
            (r["twin"], r["signal"], notebook.number(r["value"]), notebook.when(r["instant"]))
            for r in newest.slice(0, 2 * ENDS).to_pylist()
        ]
        heads = ("twin", "signal", "newest value", "at, UTC")
        about = f"{len(twins):,} twins, {len(signals):,} signals"
        return notebook.card(self.target, about, notebook.table(heads, rows, "llr"))


class _Plant:
    """A data directory, read beside its writer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lake = folder, Lake(folder / "lake")
        self._ledger: Ledger | None = None

    @cached_property
    def declared(self) -> Declared:
        return Declared.read(self.folder)

    def ledger(self) -> Ledger:
        if self._ledger is None:
            self._ledger = Ledger(f"sqlite:///{self.folder / 'ledger.db'}", readonly=True)
        return self._ledger

    def tick(self, known: Instant | None) -> int | None:
        if known is None or isinstance(known, int):
            return known
        return self.ledger().tick_at(_instant(known) or 0)

    def names(self, twin: str | None) -> tuple[list[str], list[str]]:
        newest = self.lake.latest(None if twin is None else [twin])
        twins, signals = (newest[name].unique().to_pylist() for name in ("twin", "signal"))
        return sorted(twins), sorted(signals)

    def history(self, wanted: Wanted) -> pa.Table:
        return self.lake.telemetry(*wanted.asked())

    def line(self, wanted: Wanted) -> pa.Table:
        return line(self.lake, wanted)

    def latest(self, wanted: Wanted) -> pa.Table:
        return self.lake.latest(wanted.among["twin"], wanted.among["signal"], wanted.known)

    def aggregate(self, wanted: Wanted, every: int, by: list[str]) -> pa.Table:
        return aggregate(self.lake, wanted, every, by)

    def notes(self, wanted: Wanted) -> list[str]:
        return self.lake.notes(wanted.among["twin"], wanted.start)


def open(target: str | Path, **how: Any) -> Dataset:
    """Open a target for reading; `how`: the options of a table (columns, time_zone, twin, units …).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "bearing.csv"
    ...     _ = path.write_text("twin,time,metal\\nb1,2026-03-01T12:00:00Z,61.5\\n")
    ...     open(path).history("b1", "metal").polars()["value"].to_list()
    [61.5]
    """
    text = str(target)
    if isinstance(target, str) and "://" in target:
        if target.partition("://")[0] in ("mqtt", "mqtts"):
            return Dataset(_plain(text), Samples(_listened(text)))
        return Dataset(_plain(text), Samples(_queried(text, how)))
    path = Path(target)
    if (path / "_delta_log").is_dir():
        rows = DeltaTable(path).to_pyarrow_table()
        return Dataset(text, Samples(read_rows(rows, text, **how)))
    if (path / "ledger.db").is_file() or (path / "lake").is_dir():
        return Dataset(text, _Plant(path))
    if path.is_dir():
        raise Invalid(
            "dataset.unknown",
            "this folder is neither a data directory nor a Delta table",
            where=text,
            mend="give the folder that gemel run --data was given, or one file",
        )
    return Dataset(text, Samples(read_table(path, **how)))


def _plain(url: str) -> str:
    """A URL without its password."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except (SQLAlchemyError, ValueError):
        return url.partition("://")[0] + "://…"


def _query(url: str) -> tuple[str, dict[str, str]]:
    address, _, query = url.partition("?")
    options = dict(part.partition("=")[::2] for part in query.split("&") if part)
    return address, options


def _listened(url: str) -> Batch:
    address, options = _query(url)
    try:
        seconds = float(options.get("seconds", "10"))
    except ValueError as problem:
        raise Invalid(
            "dataset.seconds",
            f"'{options['seconds']}' is not a number of seconds",
            where=_plain(url),
            mend="end the URL with ?seconds=10",
        ) from problem
    return listen(address, seconds)


def _queried(url: str, how: dict[str, Any]) -> Batch:
    try:
        address = sa.make_url(url)
    except SQLAlchemyError as problem:
        raise Invalid(
            "dataset.unknown",
            f"'{url.partition('://')[0]}://…' is not a target I know",
            mend="a path, sqlite:///…?table=T, postgresql://…?table=T, or mqtt://…",
        ) from problem
    name = address.query.get("table")
    if not isinstance(name, str) or not name:
        raise Invalid(
            "dataset.table",
            "the URL does not say which table",
            where=_plain(url),
            mend="end it with ?table=NAME",
        )
    base = engine(address.difference_update_query(["table"]).render_as_string(False), readonly=True)
    try:
        with base.connect() as connection:
            schema, _, plain = name.rpartition(".")
            table = sa.Table(plain, sa.MetaData(), schema=schema or None, autoload_with=connection)
            found = connection.execute(sa.select(table))
            columns = list(zip(*found.fetchall(), strict=True)) or [() for _ in found.keys()]
            rows = {key: list(column) for key, column in zip(found.keys(), columns, strict=True)}
    except sa.exc.NoSuchTableError as problem:
        raise NotFound(
            "dataset.no_table",
            f"there is no table '{name}' in this database",
            where=_plain(url),
            mend="look at the name after ?table=",
        ) from problem
    except SQLAlchemyError as problem:
        raise Unavailable(
            "dataset.database",
            f"the database did not answer: {str(problem).splitlines()[0]}",
            where=_plain(url),
            mend="see that it runs and that the user may read the table",
        ) from problem
    finally:
        base.dispose()
    return read_rows(pa.table({key: _column(cells) for key, cells in rows.items()}), name, **how)


def _column(cells: list[Any]) -> pa.Array:
    """A column of a database; words where it mixes types, as SQLite lets it."""
    try:
        return pa.array(cells)
    except pa.ArrowException:
        return pa.array([None if cell is None else str(cell) for cell in cells])


def _several(words: Sequence[str] | str | None) -> Sequence[str] | None:
    return [words] if isinstance(words, str) else words


def _span(duration: str | float | None) -> int | None:
    return None if duration is None else round(parse_duration(duration) * SECOND)


def _instant(when: Instant | None) -> int | None:
    return None if when is None else nanoseconds(when)


def _some(words: list[str]) -> str:
    more = f" … ({len(words)} in all)" if len(words) > 8 else ""
    return ", ".join(words[:8]) + more
