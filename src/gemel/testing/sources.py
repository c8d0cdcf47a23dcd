"""What a source and a sink promise, and whether they keep it.

Owns    the promises of `connect/base.py`, how each is tried on a real server or file, and the one
        error that tells of all that are broken.
Never   knows a protocol: what is outside is put there by the caller.

    def test_my_source_keeps_its_promises(server):
        source_checks(lambda: MySource("line", server.address), server.put, server.spoil)
"""

import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gemel.clock import SECOND, WallClock
from gemel.connect.base import Deliver, Sink, Source
from gemel.errors import GemelError, Invalid, Unavailable
from gemel.records import Entry, Invocation
from gemel.store.journal import Journal
from gemel.store.journalfile import SqliteJournal
from gemel.testing.promises import IN_ORDER

ROUND = 20  # samples put outside at a time
SETTLE = 0.3  # s in which what should not come would come
KINDS = {"batch", "dead", "reply", "event"}
LETTER = {"code", "message", "mend", "size", "sha256", "head"}

Put = Callable[[Sequence[float]], object]


class Killed(BaseException):
    """What a kill looks like from inside `deliver`."""


def source_checks(
    make: Callable[[], Source],
    put: Put,
    spoil: Callable[[], object] | None = None,
    *,
    patience: float = 20.0,
) -> None:
    """Try a source over stops and kills, and raise one error that tells of every broken promise.

    make: the source, as each start of Gemel makes it anew · put(values): puts one sample of each
    value outside, in order · spoil(): puts there something that cannot be read; None: nothing can
    patience: s that the outside may take

        1  every sample comes once                 4  killed after the commit, it loses nothing; and
        2  it stops when it is told to                doubles nothing if it gives positions
        3  it goes on where it was: what came      5  what the journal refused comes again
           while it was away comes once            6  what cannot be read is a dead letter

    A source that hears only while it is there, or from its first connection on, tells by an
    attribute `connected` when it hears.

    Raises Invalid `testing.source`.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = _Trial(make, put, SqliteJournal(Path(folder) / "journal.db"), patience)
        try:
            faults = list(_broken(trial, spoil))
        finally:
            trial.end()
            trial.journal.close()
    if faults:
        raise Invalid(
            "testing.source",
            "\n  ".join(["it breaks a promise", *faults]),
            where=f"source {trial.name}",
            mend=IN_ORDER,
        )


class _Trial:
    """A journal, the source that fills it, and how many samples are outside by now."""

    def __init__(self, make: Callable[[], Source], put: Put, journal: Journal, patience: float):
        self.make, self._put, self.journal, self.patience = make, put, journal, patience
        self.count, self.name = 0, ""
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = None
        self.stop, self._turn = threading.Event(), threading.Lock()
        self.at_once = False  # whether `deliver` was called while it was at work

    def begin(self, deliver: Deliver | None = None) -> None:
        """Start it as a start of Gemel does, and wait until it hears."""
        source, self.error = self.make(), None
        self.name, self.stop = source.name, threading.Event()
        position = self.journal.position(source.name)
        given = (source, deliver or self.keep, position, self.stop)
        self.thread = threading.Thread(target=self._run, args=given, daemon=True)
        self.thread.start()
        self.wait(lambda: getattr(source, "connected", True) or self.ended)

    def _run(self, source: Source, deliver: Deliver, position: str, stop: threading.Event) -> None:
        try:
            source.run(deliver, position, WallClock(), stop)
        except BaseException as error:  # told as a fault
            self.error = error

    @property
    def reads_back(self) -> bool:
        """Whether it finds what came before it began."""
        return not hasattr(self.make(), "connected")

    @property
    def ended(self) -> bool:
        return self.thread is None or not self.thread.is_alive()

    def end(self) -> bool:
        """Tell it to stop; whether it did."""
        self.stop.set()
        if self.thread is not None:
            self.thread.join(self.patience)
        return self.ended

    def keep(self, entries: list[Entry]) -> None:
        if not self._turn.acquire(blocking=False):
            self.at_once = True
            self._turn.acquire()
        try:
            self.journal.append(entries)
        finally:
            self._turn.release()

    def put(self, count: int = ROUND) -> None:
        self._put([float(k) for k in range(self.count, self.count + count)])
        self.count += count

    def entries(self) -> list[Entry]:
        return self.journal.read(0, 1_000_000)

    def came(self) -> Counter[float]:
        """How often each value is in the journal."""
        batches = [entry.batch for entry in self.entries() if entry.batch is not None]
        return Counter(value for batch in batches for value in batch.value.tolist())

    def wait(self, condition: Callable[[], Any]) -> bool:
        until = time.monotonic() + self.patience
        while not condition():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def through(self) -> None:
        """Wait until all that is outside is here, and a little for what should not come."""
        self.wait(lambda: len(self.came()) >= self.count or (self.ended and self.error))
        time.sleep(SETTLE)

    def faults(self, when: str, *, doubles: bool = False) -> Iterator[str]:
        """What is not as it should be of all that was put outside."""
        came, wanted = self.came(), {float(k) for k in range(self.count)}
        if isinstance(self.error, Exception):
            yield f"{when}: it raised {type(self.error).__name__}: {self.error}"
        if lost := wanted - set(came):
            yield f"{when}: {len(lost)} of {self.count} samples are lost"
        if odd := set(came) - wanted:
            yield f"{when}: {len(odd)} samples came that were never put outside"
        if not doubles and (twice := [value for value, n in came.items() if n > 1]):
            yield f"{when}: {len(twice)} samples came more than once"


def _broken(trial: _Trial, spoil: Callable[[], object] | None) -> Iterator[str]:
    if trial.reads_back:  # and may come to the end of what is there
        trial.put()
    trial.begin()
    if not trial.reads_back:
        trial.put()
    trial.through()
    yield from (found := list(trial.faults("running")))
    if not trial.end():
        yield "told to stop, it does not: look at `stop` at least twice a second"
        return
    if found:
        return  # the rest leans on it
    trial.put()
    trial.begin()
    trial.through()
    yield from trial.faults("stopped and begun again")
    trial.end()
    placed = bool(trial.journal.position(trial.name))
    yield from _killed(trial, placed)
    yield from _refused(trial, placed)
    if spoil is not None:
        yield from _spoilt(trial, spoil)
    yield from _shaped(trial)


def _killed(trial: _Trial, placed: bool) -> Iterator[str]:
    """Twice: the entries are durable, and before it learns of that the process dies."""
    for _ in range(2):
        trial.put()

        def kill(entries: list[Entry]) -> None:
            trial.keep(entries)
            raise Killed

        trial.begin(kill)
        if not trial.wait(lambda: trial.ended):
            yield "killed: it went on after `deliver` did not return"
            trial.end()
    trial.begin()
    trial.through()
    yield from trial.faults("killed after the commit", doubles=not placed)
    trial.end()


def _refused(trial: _Trial, placed: bool) -> Iterator[str]:
    """The journal cannot be written: that is raised, and nothing of it is acknowledged."""
    full, before = Unavailable("journal.unwritable", "a trial", mend="make room"), trial.came()

    def refuse(entries: list[Entry]) -> None:
        raise full

    trial.put()
    trial.begin(refuse)
    if not trial.wait(lambda: trial.ended) or trial.error is not full:
        yield "the journal refused: the error of `deliver` is not raised by `run`"
    trial.end()
    trial.begin()
    trial.through()
    yield from trial.faults("refused by the journal", doubles=not placed)
    trial.end()
    if again := [value for value, n in before.items() if trial.came()[value] > n]:
        yield f"refused by the journal: {len(again)} samples of before came again"


def _spoilt(trial: _Trial, spoil: Callable[[], object]) -> Iterator[str]:
    before = sum(entry.kind == "dead" for entry in trial.entries())
    trial.put(3)
    spoil()
    trial.put(3)
    trial.begin()
    trial.through()
    trial.wait(lambda: sum(entry.kind == "dead" for entry in trial.entries()) > before)
    yield from trial.faults("with something unreadable between", doubles=True)
    letters = [entry.body for entry in trial.entries() if entry.kind == "dead"][before:]
    if len(letters) != 1:
        yield f"one thing that cannot be read became {len(letters)} dead letters"
    if odd := [sorted(LETTER - set(body)) for body in letters if LETTER - set(body)]:
        yield f"a dead letter lacks {', '.join(odd[0])}: make it with dead_letter()"
    trial.end()


def _shaped(trial: _Trial) -> Iterator[str]:
    now = WallClock().now()
    for entry in trial.entries():
        if entry.source != trial.name:
            yield f"an entry names the source '{entry.source}', not '{trial.name}'"
            return
        if entry.kind not in KINDS:
            yield f"an entry has the kind '{entry.kind}'; a source has: {', '.join(sorted(KINDS))}"
            return
        if not now - 3600 * SECOND < entry.received_at <= now:
            yield "an entry's received_at is not what the clock said"
            return
    if trial.at_once:
        yield "it called `deliver` while `deliver` was at work"


def sink_checks(
    make: Callable[[], Sink],
    arrived: Callable[[], Sequence[bytes]],
    nowhere: Callable[[], Sink] | None = None,
    *,
    target: str = "st1",
    patience: float = 10.0,
) -> None:
    """Try a sink, and raise one error that tells of every broken promise.

    arrived(): every payload that came out there so far · nowhere(): the same sink where nobody
    listens · target: an asset that it reaches

        1  a command arrives once, and names its invocation and its argument
        2  two commands arrive in order
        3  where it surely did not go, it raises Unavailable

    Raises Invalid `testing.sink`.
    """
    faults = list(_sunk(make(), arrived, target, patience))
    if nowhere is not None:
        faults += _unreached(nowhere(), target)
    if faults:
        raise Invalid(
            "testing.sink",
            "\n  ".join(["it breaks a promise", *faults]),
            mend=IN_ORDER,
        )


def _sunk(
    sink: Sink, arrived: Callable[[], Sequence[bytes]], target: str, patience: float
) -> Iterator[str]:
    before, wanted = len(arrived()), [("I-000001", 41.5), ("I-000002", 42.5)]
    for identity, argument in wanted:
        try:
            sink.send(_invocation(identity, argument, target))
        except GemelError as error:
            yield f"it raised {error.code}: {error.message}"
            return
    until = time.monotonic() + patience
    while len(arrived()) < before + len(wanted) and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(SETTLE)
    came = list(arrived())[before:]
    if len(came) != len(wanted):
        yield f"{len(wanted)} commands were sent, {len(came)} arrived"
        return
    for payload, (identity, argument) in zip(came, wanted, strict=True):
        there = set(_leaves(json.loads(payload)))
        if identity not in there or argument not in there:
            yield f"in place of {identity} with {argument} there arrived {payload[:200]!r}"


def _unreached(sink: Sink, target: str) -> Iterator[str]:
    try:
        sink.send(_invocation("I-000003", 43.5, target))
        yield "where nobody listens it says that it sent"
    except Unavailable:
        pass
    except GemelError as error:
        yield f"where it surely did not go it raises {type(error).__name__}, not Unavailable"


def _leaves(item: Any) -> Iterator[Any]:
    below = item.values() if isinstance(item, dict) else item if isinstance(item, list) else None
    if below is None:
        yield item
        return
    for one in below:
        yield from _leaves(one)


def _invocation(identity: str, argument: float, target: str) -> Invocation:
    soon = WallClock().now() + 3600 * SECOND
    return Invocation(
        id=identity,
        proposal="P-000001",
        twin=target,
        target=target,
        command="set_oil_flow",
        argument=argument,
        status="sending",
        created_at=soon - 3600 * SECOND,
        expires_at=soon,
        confirm_by=soon,
        by="testing",
        why="testing",
    )
