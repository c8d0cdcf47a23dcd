"""One tick: telemetry in, proposals out. Read this page first.

Owns    the order of the stages, and nothing else.
Never   does I/O, reads a clock, or keeps anything but the memory it is given: the loop journals
        before, commits after, and only then sends. So the same tick serves live, replay and
        what-if, replays to the same bits, and a restart is a snapshot and a replay.

    entry ─► receive ─► align ─► estimate ─► assess ─► propose ─► settle
             (judge)    frames    Kalman      findings   on copies   expiry, confirmation
                └─ late ─► rerun: the span it belongs to, once more, from a checkpoint
"""

from gemel.flow.assess import assess
from gemel.flow.fleet import Fleet, Plan
from gemel.flow.memory import Memory, digest
from gemel.flow.outcome import Outcome
from gemel.flow.propose import propose
from gemel.flow.receive import receive
from gemel.flow.rerun import move, remember, rerun
from gemel.flow.settle import settle
from gemel.intake import align
from gemel.records import Entry, Frame


def tick(plan: Plan, memory: Memory, entries: list[Entry]) -> Outcome:
    """Take in journal entries, in order; move the memory on; say what came of it.

    The journal is the only input, and nothing looks across entries but the memory:
    so where a tick is cut changes nothing.
    """
    outcome = Outcome(sequence_from=memory.sequence + 1)
    for entry in entries:
        judged = receive(plan, memory, entry, outcome)
        rerun(plan, memory, outcome)
        for fleet, frame in _closed(plan, memory):
            _update(plan, fleet, memory, frame)
            assess(plan, fleet, memory, frame.instant, outcome)
            propose(plan, fleet, memory, frame.instant, outcome)
        settle(plan, memory, judged, outcome)
        memory.sequence, memory.at = entry.sequence, memory.quality.watermark
    outcome.sequence_to, outcome.at = memory.sequence, memory.at
    outcome.digest = digest(memory, outcome.changes())
    return outcome


def _closed(plan: Plan, memory: Memory) -> list[tuple[Fleet, Frame]]:
    """Frames whose instants are closed by now, the oldest first, then in order of bindings."""
    closed = memory.quality.watermark - plan.rules.lateness
    frames = [
        (fleet, frame)
        for name, fleet in plan.fleets.items()
        for frame in align.close(fleet.grid, memory.fleets[name].grid, closed)
    ]
    return sorted(frames, key=lambda pair: pair[1].instant)


def _update(plan: Plan, fleet: Fleet, memory: Memory, frame: Frame) -> None:
    """Predict and correct every row of one fleet."""
    held = memory.fleets[fleet.binding.name]
    move(fleet, held, frame)
    fresh = held.ready & ~held.stale
    held.usual.learn(frame.instant, held.u, fresh, fleet.binding.every)
    remember(held, frame.instant, plan.rules.rerun, memory.quality.watermark)
