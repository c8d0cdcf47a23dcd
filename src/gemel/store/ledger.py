"""The ledger: one row a tick is the commit point, and the only truth of every command.

Owns    epochs, the rows of the ticks, the current form and every past form of findings, proposals
        and invocations, dead letters, runs with their steps, and the audit chain.
Never   overwrites history, or accepts a row of a writer whose epoch has passed.

SQLite (WAL, `synchronous=FULL`) by default, PostgreSQL by URL: the same SQL for both. A record is
plain JSON; a number that is not finite is kept as null, because JSON has no other word for it.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, NoSuchModuleError, SQLAlchemyError

from gemel import hooks
from gemel.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from gemel.records import LedgerRow

Record = dict[str, Any]
ERASED = "erased"  # the action of a receipt

_ROW = [field.name for field in fields(LedgerRow)]

_schema = sa.MetaData()
_Long = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # so that SQLite counts it by itself
_Name = sa.String()


def _column(name: str, kind: Any = sa.BigInteger, **how: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **how)


# A counter row is updated first in a transaction: that locks it in SQLite and PostgreSQL alike.
_counter = sa.Table(
    "counter",
    _schema,
    _column("name", _Name, primary_key=True),
    _column("value"),
    _column("hash", _Name),
)
_ledger = sa.Table(
    "ledger",
    _schema,
    _column("shard", sa.Integer, primary_key=True, autoincrement=False),
    _column("tick", primary_key=True, autoincrement=False),
    _column("epoch"),
    _column("at"),
    _column("positions", sa.JSON),
    _column("journal_from"),
    _column("journal_to"),
    _column("books", sa.JSON),
    _column("findings", sa.JSON),
    _column("proposals", sa.JSON),
    _column("invocations", sa.JSON),
    _column("outbox", sa.JSON),
    _column("rejects", sa.JSON),
    _column("digest", _Name),
    _column("versions", sa.JSON),
)
_change = sa.Table(
    "change",
    _schema,
    _column("n", _Long, primary_key=True),
    _column("kind", _Name),
    _column("id", _Name),
    _column("tick"),
    _column("status", _Name),
    _column("twin", _Name),
    _column("instant"),
    _column("record", sa.JSON),
    sa.Index("change_of", "kind", "id", "tick"),
)
_dead_letter = sa.Table(
    "dead_letter",
    _schema,
    _column("n", _Long, primary_key=True),
    _column("tick"),
    _column("source", _Name, index=True),
    _column("record", sa.JSON),
)
_LEFT = ("source", "fate", "code", "at", "sequence")  # of one that was erased
_TOLD = ("twin", "signal", "message", "head")  # of a dead letter, what a text is looked for in
_run = sa.Table(
    "run",
    _schema,
    _column("id", _Name, primary_key=True),
    _column("definition", _Name),
    _column("status", _Name, index=True),
    _column("created_at"),
    _column("record", sa.JSON),
)
_step = sa.Table(
    "step",
    _schema,
    _column("n", _Long, primary_key=True),
    _column("run", _Name),
    _column("step", _Name),
    _column("record", sa.JSON),
    sa.UniqueConstraint("run", "step"),
)
_audit = sa.Table(
    "audit",
    _schema,
    _column("n", primary_key=True, autoincrement=False),
    _column("at"),
    _column("actor", _Name),
    _column("action", _Name),
    _column("detail", sa.JSON),
    _column("previous", _Name),
    _column("hash", _Name),
)


def _current(kind: str) -> sa.Table:
    return sa.Table(
        kind,
        _schema,
        _column("id", _Name, primary_key=True),
        _column("tick"),
        _column("status", _Name),
        _column("twin", _Name, index=True),
        _column("instant"),
        _column("record", sa.JSON),
        sa.Index(f"{kind}_status", "status", "instant"),
    )


_CURRENT = {kind: _current(kind) for kind in ("finding", "proposal", "invocation")}


class Ledger:
    """The ledger of one data directory; reads and writes are safe from several threads.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ledger = Ledger(f"sqlite:///{folder}/ledger.db")
    ...     ledger.claim(), ledger.claim(), ledger.last()
    ...     ledger.close()
    (1, 2, None)
    """

    def __init__(self, url: str, readonly: bool = False) -> None:
        self.readonly = readonly
        self._engine = engine(url, readonly)
        self.url = self._engine.url
        if not readonly:
            with self._writing() as base:
                _schema.create_all(base)
            self._insert(_counter, {"name": "audit", "value": 0, "hash": ""})

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    # -- the tick ---------------------------------------------------------------------------

    def claim(self, shard: int = 0) -> int:
        """Take the next epoch of a shard: every earlier writer is fenced from here on."""
        name = f"epoch:{shard}"
        self._insert(_counter, {"name": name, "value": 0, "hash": ""})
        with self._writing() as base:
            return self._count(base, name)[0]

    def commit(self, row: LedgerRow) -> None:
        """Commit one tick in one transaction, or nothing of it.

        `Conflict` `ledger.fenced`: another writer has taken a later epoch. `Conflict`
        `ledger.out_of_order`: the tick is not the one after the last.
        """
        with self._writing() as base:
            self._check(base, row)
            base.execute(_ledger.insert(), {name: getattr(row, name) for name in _ROW})
            for kind, records, at in (
                ("finding", row.findings, "instant"),
                ("proposal", row.proposals, "created_at"),
                ("invocation", row.invocations, "created_at"),
            ):
                _keep(base, kind, row.tick, records, at)
            if row.rejects:
                letters = [
                    {"tick": row.tick, "source": str(record.get("source", "")), "record": record}
                    for record in row.rejects
                ]
                base.execute(_dead_letter.insert(), letters)
            hooks.at("ledger.before_commit")
        hooks.at("ledger.after_commit")

    def _check(self, base: sa.Connection, row: LedgerRow) -> None:
        ours = (_counter.c.name == f"epoch:{row.shard}") & (_counter.c.value == row.epoch)
        locked = base.execute(_counter.update().where(ours).values(value=row.epoch))
        if locked.rowcount != 1:
            raise Conflict(
                "ledger.fenced",
                f"epoch {row.epoch} has passed: another writer has taken over",
                where=f"shard {row.shard}, tick {row.tick}",
                mend="stop this process; nothing of the tick was kept, the other writer goes on",
            )
        last = base.execute(
            sa.select(sa.func.max(_ledger.c.tick)).where(_ledger.c.shard == row.shard)
        ).scalar()
        if row.tick != (last or 0) + 1:
            raise Conflict(
                "ledger.out_of_order",
                f"the tick after {last or 0} is {(last or 0) + 1}, not {row.tick}",
                where=f"shard {row.shard}",
                mend="throw the tick away, rebuild from snapshot and journal, commit again",
            )

    def last(self, shard: int = 0) -> LedgerRow | None:
        """The last committed row of a shard, None before the first."""
        query = _ledger.select().where(_ledger.c.shard == shard)
        rows = self._ask(query.order_by(_ledger.c.tick.desc()).limit(1))
        return _row(rows[0]) if rows else None

    def rows(self, after_tick: int = 0, limit: int = 1000, shard: int = 0) -> list[LedgerRow]:
        """Up to `limit` rows with a tick greater than `after_tick`, in order."""
        query = _ledger.select().where(_ledger.c.shard == shard, _ledger.c.tick > after_tick)
        return [_row(row) for row in self._ask(query.order_by(_ledger.c.tick).limit(limit))]

    def tick_at(self, instant: int, shard: int = 0) -> int:
        """The last tick that was known at an instant of the plant's clock, 0 before the first."""
        query = sa.select(sa.func.max(_ledger.c.tick)).where(
            _ledger.c.shard == shard, _ledger.c.at <= instant
        )
        return int(self._ask(query)[0][0] or 0)

    # -- records ----------------------------------------------------------------------------

    def findings(
        self,
        status: str | None = None,
        twin: str | None = None,
        as_known_at: int | None = None,
        limit: int = 500,
    ) -> list[Record]:
        """Findings, newest first; `as_known_at`: as they stood after that tick."""
        return self._records("finding", status, twin, as_known_at, limit)

    def proposals(
        self,
        status: str | None = None,
        twin: str | None = None,
        as_known_at: int | None = None,
        limit: int = 500,
    ) -> list[Record]:
        """Proposals, newest first; `as_known_at`: as they stood after that tick."""
        return self._records("proposal", status, twin, as_known_at, limit)

    def invocations(
        self,
        status: str | None = None,
        twin: str | None = None,
        as_known_at: int | None = None,
        limit: int = 500,
    ) -> list[Record]:
        """Invocations, newest first; `as_known_at`: as they stood after that tick."""
        return self._records("invocation", status, twin, as_known_at, limit)

    def proposal(self, id: str) -> Record | None:
        """The current form of one proposal."""
        table = _CURRENT["proposal"]
        rows = self._ask(sa.select(table.c.record).where(table.c.id == id))
        return rows[0][0] if rows else None

    def life(self, kind: str, id: str) -> list[tuple[int, int, Record]]:
        """Every form of one finding, proposal or invocation, the oldest first: (tick, the plant
        clock's instant of that tick, record)."""
        query = (
            sa.select(_change.c.tick, _ledger.c.at, _change.c.record)
            .join(_ledger, _ledger.c.tick == _change.c.tick)
            .where(_change.c.kind == kind, _change.c.id == id, _ledger.c.shard == 0)
            .order_by(_change.c.n)
        )
        return [(row[0], row[1], row[2]) for row in self._ask(query)]

    def _records(
        self, kind: str, status: str | None, twin: str | None, known: int | None, limit: int
    ) -> list[Record]:
        table = _CURRENT[kind] if known is None else _change
        query = sa.select(table.c.record)
        if known is not None:
            latest = (
                sa.select(sa.func.max(_change.c.n))
                .where(_change.c.kind == kind, _change.c.tick <= known)
                .group_by(_change.c.id)
            )
            query = query.where(_change.c.n.in_(latest))
        if status is not None:
            query = query.where(table.c.status == status)
        if twin is not None:
            query = query.where(table.c.twin == twin)
        query = query.order_by(table.c.instant.desc(), table.c.id).limit(limit)
        return [row[0] for row in self._ask(query)]

    def dead_letters(
        self,
        source: str | None = None,
        limit: int = 100,
        *,
        code: str | None = None,
        fate: str | None = None,
        text: str | None = None,
        as_known_at: int | None = None,
    ) -> list[Record]:
        """Dead letters and refused samples, newest first; `as_known_at`: up to that tick.

        code: the error's · fate: dead | rejected · text: somewhere in twin, signal or message
        """
        query = sa.select(_dead_letter.c.record).order_by(_dead_letter.c.n.desc())
        if source is not None:
            query = query.where(_dead_letter.c.source == source)
        if as_known_at is not None:
            query = query.where(_dead_letter.c.tick <= as_known_at)
        for name, wanted in (("code", code), ("fate", fate)):
            if wanted is not None:
                query = query.where(_dead_letter.c.record[name].as_string() == wanted)
        if text is not None:
            parts = [_dead_letter.c.record[name].as_string() for name in _TOLD]
            query = query.where(sa.or_(*(part.contains(text, autoescape=True) for part in parts)))
        return [row[0] for row in self._ask(query.limit(limit))]

    def erase(self, twin: str, before: int, tick: int) -> int:
        """Blank what dead letters and refused samples up to a tick tell of a twin from before an
        instant; how many. What was found, proposed and decided stays.

        SQLite overwrites the old bytes; PostgreSQL gives them up in its next vacuum.
        """
        count = 0
        for table, column in ((_dead_letter, "record"), (_ledger, "rejects")):
            kept = table.c[column]
            keys = list(table.primary_key.columns)
            named = sa.cast(kept, sa.String).contains(twin, autoescape=True)
            query = sa.select(*keys, kept).where(table.c.tick <= tick, named)
            for row in self._ask(query):
                found = row[-1] if isinstance(row[-1], list) else [row[-1]]
                left = [_blank(record, twin, before) for record in found]
                if left != found:
                    count += sum(a != b for a, b in zip(left, found, strict=True))
                    one = sa.and_(*(key == row[k] for k, key in enumerate(keys)))
                    value = left if isinstance(row[-1], list) else left[0]
                    with self._writing() as base:
                        base.execute(table.update().where(one).values({column: value}))
        if self.url.get_backend_name() == "sqlite":
            with _told(self.url), self._engine.connect() as base:
                base.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    # -- runs -------------------------------------------------------------------------------

    def put_run(self, record: Record) -> None:
        """Keep the present form of a run: id, definition, started_by, status, created_at, …"""
        values = {name: record[name] for name in ("id", "definition", "status", "created_at")}
        values["record"] = record
        if not self._insert(_run, values):
            with self._writing() as base:
                base.execute(_run.update().where(_run.c.id == record["id"]), values)

    def runs(self, status: str | None = None, limit: int = 500) -> list[Record]:
        """Runs, newest first."""
        query = sa.select(_run.c.record)
        if status is not None:
            query = query.where(_run.c.status == status)
        query = query.order_by(_run.c.created_at.desc(), _run.c.id).limit(limit)
        return [row[0] for row in self._ask(query)]

    def run(self, id: str) -> Record | None:
        """One run, None when there is none of that id."""
        rows = self._ask(sa.select(_run.c.record).where(_run.c.id == id))
        return rows[0][0] if rows else None

    def put_step(self, run: str, step: str, record: Record) -> Record:
        """Keep a step's outcome once: the first counts, and is what every later call returns."""
        self._insert(_step, {"run": run, "step": step, "record": record})
        return self.steps(run)[step]

    def steps(self, run: str) -> dict[str, Record]:
        """The outcomes of a run's steps by name, in the order in which they were kept."""
        query = sa.select(_step.c.step, _step.c.record).where(_step.c.run == run)
        return {row[0]: row[1] for row in self._ask(query.order_by(_step.c.n))}

    # -- audit ------------------------------------------------------------------------------

    def audit(self, actor: str, action: str, detail: Record, at: int) -> None:
        """Append who did what; each row carries the hash of the one before it."""
        with self._writing() as base:
            n, previous = self._count(base, "audit")
            row = {"n": n, "at": at, "actor": actor, "action": action, "previous": previous}
            row["detail"] = json.loads(_dumps(detail))
            row["hash"] = _hash(row)
            base.execute(_audit.insert(), row)
            base.execute(_counter.update().where(_counter.c.name == "audit"), {"hash": row["hash"]})

    def audits(self, limit: int = 100) -> list[Record]:
        """Audit rows, newest first."""
        rows = self._ask(_audit.select().order_by(_audit.c.n.desc()).limit(limit))
        return [dict(row._mapping) for row in rows]

    def receipts(self) -> list[Record]:
        """What the erasures that were carried out came to, as the audit chain has them."""
        rows = self._ask(_audit.select().where(_audit.c.action == ERASED).order_by(_audit.c.n))
        return [dict(row._mapping) for row in rows]

    def audit_break(self) -> int | None:
        """The number of the first audit row that does not fit the chain; None: it is whole."""
        previous, expected = "", 1
        for row in (dict(row._mapping) for row in self._ask(_audit.select().order_by("n"))):
            kept = row.pop("hash")
            if row["n"] != expected or row["previous"] != previous or kept != _hash(row):
                return expected
            previous, expected = kept, expected + 1
        head = self._ask(_counter.select().where(_counter.c.name == "audit"))[0]
        return None if (head.value, head.hash) == (expected - 1, previous) else expected

    # -- transactions -----------------------------------------------------------------------

    @staticmethod
    def _count(base: sa.Connection, name: str) -> tuple[int, str]:
        """Lock a counter, add one; returns its value and the hash it holds."""
        own = _counter.c.name == name
        base.execute(_counter.update().where(own).values(value=_counter.c.value + 1))
        row = base.execute(_counter.select().where(own)).one()
        return int(row.value), str(row.hash)

    def _ask(self, query: sa.Select[Any]) -> Sequence[Any]:
        with _told(self.url), self._engine.connect() as base:
            return base.execute(query).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        if self.readonly:
            raise Denied(
                "ledger.readonly",
                "this ledger was opened for reading only",
                mend="write through the running Gemel (its HTTP API or the command line)",
            )
        with _told(self.url), self._engine.begin() as base:
            yield base

    def _insert(self, table: sa.Table, values: Record) -> bool:
        """Insert a row unless it is already there; says whether it was inserted."""
        try:
            with self._writing() as base:
                base.execute(table.insert(), values)
        except IntegrityError:
            return False
        return True


def engine(url: str, readonly: bool = False) -> sa.Engine:
    """A database engine with our JSON, our SQLite pragmas, and errors that tell the mend."""
    try:
        address = sa.make_url(url)
    except SQLAlchemyError as problem:
        raise _bad_url(problem) from problem
    if address.drivername in ("postgres", "postgresql"):
        address = address.set(drivername="postgresql+psycopg")
    sqlite = address.get_backend_name() == "sqlite"
    try:
        made = sa.create_engine(
            address, json_serializer=_dumps, connect_args={"timeout": 10} if sqlite else {}
        )
    except ModuleNotFoundError as problem:
        raise Unavailable(
            "extra.missing",
            f"the driver '{problem.name}' for this database is not installed",
            mend="pip install 'gemel[postgres]'",
        ) from problem
    except (NoSuchModuleError, SQLAlchemyError) as problem:
        raise _bad_url(problem) from problem
    if sqlite:
        if readonly and address.database and not Path(address.database).is_file():
            raise NotFound(
                "database.missing",
                "there is no such database file",
                where=address.database,
                mend="look at the path; a relative one starts at the working directory",
            )

        @sa.event.listens_for(made, "connect")
        def prepare(base: Any, record: Any) -> None:
            if readonly:
                base.execute("PRAGMA query_only=ON")
            else:
                base.execute("PRAGMA journal_mode=WAL")
                base.execute("PRAGMA synchronous=FULL")
                base.execute("PRAGMA secure_delete=ON")

    return made


def _bad_url(problem: Exception) -> Invalid:
    return Invalid(
        "database.url",
        f"this is not the URL of a database: {problem}",
        mend="write sqlite:///path/to/file.db or postgresql://user:password@host/name",
    )


@contextmanager
def _told(url: sa.URL) -> Iterator[None]:
    """Turn a database's error into ours; a row that is already there stays as it is."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as problem:
        if isinstance(problem.__cause__, Invalid):  # from _dumps, wrapped on its way
            raise problem.__cause__ from None
        text = str(getattr(problem, "orig", None) or problem).strip().splitlines()[0]
        place = url.render_as_string(hide_password=True)
        if "no such table" in text or "does not exist" in text:
            raise NotFound(
                "ledger.missing",
                f"there is no ledger here: {text}",
                where=place,
                mend="start Gemel on it once (gemel run), or look for the right data directory",
            ) from problem
        raise Unavailable(
            "ledger.unavailable",
            f"the database did not answer, nothing was kept: {text}",
            where=place,
            mend="see that it runs, can be written and has room; what was sent can be sent again",
        ) from problem


def _keep(base: sa.Connection, kind: str, tick: int, records: list[Record], at: str) -> None:
    """Append each change, and set the current form to the last."""
    if not records:
        return
    rows = [
        {
            "kind": kind,
            "id": record["id"],
            "tick": tick,
            "status": record["status"],
            "twin": record["twin"],
            "instant": record[at],
            "record": record,
        }
        for record in records
    ]
    base.execute(_change.insert(), rows)
    table, latest = _CURRENT[kind], {row["id"]: row for row in rows}
    old = table.delete().where(table.c.id == sa.bindparam("key"))
    base.execute(old, [{"key": key} for key in latest])
    columns = [column.name for column in table.columns]
    base.execute(table.insert(), [{name: row[name] for name in columns} for row in latest.values()])


def _blank(record: Record, twin: str, before: int) -> Record:
    """A refused sample or a dead letter without what it told of a twin."""
    instant = record.get("instant")
    if isinstance(instant, int):
        gone = record.get("twin") == twin and instant < before
    else:
        gone = twin in json.dumps(record, ensure_ascii=False)
    if not gone or record.get("erased"):
        return record
    return {name: record[name] for name in _LEFT if name in record} | {"erased": 1}


def _row(row: Any) -> LedgerRow:
    return LedgerRow(**{name: row._mapping[name] for name in _ROW})


def _hash(row: Record) -> str:
    text = json.dumps({k: row[k] for k in row if k != "hash"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _dumps(value: Any) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except TypeError as problem:
        raise Invalid(
            "ledger.record",
            f"a record is not plain JSON: {problem}",
            mend="turn arrays and classes into lists, numbers and words first (as_record)",
        ) from problem
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if isinstance(value, float) and value - value != 0:  # inf − inf and nan − nan are nan
        return None
    return value
