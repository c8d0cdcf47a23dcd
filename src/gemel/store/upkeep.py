"""Upkeep of the lake beside the tick: sort, gather, roll up, drop what is old, erase.

Owns    when files are joined, the newest values, the roll-ups, retention, erasure and vacuum.
Never   stops a writer or a reader: it works in a thread of its own, of low priority, with
        transactions of its own, and a stop between any two of them leaves the lake whole.

Files are joined like cards: the newest that together are no smaller than the one before them.
So a fact is written again only when its file has doubled, until the file is FULL.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gemel.clock import SECOND
from gemel.errors import GemelError, Unavailable
from gemel.graph.plantfile import Keeping
from gemel.store.coded import unified
from gemel.store.delta import ERASED, KEPT, MADE, TAKEN, WRITTEN, Table, apart, cut, read, sort
from gemel.store.forgetting import Forgetting
from gemel.store.lake import SCHEMAS, Lake
from gemel.store.rollups import KEYS, Tier, is_amended, tiers
from gemel.store.sql import Reader
from gemel.store.wanted import Part, Wanted

EVERY = 60.0  # s of wall time from one round's begin to the next's, if it takes no longer
FULL = 4_000_000  # rows of a file that is joined with no other
SEVERAL = 8  # files that are worth joining, however small
SPARSE = 8  # pairs of signal and twin that may be, for each row
STEP = 86_400 * SECOND  # retention drops whole days
HOUR = 3600.0  # s of wall time between two vacuums
NICE = 10  # the priority of the thread: the tick comes first
ORDER = {
    "telemetry": ("signal", "twin"),
    "estimates": ("name", "twin"),
    "findings": ("twin",),
    "events": ("name",),
}


@dataclass
class Joined:
    """What a round has joined: the decks, the newest facts of them, their last tick."""

    decks: set[str] = field(default_factory=set)
    newest: list[pa.Table] = field(default_factory=list)
    last: int = -1

    def add(self, deck: str, rows: pa.Table, last: int) -> None:
        self.decks.add(deck)
        self.newest = [newest([*self.newest, newest([rows])])]
        self.last = max(self.last, last)


@dataclass
class Upkeep:
    """The upkeep of one lake, by the one process that writes it.

    closed: the instant before which no fact is expected any more, ns · failure: what the last
    round could not do; the next tries again. forgetting: what else is let go of, journal first
    """

    lake: Lake
    keeping: Keeping = field(default_factory=Keeping)
    failure: GemelError | None = None
    forgetting: Forgetting | None = None

    def __post_init__(self) -> None:
        self._reader = Reader(threads=1)
        self._vacuumed = time.monotonic()
        self._joined = Joined()

    @contextmanager
    def beside(self, closed: Callable[[], int]) -> Iterator[None]:
        """While the context lasts, a round every EVERY seconds in a thread of its own; one that
        takes longer is followed by the next."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(closed, stop), name="gemel-upkeep")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _run(self, closed: Callable[[], int], stop: threading.Event) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        due = time.monotonic() + EVERY
        while not stop.wait(max(due - time.monotonic(), 0.0)):
            due = time.monotonic() + EVERY
            try:
                for _ in self.round(closed()):
                    if stop.is_set():
                        return
                self.failure = None
            except GemelError as error:
                self.failure = error  # the lake is derived: the plant goes on, and this is told
            except (pa.ArrowException, MemoryError) as error:
                self.failure = Unavailable(
                    "lake.upkeep",
                    f"history could not be kept up: {type(error).__name__} {error}",
                    where=str(self.lake.folder),
                    mend="see that there is memory; the next round tries again",
                )

    def round(self, closed: int) -> Iterator[str]:
        """Everything that is due, a step at a time; says what it did."""
        self._joined = Joined()
        for name, keys in ORDER.items():
            yield from self._join(self.lake.table(name), keys)
        yield from self._gather()
        self._joined = Joined()  # what is erased from here on is in it still
        for width in self.keeping.rollup:
            tier = Tier(self.lake, int(width * SECOND))
            for made in chain(tier.make(self._reader, closed), tier.fleet.gather(self._reader)):
                yield f"rolled up to {made}"
        for table in self._rolled():
            yield from self._join(table, KEYS)
        yield from self._drop(closed)
        yield from self._erase()
        if self.forgetting is not None:
            yield from self.forgetting.round(closed)
        if time.monotonic() - self._vacuumed > HOUR:
            self.vacuum()
            yield "vacuumed"

    def vacuum(self, **how: int) -> int:
        """Delete the files that were replaced a week ago; how many."""
        self._vacuumed = time.monotonic()
        return sum(table.vacuum(**how) for table in self._every())

    def _every(self) -> list[Table]:
        named = [self.lake.table(name) for name in SCHEMAS]
        return [*named, self.lake.newest, *self._rolled()]

    def _rolled(self) -> Iterable[Table]:
        return chain.from_iterable((tier.table, tier.fleet.table) for tier in tiers(self.lake))

    # ---- joining --------------------------------------------------------------------------------

    def _join(self, table: Table, keys: Sequence[str]) -> Iterator[str]:
        parts = table.look().parts
        for amended in (False, True):
            for group in due([part for part in parts if is_amended(part) == amended]):
                rows = sort(read(table.folder, group, keys_of(table)), keys)
                last = max(part.high["tick"] for part in group)
                name = f"{'amend-' if amended else ''}sorted-{last:09d}"
                pieces = apart(rows) if table is self.lake.table("telemetry") else [rows]
                files = [file for piece in pieces if len(piece) for file in cut(piece, keys[0])]
                table.replace(group, files, {}, name)
                if table is self.lake.table("telemetry"):
                    self._joined.add(name, rows, last)
                yield f"joined {len(group)} files, {len(rows)} rows"

    # ---- newest values --------------------------------------------------------------------------

    def _gather(self) -> Iterator[str]:
        """The newest fact of each signal of each twin, for `Lake.latest`."""
        table, facts = self.lake.newest, self.lake.table("telemetry")
        look, old = facts.look(), table.look()
        taken, known = old.marks[TAKEN], look.marks[WRITTEN]
        if self._joined.last > taken:
            known = self._joined.last  # what came since is read once, when it is joined
        if known <= taken:
            return
        words, several = keys_of(table), [table.schema.empty_table(), *self._joined.newest]
        if old.parts:
            several.append(read(table.folder, old.parts, words))
        for until in _steps(look.parts, taken, known):
            newer = Wanted(after=taken, known=until)
            for part in look.parts:
                if newer.reaches(part) and part.deck not in self._joined.decks:
                    rows = read(facts.folder, [part], words)
                    later = part.high["tick"] > until
                    several.append(rows.filter(pc.field("tick") <= until) if later else rows)
            several, taken = [newest(several)], until
        gathered = [sort(part, KEYS) for part in several if len(part)]
        table.replace(old.parts, gathered, {TAKEN: known}, f"newest-{known:09d}", changes=True)
        yield f"gathered the newest of {sum(map(len, gathered))} signals"

    # ---- retention ------------------------------------------------------------------------------

    def _drop(self, closed: int) -> Iterator[str]:
        """Telemetry older than its retention, where every roll-up of it is there; then roll-ups."""
        made = [tier for tier in tiers(self.lake) if tier.width / SECOND in self.keeping.rollup]
        facts = self.lake.table("telemetry")
        known, ends = facts.mark(WRITTEN), [tier.table.look().marks for tier in made]
        if ends and all(marks[TAKEN] >= known for marks in ends):
            cut = _cut(closed, self.keeping.retention, min(marks[MADE] for marks in ends))
            yield from self._cut_off(facts, cut)
        for tier in made:
            keep = self.keeping.rollup[tier.width / SECOND]
            for table in (tier.table, tier.fleet.table):
                yield from self._cut_off(table, _cut(closed, keep, closed))

    def _cut_off(self, table: Table, cut: int) -> Iterator[str]:
        look = table.look()
        cut = max(cut, look.marks[KEPT])
        if any(part.low["instant"] < cut for part in look.parts):
            if cut > look.marks[KEPT]:  # first: from here on, no roll-up is made of what goes
                table.append(table.schema.empty_table(), {KEPT: cut})
            count = self._without(table, Wanted(end=cut), pc.field("instant") >= cut)
            yield f"dropped {count} rows before {cut}"

    def _without(self, table: Table, gone: Wanted, kept: pc.Expression) -> int:
        """Write anew the files that hold rows that go, a file a commit; how many rows went."""
        count = 0
        for part in [part for part in table.look().parts if gone.reaches(part)]:
            rows = read(table.folder, [part], keys_of(table))
            left = rows.filter(kept)
            if len(left) < len(rows):
                new = [unified(left)] if len(left) else []
                table.replace([part], new, {}, part.deck, changes=True)
                count += len(rows) - len(left)
        return count

    # ---- erasure --------------------------------------------------------------------------------

    def _erase(self) -> Iterator[str]:
        """Carry out the erasures that the events tell of, and no later fact."""
        facts = self.lake.table("telemetry")
        done = facts.mark(ERASED)
        for event in self.lake.events("erasure").to_pylist():
            if event["tick"] > done:
                body = json.loads(event["body"])
                count = self.erase(body["twin"], int(body["before"]), event["tick"])
                facts.append(facts.schema.empty_table(), {ERASED: event["tick"]})
                yield f"erased {count} rows of {body['twin']}"

    def erase(self, twin: str, before: int, tick: int) -> int:
        """Delete what was known of a twin at `tick` from before an instant, and the old files."""
        gone = Wanted({"twin": [twin]}, end=before, known=tick)
        one = (pc.field("twin") == twin) & (pc.field("instant") < before)
        kept = ~(one & (pc.field("tick") <= tick))
        erased = [self.lake.table("telemetry"), self.lake.table("estimates"), self.lake.newest]
        count = sum(self._without(table, gone, kept) for table in erased)
        facts = self.lake.table("telemetry").look()
        for tier in tiers(self.lake):
            made, kept_from = tier.table.mark(MADE), facts.marks[KEPT]
            until = min(-(-before // tier.width) * tier.width, made)
            of_tier = Wanted({"twin": [twin]}, end=until)
            left = (pc.field("twin") != twin) | (pc.field("instant") >= until)
            tier.fleet.forget()
            self._without(tier.table, of_tier, left)
            touched = tier.touched(self._reader, facts, replace(of_tier, start=kept_from))
            tier.amend(self._reader, facts, touched, {})
            list(tier.fleet.gather(self._reader))
        self.vacuum(hours=0)
        return count


def due(parts: Sequence[Part]) -> list[list[Part]]:
    """Which files are to be joined: groups of neighbours in time, the newest group first.

    >>> uuid = "-5f0c6a3e-0000-0000-0000-000000000000.parquet"
    >>> old = [Part(f"sorted-{rows}{uuid}", rows, 0, {}, {}) for rows in (FULL, 900)]
    >>> new = [Part(f"part-{tick}{uuid}", 9, 0, {}, {}) for tick in range(8)]
    >>> [[part.rows for part in group] for group in due(old + new)]
    [[9, 9, 9, 9, 9, 9, 9, 9]]
    """
    decks: dict[str, list[Part]] = {}
    for part in parts:
        decks.setdefault(part.deck, []).append(part)
    groups: list[list[list[Part]]] = [[]]
    for deck in reversed(decks.values()):
        rows, more = _rows(chain(*groups[-1])), _rows(deck)
        if groups[-1] and (rows + more > FULL or (len(groups[-1]) >= SEVERAL and more > rows)):
            groups.append([])
        groups[-1].insert(0, deck)
    return [
        list(chain(*group))
        for group in groups
        if len(group) >= SEVERAL
        or _rows(p for p in chain(*group) if p.path.startswith("part")) > FULL // 4
    ]


def _rows(parts: Iterable[Part]) -> int:
    return sum(part.rows for part in parts)


def keys_of(table: Table) -> list[str]:
    """The columns of words, but for free text."""
    words = [f.name for f in table.schema if pa.types.is_string(f.type)]
    return [name for name in words if name not in ("body", "evidence", "text")]


def _steps(parts: Sequence[Part], taken: int, known: int) -> list[int]:
    """Ticks up to which FULL facts each have come, about."""
    steps, rows = [], 0
    for part in sorted(parts, key=lambda part: int(part.high["tick"])):
        if taken < part.high["tick"] < known:
            rows += part.rows
            if rows >= FULL:
                steps.append(int(part.high["tick"]))
                rows = 0
    return [*steps, known] if known > taken else []


def _cut(closed: int, keep: float, most: int) -> int:
    """The start of the day before which nothing is kept; −1: everything is."""
    if keep == float("inf"):
        return -1
    cut = min(closed - int(keep * SECOND), most)
    return cut - cut % STEP


def newest(parts: Sequence[pa.Table]) -> pa.Table:
    """Of each signal of each twin the fact with the greatest instant, then tick, then row.

    >>> words = pa.array(["a", "a", "a"]).dictionary_encode()
    >>> told = {"twin": words, "signal": words, "fate": pa.array(["stored"] * 3)}
    >>> told |= {"instant": [5, 6, 6], "tick": [3, 2, 2], "row": [0, 8, 7]}
    >>> newest([pa.table(told)])["row"].to_pylist()
    [8]
    """
    several = [part for part in parts if len(part)]
    if not several:
        return parts[0]
    rows = unified(pa.concat_tables(several, promote_options="default")).combine_chunks()
    none = pc.is_in(rows["fate"], pa.array(["duplicate", "rejected"]))
    if pc.any(none).as_py():
        rows = rows.filter(pc.invert(none)).combine_chunks()
    if not len(rows):
        return rows
    signal, twin = (rows[name].chunk(0) for name in KEYS)
    key = signal.indices.to_numpy().astype(np.int64) * len(twin.dictionary)
    key += twin.indices.to_numpy()
    count = len(signal.dictionary) * len(twin.dictionary)
    if count > SPARSE * len(rows):  # most signals are of few twins
        pairs, key = np.unique(key, return_inverse=True)
        count = len(pairs)
    instant, tick, row = (rows[name].to_numpy() for name in ("instant", "tick", "row"))
    latest = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(latest, key, instant)
    last = np.flatnonzero(instant == latest[key])
    last = last[np.lexsort((row[last], tick[last]))]
    place = np.full(count, -1)
    place[key[last]] = last  # of several the last
    return rows.take(pa.array(place[place >= 0]))
