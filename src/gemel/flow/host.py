"""A host: one plant, its data directory, its sources, its loop and its runs.

Owns    what is opened and started together, and stopped in the right order.
Never   decides: it carries questions to the journal and answers back from the ledger.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from gemel.clock import SECOND, Clock, ManualClock, PacedClock, WallClock
from gemel.connect.base import Source, dead_letter
from gemel.connect.broker import EmbeddedBroker
from gemel.connect.decoded import Decoded
from gemel.connect.http import Inlet
from gemel.connect.link import Address
from gemel.errors import (
    Bug,
    Conflict,
    GemelError,
    Invalid,
    NotFound,
    Unavailable,
    catalogue,
)
from gemel.flow import redrive
from gemel.flow.commands import command_of
from gemel.flow.described import described, members
from gemel.flow.fleet import Plan
from gemel.flow.journals import open_journal
from gemel.flow.loop import Loop
from gemel.flow.memory import Memory
from gemel.flow.outcome import Outcome
from gemel.flow.past import Pasts
from gemel.flow.propose import try_argument
from gemel.flow.runs import Runs
from gemel.flow.sources import Connectors, connect, inlets
from gemel.flow.speaking import Speaking, speaking
from gemel.flow.versions import entry
from gemel.flow.view import View, look
from gemel.flow.why import why
from gemel.intake.quality import CODES, admit
from gemel.records import REASONS, Entry
from gemel.store import declared, small
from gemel.store.lake import Lake
from gemel.store.lease import Lease
from gemel.store.ledger import Ledger
from gemel.store.snapshots import Snapshots

LOOK_EVERY = 0.2  # s of wall time between two pictures, unless something happened
LOOK_SHARE = 0.05  # of the time that pictures may take, of a large plant that is watched
TOLD = 100  # refused samples and dead letters that one answer names
PATIENCE = 10.0  # s a request waits for a journal that is away
ANSWER = 30.0  # s a person's request waits for the tick that takes it in
Made = TypeVar("Made")


class Host:
    """One plant, running. Use as a context manager, or start() and stop().

    ingest, event, verdict, maintain and start_run are safe from any thread.
    """

    def __init__(self, plan: Plan, data: Path, *, clock: Clock | None = None) -> None:
        self.plan, self.data = plan, data
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lease = Lease(data)
        self.token = secret(data / "token")
        self.journal = open_journal(plan, data)
        self.ledger = Ledger(f"sqlite:///{data / 'ledger.db'}")
        self.lake = Lake(data / "lake")
        last = self.ledger.last()
        self.clock = clock or clock_of(plan, last.at if last else 0)
        self.broker: EmbeddedBroker | None = None
        self.broker_address: Address | None = None
        self.failure: GemelError | None = None
        self._stop, self._drained = threading.Event(), threading.Event()
        self._applied = threading.Condition()
        self._sequence = 0
        self._looking = threading.Lock()  # guards the two below
        self._view: View | None = None
        self._look_at = 0.0
        self._news = False  # something happened that the picture does not show
        self._told = 0  # ticks that changed a finding, a proposal or an invocation
        self._read_once: dict[str, tuple[int, Any]] = {}
        self._pasts = Pasts(self)
        self._threads: list[threading.Thread] = []
        self._inlets: dict[str, Inlet] = inlets(plan)
        self.runs = Runs(self)
        self.loop: Loop | None = None

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> "Host":
        """Recover, then run sources, loop and runs in threads of their own."""
        made = connect(self.plan, self.data)
        self.broker, self.broker_address = made.broker, made.address
        self.loop = Loop(
            self.plan,
            self.journal,
            self.ledger,
            self.lake,
            Snapshots(self.data / "snapshots"),
            self.clock,
            made.sinks,
            self._on_commit,
        )
        self._lease.note(self.loop.epoch)
        declared.write(self.data, {**described(self.plan), "twins": members(self.plan)})
        self._thread(self._loop)
        if isinstance(self.clock, ManualClock):
            self._thread(self._replay, made, self.clock)
        else:
            for source in (*made.events, *made.telemetry):
                self._thread(self._read, source)
        self.runs.start()
        return self

    def stop(self) -> None:
        """Finish the tick in hand, write what is derived, let go of everything."""
        self.runs.stop()  # while the loop still turns: a run may wait for a tick
        self._stop.set()
        self.journal.let_go()
        for thread in self._threads:
            thread.join()
        if self.broker is not None:
            self.broker.stop()
        self.journal.close()
        self.ledger.close()
        self._lease.release()

    def __enter__(self) -> "Host":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the loop still turns."""
        return any(t.is_alive() for t in self._threads if t.name == "gemel-_loop")

    def wait(self, timeout: float | None = None) -> bool:
        """Until the loop has ended (a finite replay, or a failure); True when it has."""
        for thread in self._threads:
            if thread.name == "gemel-_loop":
                thread.join(timeout)
                return not thread.is_alive()
        return True

    def _thread(self, work: Any, *args: Any) -> threading.Thread:
        thread = threading.Thread(
            target=self._guarded, args=(work, *args), name=f"gemel-{work.__name__}", daemon=True
        )
        self._threads.append(thread)
        thread.start()
        return thread

    def _guarded(self, work: Any, *args: Any) -> None:
        """A failure stops the whole host, visibly: half a twin is worse than none."""
        try:
            work(*args)
        except GemelError as error:
            if not (error.code == "journal.closed" and self._stop.is_set()):
                self._fail(error)
        except Exception as error:  # whatever it was, it must be seen
            self._fail(
                Bug(
                    "host.crashed",
                    f"{type(error).__name__}: {error}",
                    where=work.__name__,
                    mend="report it with the data directory's last ledger row; a restart goes on",
                )
            )
            raise

    def _fail(self, error: GemelError) -> None:
        self.failure = self.failure or error
        self._stop.set()
        with self._applied:
            self._applied.notify_all()

    def _loop(self) -> None:
        assert self.loop is not None
        self.loop.run(self._stop, self._drained)

    def _read(self, source: Source) -> None:
        position = self.journal.position(source.name)
        source.run(self._deliver, position, self.clock, self._stop)

    def _deliver(self, entries: list[Entry]) -> None:
        self.journal.append(entries)

    def _replay(self, made: Connectors, clock: ManualClock) -> None:
        """On the data's own clock: events first, then telemetry, then close what is still open."""
        for source in (*made.events, *made.telemetry):
            self._read(source)
        if not self._stop.is_set():
            if self._last_told() != "beat":
                end = clock.now() + self.plan.rules.lateness + SECOND
                self.journal.append([Entry("beat", "clock", end)])
            self._drained.set()

    def _last_told(self) -> str:
        """The kind of the last entry that is not the journal's own; "beat" where there is none."""
        sequence = self.journal.last()
        while sequence >= self.journal.first():
            found = self.journal.read(sequence - 1, 1)
            if found and found[0].source != "journal":
                return found[0].kind
            sequence -= 1
        return "beat"

    def _on_commit(self, memory: Memory, tick: int, outcome: Outcome) -> None:
        """Called by the loop's thread after each commit."""
        decided = bool(outcome.findings or outcome.proposals or outcome.invocations)
        self._told += decided
        if decided or outcome.events:
            self._news = True
        self.runs.on_commit(outcome)
        with self._applied:
            self._sequence = memory.sequence
            self._applied.notify_all()

    # ---- what is asked -------------------------------------------------------------------------

    def view(self) -> View:
        """The latest picture: taken when it is asked for, between two ticks."""
        loop = self._turning()
        with self._looking:
            if self._view is None or (
                self._view.tick != loop.tick and (self._news or time.monotonic() >= self._look_at)
            ):
                with loop.still:
                    began = time.monotonic()  # waiting for the tick costs it nothing
                    self._news = False
                    self._view = look(self.plan, loop.memory, loop.tick, loop.epoch, self._view)
                done = time.monotonic()
                self._look_at = done + max(LOOK_EVERY, (done - began) / LOOK_SHARE)
            return self._view

    def _turning(self) -> Loop:
        if self.loop is None:
            raise Unavailable("host.not_ready", "it has not started", mend="wait a moment")
        return self.loop

    def past(self, valid: int, known: int | None = None) -> View:
        """The plant at an instant, as known at a tick (None: now); of the present, the latest."""
        view = self.view()
        return view if known is None and valid >= view.at else self._pasts.at(valid, known)

    def since_news(self, name: str, read: Callable[[], Made]) -> Made:
        """What `read` gives of findings, proposals and invocations: read anew when one changed."""
        told = self._told  # before it is read: what changes meanwhile is read again
        known = self._read_once.get(name)
        if known is None or known[0] != told:
            known = self._read_once[name] = (told, read())
        made: Made = known[1]
        return made

    def submit(self, kind: str, body: dict[str, Any], source: str = "person") -> int:
        """Journal one entry and wait for the tick that takes it in; its sequence."""
        entry = Entry(kind, source, self.clock.now(), body=body)
        sequence = self.journal.append([entry], PATIENCE)[0]
        self._await(sequence)
        return sequence

    def submit_all(
        self, kind: str, bodies: Sequence[dict[str, Any]], source: str = "person"
    ) -> None:
        """Journal several entries at once and wait for the tick that takes in the last."""
        now = self.clock.now()
        told = self.journal.append([Entry(kind, source, now, body=body) for body in bodies])
        self._await(max(told))

    def _await(self, sequence: int) -> None:
        with self._applied:
            there = self._applied.wait_for(
                lambda: self._sequence >= sequence or self.failure is not None, ANSWER
            )
        if self.failure is not None:
            raise self.failure
        if not there:
            raise Unavailable(
                "host.slow",
                f"it is kept (journal {sequence}), but no tick has taken it in yet",
                mend="ask again: gemel status shows how far the journal is behind",
            )

    def ingest(
        self,
        payload: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        source: str = "http",
        topic: str = "",
    ) -> dict[str, Any]:
        """Decode, journal (durable when this returns), and say what was refused and why.

        headers: a request's, by small names · source: "http", or one of that kind that the plant
        file declares · topic: what its map reads. Of refused samples and dead letters the first
        TOLD are told; the books count all.
        """
        inlet = self._inlets.get(source)
        if inlet is None:
            raise NotFound(
                "source.unknown",
                f"the plant has no source '{source[:64]}' that takes in requests",
                mend='declare it: [[source]] with kind = "http", or leave ?source= out',
            )
        now = self.clock.now()

        def keep(decoded: Decoded) -> dict[str, Any]:
            return self._keep(decoded, source, now)

        return inlet.take(payload, headers or {}, keep, topic=topic, received_at=now)

    def _keep(self, decoded: Decoded, source: str, now: int) -> dict[str, Any]:
        """Journal what one request carried; the answer to it."""
        entries = list(decoded.dead)
        rejected: list[dict[str, Any]] = []
        refused = np.zeros(0, np.int64)
        if len(decoded.batch):
            entries.append(Entry("batch", source, now, batch=decoded.batch))
            _, _, reason = admit(self.plan.rules, source, decoded.batch, now)
            refused = np.flatnonzero(reason)
            rejected = [
                {
                    "twin": decoded.batch.twin[k],
                    "signal": decoded.batch.signal[k],
                    "instant": int(decoded.batch.instant[k]),
                    **refusal(CODES[REASONS[reason[k]]]),
                }
                for k in refused[:TOLD].tolist()
            ]
        if entries:
            self.journal.append(entries, PATIENCE)
        return {
            "received": decoded.received,
            "accepted": len(decoded.batch) - len(refused),
            "rejected": rejected,
            "dead": [entry.body for entry in decoded.dead[:TOLD]],
        }

    def refuse(self, payload: bytes, error: GemelError, *, source: str = "http") -> None:
        """Keep a message that could not be taken in as a dead letter."""
        self.journal.append([dead_letter(source, self.clock.now(), payload, error)], PATIENCE)

    def event(self, name: str, body: dict[str, Any], *, source: str = "http") -> int:
        """Take in one event of another stream. Names of our own events are refused."""
        if name in ("promotion", "maintenance", "erasure", "rerun"):
            raise Invalid(
                "event.reserved",
                f"'{name}' is written by Gemel alone",
                mend="give the stream another name; a repair is told by: gemel maintain TWIN",
            )
        return self.submit("event", {**body, "name": name}, source)

    def verdict(
        self,
        proposal: str,
        verdict: str,
        *,
        by: str,
        why: str,
        argument: float | None = None,
    ) -> dict[str, Any]:
        """Approve or reject a proposal; the answer is what the ledger then holds."""
        found = self._proposal(proposal)
        if verdict not in ("approved", "rejected"):
            raise Invalid(
                "verdict.unknown", f"'{verdict}' is no verdict", mend="say approved or rejected"
            )
        if not why.strip():
            raise Invalid(
                "verdict.no_reason", "a verdict needs a reason", mend='add --why "…" (or "why")'
            )
        if argument is not None:
            self._in_range(found, argument)
        self._still_open(found)
        body = {
            "proposal": proposal,
            "verdict": verdict,
            "by": by,
            "why": why,
            "argument": argument,
        }
        self.ledger.audit(by, f"verdict {verdict}", body, self.clock.now())
        self.submit("verdict", body)
        after = self._proposal(proposal)
        sent = self.ledger.invocations(twin=found["twin"])
        match = [i for i in sent if i["proposal"] == proposal]
        if verdict == "approved" and after["status"] != "approved":
            self._still_open(after)
        return {"proposal": after, "invocation": match[0] if match else None}

    def trial(self, proposal: str, argument: float) -> dict[str, Any]:
        """What an open proposal is foreseen to do with another argument, on the twin of now."""
        found, loop = self._proposal(proposal), self._turning()
        self._in_range(found, argument)
        self._still_open(found)
        with loop.still:
            return try_argument(self.plan, loop.memory, found, argument, loop.memory.at)

    def _proposal(self, identity: str) -> dict[str, Any]:
        found = self.ledger.proposal(identity)
        if found is None:
            raise NotFound(
                "proposal.unknown",
                f"there is no proposal '{identity[:40]}'",
                mend="gemel proposals lists them",
            )
        return found

    def _still_open(self, proposal: dict[str, Any]) -> None:
        if proposal["status"] == "open" and self.clock.now() >= proposal["expires_at"]:
            proposal = {**proposal, "status": "expired"}
        if proposal["status"] != "open":
            who = f" by {proposal['by']}" if proposal["by"] else ""
            raise Conflict(
                "proposal.not_open",
                f"it is {proposal['status']}{who}: {proposal['why'] or 'its time is over'}",
                where=f"proposal {proposal['id']}",
                mend="gemel proposals lists what is open",
            )

    def _in_range(self, proposal: dict[str, Any], argument: float) -> None:
        command = command_of(self.plan, proposal["twin"], proposal["command"])
        if not command.low <= argument <= command.high:
            raise Invalid(
                "command.out_of_range",
                f"{argument:g} is outside [{command.low:g}, {command.high:g}] {command.unit}",
                where=f"command {command.name}",
                mend="choose an argument inside the declared range",
            )

    def redrive(
        self, source: str | None, start: int | None, end: int | None, *, by: str, why: str
    ) -> dict[str, Any]:
        """Take in once more what was parked as late, or refused by rules that have changed since;
        start, end: of the samples' instants, ns."""
        late = redrive.parked(self.plan, self.lake, source, start, end)
        stores = (self.journal, self.ledger, self.lake)
        refused = redrive.refused(self.plan, *stores, source, start, end)
        now, told = self.clock.now(), [0]
        for batches in (late, refused):
            if entries := redrive.entries(batches, now, by, why):
                told += self.journal.append(entries)
        self._await(max(told))
        counted = ({name: len(b) for name, b in batches.items()} for batches in (late, refused))
        return dict(zip(("late", "rejected"), counted, strict=True))

    def maintain(
        self, twin: str, resets: list[str], *, by: str, why: str, binding: str | None = None
    ) -> dict[str, Any]:
        """Record a repair: the named states (all when none is named) start anew."""
        fleets = [f for f in self.plan.fleets.values() if twin in f.row]
        fleets = [f for f in fleets if binding in (None, f.binding.name)]
        if not fleets:
            raise NotFound(
                "twin.unknown",
                f"no kernel speaks for a twin '{twin[:64]}'",
                mend="gemel status lists the twins",
            )
        known = {state for f in fleets for state in f.kernel.layout.states}
        odd = [state for state in resets if state not in known]
        if odd:
            raise Invalid(
                "maintenance.state",
                f"there is no state '{odd[0][:40]}'",
                where=f"twin {twin}",
                mend=f"its states are: {', '.join(sorted(known))}",
            )
        body: dict[str, Any] = {"twin": twin, "resets": resets, "by": by, "why": why}
        if binding:
            body["binding"] = binding
        self.ledger.audit(by, "maintenance", body, self.clock.now())
        sequence = self.submit("maintenance", body)
        return {**body, "journal": sequence}

    def erase(self, twin: str, before: int, *, by: str, why: str) -> dict[str, Any]:
        """Record that a twin's history from before an instant is to go; upkeep carries it out."""
        if twin not in self.plan.plant.twins and not len(self.lake.latest([twin])):
            raise NotFound(
                "twin.unknown",
                f"there is no twin '{twin[:64]}', and no telemetry of one",
                mend="gemel status lists the twins",
            )
        body = {"twin": twin, "before": before, "by": by, "why": why}
        self.ledger.audit(by, "erasure", body, self.clock.now())
        sequence = self.submit("event", {**body, "name": "erasure"})
        return {**body, "journal": sequence}

    def speaking(self, binding: str) -> Speaking:
        """Which parameters speak for the rows of one fleet, now."""
        loop = self._turning()
        with loop.still:
            return speaking(loop.memory, loop.tick, binding)

    def events(self, name: str, known: int | None = None) -> pa.Table:
        """Events of one name, up to now, or as known at a tick."""
        return self._turning().events(name, known)

    def promote(
        self, binding: str, twin: str, action: str, version: str | None, *, by: str, why: str
    ) -> dict[str, Any]:
        """Let a proved challenger speak for an asset, or (action "roll_back") what spoke before."""
        body = entry(self, binding, twin, action, version, by, why)
        names = ("binding", "twin", "version", "over", "why")
        told = {name: body[name] for name in names}
        self.ledger.audit(by, action.replace("_", " "), told, self.clock.now())
        sequence = self.submit("promotion", body)
        now = self.speaking(binding).versions[self.plan.fleets[binding].row[twin]]
        if now != body["version"]:
            raise Conflict(
                "promotion.outdated",
                f"{now} has begun to speak meanwhile",
                where=f"twin {twin}",
                mend="look at what speaks now, and ask again if it still shall change",
            )
        return {**told, "action": action, "by": by, "journal": sequence}

    def erasures(self) -> list[dict[str, Any]]:
        """What was erased; `done` once nothing of it is left, and `receipt` what that came to."""
        receipts = {row["detail"]["tick"]: row["detail"] for row in self.ledger.receipts()}
        return [
            {**told, "done": told["tick"] in receipts, "receipt": receipts.get(told["tick"])}
            for told in self.lake.erasures()
        ]

    def start_run(
        self, definition: str, options: dict[str, Any], *, started_by: str
    ) -> dict[str, Any]:
        """Start a run by request."""
        return self.runs.request(definition, options, started_by)

    def run_verdict(self, run: str, verdict: str, *, by: str, why: str) -> dict[str, Any]:
        """Answer a run that waits for a person."""
        self.ledger.audit(by, f"run {verdict}", {"run": run, "why": why}, self.clock.now())
        return self.runs.verdict(run, verdict, by, why)

    def why(self, twin: str, view: View | None = None) -> dict[str, Any]:
        """Every number of one twin in a picture (the latest), back to where it came from."""
        return why(self.plan, view or self.view(), self.ledger, self.lake, twin)


def clock_of(plan: Plan, last: int) -> Clock:
    """The plant's clock as the plant file wants it, going on where the ledger stopped."""
    config = plan.plant.clock
    if config["kind"] == "wall":
        return WallClock(last)
    if config["kind"] == "data":
        return ManualClock(max(last, config.get("start", 0)))
    return PacedClock(max(last, config.get("start", 0)), float(config.get("speed", 1.0)))


def secret(path: Path) -> str:
    """The secret in a file of mode 0600, made at first start, and anew where it is empty."""
    known = ""
    if path.exists():
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        known = path.read_text(encoding="utf-8").strip()
    if not known:
        small.put(path, secrets.token_urlsafe(32), 0o600)
    return path.read_text(encoding="utf-8").strip()


def refusal(code: str) -> dict[str, str]:
    """A code with its meaning and mend, as the API tells it."""
    entry = catalogue().get(code, {})
    return {"code": code, "message": entry.get("means", code), "mend": entry.get("mend", "")}
