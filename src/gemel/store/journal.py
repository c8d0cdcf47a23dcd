"""The journal: every fact that can change anything, durable and in one order.

Owns    what a journal promises, how callers share a commit, and the newest entries in memory.
Never   judges an entry, drops one, or returns before it is durable.

Concurrent callers share one commit: the first to come writes for all who wait (group commit), so
that durability is paid once a group and not once a caller. Where it is kept is the business of
`journalfile.SqliteJournal` (a file, the default) and `journaltopic.KafkaJournal`;
`gemel.testing.journal_checks` tries whether a journal keeps what this page promises.
"""

import json
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import pyarrow as pa

from gemel.errors import Conflict, GemelError, Invalid, NotFound, Unavailable
from gemel.records import Entry
from gemel.store.batches import decode, encode

CALLERS = 64  # who may hold unwritten entries at once; the others wait: back-pressure
TAIL = 1_000_000  # samples (or entries) just written that are kept in memory for who reads on
SOON = 1.0  # s that who can come again waits for what is known to be away
LETTER = ("code", "size", "samples", "erased")  # of a dead letter, what an erasure leaves

Row = tuple[str, str, str, int, bytes | memoryview | None, str]
"""An entry as columns: kind, source, position, received_at, batch, body."""


@dataclass(eq=False)
class Pending:
    """One call of `append` that waits for its commit."""

    rows: list[Row]
    entries: Sequence[Entry]
    sequences: list[int] = field(default_factory=list)
    error: GemelError | None = None
    done: bool = False


@dataclass(frozen=True)
class Erased:
    """What an erasure came to. samples: blanked, in so many entries, which stay with their
    sequence and say so · letters: dead ones that named the twin · how: in words, what is left where
    """

    samples: int = 0
    entries: int = 0
    letters: int = 0
    how: str = ""


class Journal(ABC):
    """The durable input of one plant, safe to use from many threads of the one that writes it.

    Sequences are 1, 2, 3 …, and each has an entry. Some are the journal's own: a beat of the source
    "journal" that says nothing, where it claimed the place or where somebody wrote in vain.

    where: the place, for messages · away: why what keeps it cannot be reached now, "" while it can:
    until it is back, who appends waits · fenced: entries that came from a writer whose time was
    over, and did not enter
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.away = ""
        self.fenced = 0
        self._turn = threading.Condition()  # guards the five below
        self._waiting: list[Pending] = []
        self._leading = False
        self._closed = False
        self._last = 0
        self._tail: deque[Entry] = deque()  # the newest entries, without a gap
        self._held = 0  # samples in the tail
        self._callers = threading.BoundedSemaphore(CALLERS)
        self._released = threading.Event()

    # ---- what each kind of journal does its own way ---------------------------------------------

    @abstractmethod
    def claim(self) -> None:
        """Be the writer: what another appends from here on is refused and does not enter.

        The first append does so, where nobody did before. Raises Conflict `journal.fenced` where
        another writer claims it at the same time.
        """

    @abstractmethod
    def position(self, source: str) -> str:
        """The position of the last entry of that source that has one, else ""."""

    @abstractmethod
    def first(self) -> int:
        """The sequence of the oldest entry that is still there; 1 where none was forgotten."""

    @abstractmethod
    def forget(self, before: int) -> int:
        """Let go of entries with a sequence less than `before`, or of fewer; returns `first()`.

        Positions outlive their entries. May be called from any thread while others append and read.
        """

    @abstractmethod
    def seal(self) -> None:
        """Make here a place at which `forget` can cut; where it can cut anywhere, nothing."""

    @abstractmethod
    def erase(self, twin: str, before: int, until: int, held: int) -> Erased | None:
        """Let go of what a twin told from before an instant, in entries up to `until`.

        held: the sequence up to which a snapshot was taken since: nobody restarts from before it.
        None: not yet, ask again. To do it twice does nothing more.
        """

    @abstractmethod
    def _write(self, group: list[Pending], first: int) -> None:
        """Make a group durable, all of it or none, and give each call its `sequences`.

        first: the sequence after the last. Sets `_last`.
        """

    @abstractmethod
    def _fetch(self, after: int, limit: int) -> list[tuple[int, Row]]:
        """Up to `limit` rows after a sequence, in order."""

    @abstractmethod
    def _shut(self) -> None:
        """Let go of what was opened; nobody writes any more."""

    # ---- what is the same for all ---------------------------------------------------------------

    def append(self, entries: Sequence[Entry], within: float | None = None) -> list[int]:
        """Make entries durable; returns their sequence numbers once they are.

        The entries of one call are in order, and all there or none. `within`: s that a caller waits
        who can tell somebody else to come again (Unavailable `journal.away`); None: until it is
        done. A full disk or a closed journal is `Unavailable`; what cannot be written as bytes is
        `Invalid` and stops nobody else; a writer whose time is over gets Conflict `journal.fenced`.
        """
        if not entries:
            return []
        own = Pending([self._row(entry) for entry in entries], entries)
        if within is not None and self.away:
            within = min(within, SOON)
        until = None if within is None else time.monotonic() + within
        if not self._callers.acquire(timeout=-1 if within is None else within):
            raise self._late("nothing of this was kept")
        try:
            if group := self._join(own, until):
                try:
                    self._lead(group)
                finally:
                    with self._turn:
                        self._leading = False
                        self._turn.notify_all()
        finally:
            self._callers.release()
        if own.error is not None:
            raise own.error
        return own.sequences

    def _join(self, own: Pending, until: float | None) -> list[Pending]:
        """Wait until somebody has written it; or the group that the caller is to write."""
        with self._turn:
            if self._closed:
                raise self._gone()
            self._waiting.append(own)
            self._turn.notify_all()
            while self._leading and not own.done:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    if own in self._waiting:
                        self._waiting.remove(own)
                        raise self._late("nothing of this was kept")
                    raise self._late("whether this is kept is not known yet")
                self._turn.wait(left)
            if own.done:
                return []
            self._leading, group, self._waiting = True, self._waiting, []
            return group

    def _row(self, entry: Entry) -> Row:
        return _row(entry)

    def _lead(self, group: list[Pending]) -> None:
        """Write for everybody in the group, then wake them."""
        error: GemelError | None = None
        try:
            self._write(group, self._last + 1)
        except GemelError as problem:
            error = problem
        except BaseException:
            error = self._unwritable("the commit was interrupted")
            raise
        finally:
            with self._turn:
                for pending in group:
                    if error is None:
                        self._keep(pending)
                    pending.error, pending.done = error, True
                self._turn.notify_all()

    def _keep(self, pending: Pending) -> None:
        """Hold what is durable now for the next reads; what does not follow on begins anew."""
        for entry, sequence, row in zip(
            pending.entries, pending.sequences, pending.rows, strict=True
        ):
            body = json.loads(row[5]) if row[5] else {}  # as it will be read when it is old
            self._hold(replace(entry, sequence=sequence, body=body))
        while self._held > TAIL:
            self._held -= _weight(self._tail.popleft())

    def _hold(self, entry: Entry) -> None:
        if self._tail and self._tail[-1].sequence + 1 != entry.sequence:
            self._tail.clear()
            self._held = 0
        self._tail.append(entry)
        self._held += _weight(entry)

    def read(self, after: int, limit: int = 1000) -> list[Entry]:
        """Up to `limit` entries with a sequence greater than `after`, in order.

        Raises NotFound `journal.gone` where the next one was forgotten.
        """
        with self._turn:
            if self._closed:
                raise self._gone()
            if self._tail and self._tail[0].sequence <= after + 1:
                begin = after + 1 - self._tail[0].sequence
                return list(islice(self._tail, begin, begin + limit))
        if after < self.last() and after + 1 < (first := self.first()):
            raise self._forgotten(after, first)
        rows = self._fetch(after, limit)
        if rows and rows[0][0] != after + 1:  # forgotten meanwhile
            raise self._forgotten(after, rows[0][0])
        return [_entry(sequence, row, self.where) for sequence, row in rows]

    def last(self) -> int:
        """The sequence of the last durable entry, 0 when there is none."""
        with self._turn:
            return self._last

    def wait(self, after: int, timeout: float) -> bool:
        """Wait until there is an entry past `after`; False when `timeout` seconds brought none."""
        with self._turn:
            self._turn.wait_for(lambda: self._last > after or self._closed, timeout)
            return self._last > after

    def let_go(self) -> None:
        """From now on nobody waits for what is away: who would, gets `journal.closed`."""
        self._released.set()

    def close(self) -> None:
        """Finish the commit in hand and close. A second close does nothing."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            self._turn.notify_all()
        self.let_go()
        with self._turn:
            self._turn.wait_for(lambda: not self._leading and not self._waiting)
        self._shut()

    # ---- what goes wrong ------------------------------------------------------------------------

    def _forgotten(self, after: int, first: int) -> NotFound:
        return NotFound(
            "journal.gone",
            f"entry {after + 1} was let go of; the oldest that is there is {first}",
            where=self.where,
            mend="begin at a kept snapshot; the plant file's [history] journal says how long "
            "entries are kept",
        )

    def _gone(self) -> Unavailable:
        return Unavailable(
            "journal.closed",
            "the journal is closed",
            where=self.where,
            mend="Gemel is stopping: send it again once it runs",
        )

    def _late(self, what: str) -> Unavailable:
        return Unavailable(
            "journal.away",
            f"the journal cannot be written now ({self.away or 'it is busy'}): {what}",
            where=self.where,
            mend="send it again: equal samples count once; gemel status tells when it is back",
        )

    def _unwritable(self, problem: object) -> Unavailable:
        return Unavailable(
            "journal.unwritable",
            f"nothing of this was kept: {problem}",
            where=self.where,
            mend="make room on the disk and see that it can be written; the sender may then retry",
        )

    def _unreadable(self, problem: object) -> Unavailable:
        return Unavailable(
            "journal.unreadable",
            f"it cannot be read now: {problem}",
            where=self.where,
            mend="see that this user may read it and may open files, and try again",
        )

    def _fenced(self) -> Conflict:
        return Conflict(
            "journal.fenced",
            "another writer has taken the journal over; nothing of this was kept",
            where=self.where,
            mend="stop this process; the other one goes on",
        )


def _weight(entry: Entry) -> int:
    return 1 if entry.batch is None else 1 + len(entry.batch)


def damaged(where: str, problem: object) -> Unavailable:
    """The error of what is not as a journal wrote it."""
    return Unavailable(
        "journal.damaged",
        f"it cannot be read: {problem}",
        where=where,
        mend="put the file back from a backup; it was not written to",
    )


def _row(entry: Entry) -> Row:
    """An entry as columns; `Invalid` if it has no form as bytes."""
    try:
        entry.source.encode(), entry.position.encode()
        batch = None if entry.batch is None else encode(entry.batch)
        body = json.dumps(entry.body, separators=(",", ":")) if entry.body else ""
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as problem:
        raise Invalid(
            "journal.entry",
            f"an entry of kind '{entry.kind}' cannot be kept: {problem}",
            where=f"source {entry.source!r}",
            mend="names are valid Unicode, values are numbers, a body is plain JSON",
        ) from problem
    return entry.kind, entry.source, entry.position, int(entry.received_at), batch, body


def _entry(sequence: int, row: Row, where: str) -> Entry:
    kind, source, position, received_at, blob, body = row
    try:
        batch = None if blob is None else decode(bytes(blob))
        facts = json.loads(body) if body else {}
    except Exception as problem:  # damage shows in a dozen ways
        raise damaged(where, f"entry {sequence}: {problem}") from problem
    return Entry(kind, source, received_at, position, batch, facts, sequence)


def without(row: Row, twin: str, before: int) -> tuple[Row, int, int]:
    """A row without what a twin told from before an instant; how many samples and letters went.

    The body then says `{"erased": n}`. A letter that cannot be decoded may tell of any instant: one
    that names the twin is blanked.
    """
    kind, source, position, received_at, blob, text = row
    body = json.loads(text) if text else {}
    samples = letters = 0
    if blob is not None:
        batch = decode(bytes(blob))
        gone = batch.twin.are(twin) & (batch.instant < before)
        if samples := int(gone.sum()):
            blob = encode(batch.part(~gone))
    elif kind == "dead" and twin in json.dumps(body, ensure_ascii=False):
        body, letters = {name: body[name] for name in LETTER if name in body}, 1
    if not samples and not letters:
        return row, 0, 0
    body["erased"] = body.get("erased", 0) + samples + letters
    told = json.dumps(body, separators=(",", ":"))
    return (kind, source, position, received_at, blob, told), samples, letters
