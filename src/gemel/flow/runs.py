"""Orchestration: runs started by an event, a timer or a request; some wait for a person.

Owns    the life of a run: its steps are recorded in the ledger, so a kill costs one step at most.
Never   carries code from outside: HTTP selects a definition by name and gives it options.

A definition is a list of named steps. A step is a function of what earlier steps found, and is
idempotent by (run, step): what is recorded is not done again. A step whose status is `WAITING`
leaves the run waiting until a person has answered; the answer is itself a recorded step.
"""

import queue
import threading

from gemel.clock import SECOND
from gemel.errors import Conflict, GemelError, Invalid, NotFound
from gemel.flow.desk import WAITING, Desk, Record, Step
from gemel.flow.outcome import Outcome
from gemel.flow.refit import REFIT
from gemel.flow.report import REPORT
from gemel.flow.watch import WATCH

DEFINITIONS: dict[str, list[tuple[str, Step]]] = {
    "refit": REFIT,
    "report": REPORT,
    "watch": WATCH,
}


class Runs:
    """One worker that carries out runs, one after the other, beside the loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="gemel-runs", daemon=True)
        self._slots: dict[str, int] = {}
        self._stopping = threading.Event()
        self._naming = threading.Lock()

    def start(self) -> None:
        """Go on with what was not finished, and with findings whose trigger was not heard."""
        for run in self._desk.ledger.runs(status="running"):
            self._waiting.put(run["id"])
        for finding in self._desk.ledger.findings(status="open"):
            self._triggered(finding)
        self._thread.start()

    def stop(self) -> None:
        """Finish the step in hand; the rest goes on at the next start."""
        self._stopping.set()
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def on_commit(self, outcome: Outcome) -> None:
        """Start what this tick triggers: by its findings, and by the plant's clock."""
        for finding in outcome.findings:
            if finding["status"] == "open":
                self._triggered(finding)
        for trigger in self._desk.plan.plant.triggers:
            if trigger.on != "timer" or not outcome.at:
                continue
            slot = outcome.at // int(trigger.every * SECOND)
            if self._slots.setdefault(trigger.name, slot) != slot:
                self._slots[trigger.name] = slot
                identity = f"R-{trigger.name}-{slot}".replace(" ", "-")
                self._begin(identity, trigger.run, dict(trigger.options), f"timer {trigger.name}")

    def request(self, definition: str, options: Record, started_by: str) -> Record:
        """Start a run now."""
        if definition not in DEFINITIONS:
            raise NotFound(
                "run.unknown_definition",
                f"there is no run definition '{definition[:40]}'",
                mend=f"known are: {', '.join(DEFINITIONS)}",
            )
        with self._naming:
            number = 1
            while self._desk.ledger.run(f"R-{number:06d}") is not None:
                number += 1
            return self._begin(f"R-{number:06d}", definition, options, started_by)

    def verdict(self, run: str, verdict: str, by: str, why: str) -> Record:
        """A person's answer to a run that waits."""
        record = self._desk.ledger.run(run)
        if record is None:
            raise NotFound("run.unknown", f"there is no run '{run[:40]}'", mend="gemel runs")
        if record["status"] != WAITING:
            raise Conflict(
                "run.not_waiting",
                f"it is {record['status']}",
                where=f"run {run}",
                mend="only a waiting run takes a verdict",
            )
        if verdict not in ("approved", "rejected"):
            raise Invalid(
                "verdict.unknown", f"'{verdict}' is no verdict", mend="say approved or rejected"
            )
        answer = {"verdict": verdict, "by": by, "why": why, "at": self._desk.clock.now()}
        first = self._desk.ledger.put_step(run, record["waits_for"], answer)
        if first["verdict"] != verdict:
            raise Conflict(
                "run.answered",
                f"it was {first['verdict']} by {first['by']}",
                where=f"run {run}",
                mend="the first answer stands; start another run",
            )
        record["status"] = "running"
        self._desk.ledger.put_run(record)
        self._waiting.put(run)
        return record

    def _triggered(self, finding: Record) -> None:
        for trigger in self._desk.plan.plant.triggers:
            if trigger.on == finding["kind"]:
                options = {**trigger.options, "finding": finding["id"]}
                identity = f"R-{trigger.name}-{finding['id']}".replace(" ", "-")
                self._begin(identity, trigger.run, options, f"finding {finding['id']}")

    def _begin(self, identity: str, definition: str, options: Record, started_by: str) -> Record:
        known = self._desk.ledger.run(identity)
        if known is not None:
            return known
        record = {
            "id": identity,
            "definition": definition,
            "options": options,
            "started_by": started_by,
            "status": "running",
            "created_at": self._desk.clock.now(),
            "ended_at": 0,
            "versions": self._desk.plan.versions(),
            "waits_for": "",
            "result": {},
        }
        self._desk.ledger.put_run(record)
        self._waiting.put(identity)
        return record

    def _work(self) -> None:
        while (run := self._waiting.get()) is not None and not self._stopping.is_set():
            record = self._desk.ledger.run(run)
            if record is not None:
                self._carry_out(record)

    def _carry_out(self, record: Record) -> None:
        """Every step that is not recorded yet, in order."""
        ledger = self._desk.ledger
        try:
            for name, step in DEFINITIONS[record["definition"]]:
                if self._stopping.is_set():
                    return
                done = ledger.steps(record["id"])
                if name in done:
                    continue
                found = step(self._desk, record, done)
                if found.get("status") == WAITING:
                    ledger.put_run(
                        {**record, "status": WAITING, "waits_for": name} | {"result": found}
                    )
                    return
                ledger.put_step(record["id"], name, found)
            steps = ledger.steps(record["id"])
            result = steps[DEFINITIONS[record["definition"]][-1][0]]
            record = {**record, "status": "done", "result": result}
        except GemelError as error:
            record = {**record, "status": "failed", "result": error.as_record()}
        except Exception as error:  # one run's failure is that run's, and is shown
            text = f"{type(error).__name__}: {error}"
            record = {
                **record,
                "status": "failed",
                "result": {"code": "run.crashed", "message": text},
            }
        ledger.put_run({**record, "ended_at": self._desk.clock.now()})
