"""The loop: journal → tick → commit → send → keep. The same live, replayed and in a test.

Owns    the order in which the world is touched, and the way back after a kill.
Never   decides anything: that is the tick's. Never sends what is not committed.

    read entries ─► tick (pure) ─► ledger.commit ─► wire ─► lake, snapshot (derived, may lag)

A restart takes the last snapshot, runs the ledger's later rows again from the journal, and checks
that each gives the digest that was committed: same entries, same bits.
"""

import threading
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from gemel.clock import SECOND, Clock
from gemel.connect.base import Sink
from gemel.errors import Conflict, GemelError, Unavailable
from gemel.flow.derived import Derived
from gemel.flow.fleet import ENGINE, PLAN, Plan
from gemel.flow.journals import refuse_other
from gemel.flow.memory import Memory, begin, pack, unpack
from gemel.flow.outcome import Outcome
from gemel.flow.replay import differs, entries_of, iter_rows
from gemel.flow.tick import tick
from gemel.flow.timing import Timing
from gemel.records import Entry, Invocation, LedgerRow
from gemel.store.forgetting import Forgetting
from gemel.store.journal import Journal
from gemel.store.lake import Lake
from gemel.store.ledger import Ledger
from gemel.store.snapshots import Snapshots
from gemel.store.upkeep import Upkeep

ENTRIES = 400  # of one tick at most: a slow tick stays short enough to answer people
GATHER = 0.05  # s of wall time to let entries come together
BEAT = (0.5, 5.0)  # s of wall time without an entry before the clock beats: at least, at most
KEEP_EVERY = 5.0  # s of wall time between two writes of the lake
KEEP_ROWS = 2_000_000
SNAPSHOT_SHARE = 0.05  # of the time that snapshots may take; one every KEEP_EVERY at most
TRIES = 5  # of a commit whose store is unavailable


class Loop:
    """One shard of one plant, run by one thread."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        ledger: Ledger,
        lake: Lake,
        snapshots: Snapshots,
        clock: Clock,
        sinks: dict[str, Sink],
        on_commit: Callable[[Memory, int, Outcome], None],
    ) -> None:
        self.plan, self.journal, self.ledger, self.clock = plan, journal, ledger, clock
        self.sinks, self._on_commit = sinks, on_commit
        reach = max(plan.rules.lateness, plan.rules.rerun)
        self._lake, self._snapshots, self._derived = lake, snapshots, Derived(lake, reach)
        self.still = threading.Lock()  # held while the memory moves: who wants to look takes it
        self.epoch, self.took = ledger.claim(), Timing()
        journal.claim()
        self._kept_at = time.monotonic()
        self._snapshot_at = self._kept_at + KEEP_EVERY
        self._kept_tick = -1
        keeping = plan.plant.history
        forgetting = Forgetting(journal, ledger, snapshots, lake, keeping.journal)
        self.upkeep = Upkeep(lake, keeping, forgetting=forgetting)
        self.memory, self.tick = self._recover()
        on_commit(self.memory, self.tick, Outcome(at=self.memory.at))

    def run(self, stop: threading.Event, drained: threading.Event) -> None:
        """Until `stop` is set, or `drained` is and the journal is read to its end."""
        with self.upkeep.beside(lambda: self.memory.at - int(self.plan.plant.lateness * SECOND)):
            self._turn(stop, drained)

    def _turn(self, stop: threading.Event, drained: threading.Event) -> None:
        beating = time.monotonic()
        beat = min(max(BEAT[0], self.plan.plant.lateness / self.clock.speed / 4), BEAT[1])
        while not stop.is_set():
            if self.step():
                beating = time.monotonic()
            elif drained.is_set() and self.journal.last() == self.memory.sequence:
                break
            elif self.journal.wait(self.memory.sequence, 0.1):
                time.sleep(GATHER if self.clock.speed != float("inf") else 0.0)
            elif time.monotonic() - beating > beat and self.clock.speed != float("inf"):
                self.journal.append([Entry("beat", "clock", self.clock.now())])
                beating = time.monotonic()
        self.keep()

    def step(self) -> bool:
        """One tick, if there is an entry to take in."""
        entries = self.journal.read(self.memory.sequence, ENTRIES)
        if not entries:
            return False
        with self.still:
            began = time.monotonic()
            outcome = tick(self.plan, self.memory, entries)
            self.tick += 1
            self._commit(self._row(outcome))
            self.took.add(time.monotonic() - began)
        self._derived.take(self.tick, outcome.at, outcome)
        self._on_commit(self.memory, self.tick, outcome)
        for invocation in outcome.outbox:
            self._send(invocation)
        now = time.monotonic()
        if now > self._snapshot_at:
            self.keep()
        elif now - self._kept_at > KEEP_EVERY or self._derived.waiting > KEEP_ROWS:
            self._tell_lake()
        return True

    def events(self, name: str, known: int | None = None) -> pa.Table:
        """Events of one name, those of the last seconds too, which the lake does not have yet."""
        fresh = self._derived.fresh("events")  # first: what is written meanwhile is then in both
        kept = self._lake.known("events")
        rows = self._lake.events(name, as_known_at=kept if known is None else min(kept, known))
        wanted = (pc.field("name") == name) & (pc.field("tick") > kept)
        if known is not None:
            wanted &= pc.field("tick") <= known
        newer = [part.select(rows.column_names).filter(wanted) for part in fresh]
        return pa.concat_tables([rows, *newer], promote_options="permissive")

    @property
    def unwritten(self) -> bool:
        """Whether samples are gathered that history does not hold yet."""
        return bool(self._derived.fresh("telemetry"))

    def keep(self) -> None:
        """Write what is derived: lake first, then the snapshot that lets its rows be forgotten."""
        if self._kept_tick != self.tick and self.tick > 0:
            self._tell_lake()
            began = time.monotonic()
            self._snapshots.save(self.tick, *pack(self.plan, self.memory))
            self._kept_tick, took = self.tick, time.monotonic() - began
            self._snapshot_at = began + max(KEEP_EVERY, took / SNAPSHOT_SHARE)

    def _tell_lake(self) -> None:
        self._derived.write(self.tick)
        self._kept_at = time.monotonic()

    def _row(self, outcome: Outcome) -> LedgerRow:
        return LedgerRow(
            shard=0,
            tick=self.tick,
            epoch=self.epoch,
            at=outcome.at,
            positions=dict(self.memory.positions),
            journal_from=outcome.sequence_from,
            journal_to=outcome.sequence_to,
            books={source: dict(book) for source, book in self.memory.books.items()},
            findings=outcome.findings,
            proposals=outcome.proposals,
            invocations=outcome.invocations,
            outbox=outcome.outbox,
            rejects=outcome.rejects,
            digest=outcome.digest,
            versions=self.plan.versions(),
        )

    def _commit(self, row: LedgerRow) -> None:
        """Commit, and wait a little for a store that is away; then stop, with nothing half done."""
        for attempt in range(TRIES):
            try:
                return self.ledger.commit(row)
            except Unavailable:
                if attempt == TRIES - 1:
                    raise
                time.sleep(0.2 * 2**attempt)

    def _send(self, identity: str) -> None:
        """Put one committed invocation on the wire, once, and journal what became of it."""
        invocation = self.memory.control.invocations.get(identity)
        if invocation is None:
            return
        outcome, detail = self._wire(invocation)
        body = {"invocation": identity, "outcome": outcome, "detail": detail}
        self.journal.append([Entry("sent", "loop", self.clock.now(), body=body)])

    def _wire(self, invocation: Invocation) -> tuple[str, str]:
        if self.clock.now() >= invocation.expires_at:
            return "failed", "it expired before it was sent"
        sink = self.sinks.get(invocation.target) or self.sinks.get("")
        if sink is None:
            return "failed", "no sink reaches this asset"
        try:
            sink.send(invocation)
        except Unavailable as error:
            return "failed", error.message
        except GemelError as error:
            return "unknown", error.message
        return "sent", ""

    def _recover(self) -> tuple[Memory, int]:
        """The memory as of the ledger's last row: snapshot, then the later rows once more."""
        last = self.ledger.last()
        if last is None:
            return begin(self.plan), 0
        refuse_other(self.journal, last)
        self._refuse_changed_kernel(last.versions)
        found = self._snapshots.latest(not_after=last.tick)
        number, memory = 0, begin(self.plan)
        if found is not None:
            number, memory = found[0], unpack(self.plan, found[1], found[2])
        self._kept_tick = number
        changed = last.versions != self.plan.versions()
        for row in iter_rows(self.ledger, number):
            outcome = tick(self.plan, memory, entries_of(self.journal, row))
            if outcome.digest != row.digest and not changed:
                raise differs(row)
            self._derived.take(row.tick, outcome.at, outcome)
            number = row.tick
        self._doubt(memory)
        return memory, number

    def _refuse_changed_kernel(self, before: dict[str, str]) -> None:
        for binding, identity in self.plan.versions().items():
            old = before.get(binding, identity)
            if (
                binding not in (PLAN, ENGINE)
                and old != identity
                and old.rsplit(" ", 1)[0] == identity.rsplit(" ", 1)[0]
            ):
                raise Conflict(
                    "kernel.changed",
                    f"kernel {identity.rsplit(' ', 1)[0]} is not the one that wrote this history",
                    where=f"binding {binding}",
                    mend="give the changed kernel a new version, or start a new data directory",
                )

    def _doubt(self, memory: Memory) -> None:
        """What was at the wire when the process died is unknown, and never sent again."""
        answered = {
            str(entry.body.get("invocation"))
            for entry in self.journal.read(memory.sequence, 100_000)
            if entry.kind in ("sent", "reply")
        }
        for invocation in memory.control.invocations.values():
            if invocation.status == "sending" and not invocation.sent_at:
                if invocation.id not in answered:
                    body = {
                        "invocation": invocation.id,
                        "outcome": "unknown",
                        "detail": "the process stopped at the wire",
                    }
                    self.journal.append([Entry("sent", "loop", self.clock.now(), body=body)])
