"""What a journal promises, and whether it keeps it.

Owns    the promises of `store/journal.py`, how each is tried, and the one error that tells of all
        that are broken.
Never   knows where a journal keeps its entries: it is made anew by the caller, on the same place.

    def test_my_journal_keeps_its_promises(tmp_path):
        journal_checks(lambda: MyJournal(tmp_path / "journal"))
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gemel.errors import GemelError, Invalid
from gemel.records import Batch, Entry
from gemel.store.batches import SMALL
from gemel.store.journal import Journal
from gemel.testing.promises import Fault, told

CALLERS, CALLS, EACH = 6, 15, 3
Make = Callable[[], Journal]


def journal_checks(make: Make) -> None:
    """Try a journal, and raise one error that tells of every broken promise.

    make: opens the journal, each time on the same place, which is empty at first and stays so for
    nobody else

        1  what was appended comes back, exactly and in order, each under its sequence
        2  every sequence has an entry, and a call of many threads' is all there or none
        3  opened again it goes on, with all entries and the position of each source
        4  who waits is woken
        5  what cannot be written is refused, and stops nobody else
        6  a writer whose time is over appends nothing
        7  what is forgotten is gone, and nothing else; positions outlive their entries
        8  what is erased is gone, and nothing else
        9  closed, it says so

    Raises Invalid `testing.journal`.
    """
    trial = _Trial(make)
    broken = {}
    try:
        for promise, check in _PROMISES.items():
            if faults := list(check(trial)):
                broken[promise] = faults
                if check in (_exact, _shared):
                    break  # the rest leans on it
    finally:
        for journal in trial.opened:
            journal.close()
    if broken:
        raise Invalid(
            "testing.journal",
            told(broken),
            where=f"journal {trial.opened[0].where}",
            mend="mend the first; the others may follow from it",
        )


class _Trial:
    """The journal, opened again and again, and what it was given: sequence → entry."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self.opened: list[Journal] = []
        self.given: dict[int, Entry] = {}
        self.journal = self.open()

    def open(self) -> Journal:
        self.opened.append(self._make())
        return self.opened[-1]

    def again(self) -> None:
        self.journal.close()
        self.journal = self.open()

    def append(self, *entries: Entry) -> list[int]:
        sequences = self.journal.append(entries)
        self.given |= dict(zip(sequences, entries, strict=True))
        return sequences

    def faults(self, after: int = 0, part: int = 1000) -> Iterator[Fault]:
        """What is not there as it was given, from a sequence on."""
        last = self.journal.last()
        read: list[Entry] = []
        while entries := self.journal.read(after + len(read), part):
            read += entries
        sequences = [entry.sequence for entry in read]
        if sequences != list(range(after + 1, last + 1)):
            yield Fault(
                f"after {after} there are the sequences {_short(sequences)}, and last() is {last}",
                "give every sequence from the first to last() one entry, and read in order",
            )
        there = {entry.sequence: entry for entry in read}
        for sequence, entry in self.given.items():
            if sequence > after and not _same(there.pop(sequence, None), entry):
                yield Fault(
                    f"entry {sequence} is not as it was appended", "keep every field, bit by bit"
                )
        for sequence in [s for s, entry in there.items() if (entry.kind, entry.batch) != BEAT]:
            yield Fault(
                f"entry {sequence} was never appended", "an entry of your own is a beat of no time"
            )


BEAT = ("beat", None)


def _same(found: Entry | None, given: Entry) -> bool:
    if found is None or (found.batch is None) != (given.batch is None):
        return False
    names = ("kind", "source", "position", "received_at", "body")
    if any(getattr(found, name) != getattr(given, name) for name in names):
        return False
    if found.batch is None or given.batch is None:
        return True
    return all(
        getattr(found.batch, name).tolist() == getattr(given.batch, name).tolist()
        for name in ("twin", "signal", "instant", "unit")
    ) and (found.batch.value.tobytes() == given.batch.value.tobytes())


def _batch(rows: int) -> Batch:
    big = 2**62
    values = (float("nan"), float("inf"), -0.0, 1e-320, 0.1)
    return Batch.of([(f"tü{k % 7}", "x", big + k, values[k % 5], "degC") for k in range(rows)])


def _exact(trial: _Trial) -> Iterator[Fault]:
    if trial.journal.last() or trial.journal.read(0):
        yield Fault("it is not empty at first", "give the check a place of its own")
        return
    if trial.journal.append([]):
        yield Fault("nothing, appended, got a sequence", "return []")
    trial.append(Entry("event", "s", 1, "p1", body={"text": "a\nb\u2028", "deep": [{"n": 0.1}]}))
    trial.append(
        Entry("batch", "s", 2, batch=_batch(SMALL // 2), body={"note": 1}),
        Entry("batch", "ü", 2**62, '{"a":1}', _batch(SMALL * 3)),
        Entry("batch", "s", 3, batch=Batch.of([])),
    )
    yield from trial.faults()
    yield from trial.faults(part=1)


def _shared(trial: _Trial) -> Iterator[Fault]:
    calls: list[list[int]] = []

    def work(name: str) -> None:
        for k in range(CALLS):
            calls.append(trial.append(*[Entry("event", name, k, body={"k": j}) for j in range(3)]))

    threads = [threading.Thread(target=work, args=(f"c{n}",)) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len({n for call in calls for n in call}) != CALLERS * CALLS * EACH:
        yield Fault("two entries got the same sequence", "give sequences under one lock")
    if any(call != list(range(call[0], call[0] + EACH)) for call in calls):
        yield Fault("the entries of a call are not together", "write a call in one piece")
    yield from trial.faults()


def _kept(trial: _Trial) -> Iterator[Fault]:
    trial.append(Entry("event", "far", 1, "10"), Entry("event", "near", 2, "7"))
    trial.append(Entry("event", "far", 3, "11"), Entry("event", "far", 4))
    for _ in range(2):
        for source, wanted in (("far", "11"), ("near", "7"), ("nobody", "")):
            if (found := trial.journal.position(source)) != wanted:
                yield Fault(
                    f"the position of '{source}' is '{found}', it gave '{wanted}'",
                    "position() is the last one that is not empty",
                )
        yield from trial.faults()
        trial.again()
    before = trial.journal.last()
    if trial.append(Entry("event", "s", 5))[0] <= before:
        yield Fault("opened again it does not go on", "begin after last()")
    yield from trial.faults()


def _woken(trial: _Trial) -> Iterator[Fault]:
    last = trial.journal.last()
    if trial.journal.wait(last, 0.01):
        yield Fault("wait() says that there is more, and there is not", "wait for last() > after")
    threading.Timer(0.05, trial.append, [Entry("event", "s", 6)]).start()
    if not trial.journal.wait(last, 20.0):
        yield Fault("who waits is not woken by an append", "notify who waits after the commit")


def _refused(trial: _Trial) -> Iterator[Fault]:
    bad = Batch.of([("\ud800", "x", 1, 1.0, "")] * 2 * SMALL)
    good = Entry("event", "s", 7)
    for wrong in (Entry("batch", "s", 1, batch=bad), Entry("event", "s", 1, body={"at": object()})):
        code = _code(partial(trial.journal.append, [good, wrong]))
        if code != "journal.entry":
            yield Fault(f"what has no form as bytes gives {code}", "raise Invalid journal.entry")
    trial.append(good)
    yield from trial.faults()


def _fenced(trial: _Trial) -> Iterator[Fault]:
    former = trial.journal
    trial.journal = trial.open()
    trial.journal.claim()
    for _ in range(2):
        code = _code(partial(former.append, [Entry("event", "former", 8)]))
        if code != "journal.fenced":
            yield Fault(f"a writer whose time is over gets {code}", "raise Conflict journal.fenced")
        trial.append(Entry("event", "s", 9), Entry("event", "s", 10))
    yield from trial.faults()
    trial.again()
    yield from trial.faults()


def _forgotten(trial: _Trial) -> Iterator[Fault]:
    middle = trial.journal.last() // 2
    first = trial.journal.forget(middle)
    if not 1 <= first <= middle or first != trial.journal.first():
        yield Fault(f"forget({middle}) leaves {first} as the first", "never more than was asked")
    for _ in range(2):
        if first > 1 and (code := _code(lambda: trial.journal.read(first - 2))) != "journal.gone":
            yield Fault(f"reading what was forgotten gives {code}", "raise NotFound journal.gone")
        if trial.journal.position("ü") != '{"a":1}':
            yield Fault("a position went with its entry", "keep the last position of each source")
        yield from trial.faults(first - 1)
        trial.again()
    trial.journal.forget(trial.journal.last() + 1)
    trial.append(Entry("event", "s", 11))
    yield from trial.faults(trial.journal.first() - 1)


def _erased(trial: _Trial) -> Iterator[Fault]:
    rows = [(twin, "x", k, 1.5, "") for k in range(SMALL) for twin in ("gone", "kept")]
    until = trial.append(Entry("batch", "s", 13, batch=Batch.of(rows)))[0]
    later = trial.append(Entry("batch", "s", 14, batch=Batch.of(rows)))[0]
    for _ in range(3):
        if trial.journal.erase("gone", SMALL, until, trial.journal.last()) is not None:
            break
    else:
        yield Fault("erase() comes to no end", "return None only until `held` has come far enough")
    first = trial.journal.first()
    for _ in range(2):
        there = {entry.sequence: entry for entry in trial.journal.read(first - 1, 1_000_000)}
        for sequence, twins in ((until, {"kept"}), (later, {"gone", "kept"})):
            batch = there[sequence].batch if sequence >= first else Batch.of([])
            found = set() if batch is None else set(batch.twin)
            if sequence >= first and found != twins:
                yield Fault(
                    f"after an erasure entry {sequence} tells of {sorted(found)}",
                    "blank what was told before the instant, up to the entry, and no more",
                )
        trial.again()
    del trial.given[until]
    trial.given = {sequence: e for sequence, e in trial.given.items() if sequence >= first}
    if set(there) != set(range(first, trial.journal.last() + 1)):
        yield Fault("an erasure takes entries out", "an entry keeps its sequence, and says so")


def _closed(trial: _Trial) -> Iterator[Fault]:
    trial.journal.close()
    trial.journal.close()
    calls: dict[str, Callable[[], Any]] = {
        "append": lambda: trial.journal.append([Entry("event", "s", 12)]),
        "read": lambda: trial.journal.read(0),
    }
    for name, call in calls.items():
        if (code := _code(call)) not in ("journal.closed", "journal.gone"):
            yield Fault(f"closed, {name} gives {code}", "raise Unavailable journal.closed")


def _code(call: Callable[[], Any]) -> str:
    try:
        call()
    except GemelError as error:
        return error.code
    return "no error"


def _short(sequences: list[int]) -> str:
    return f"{sequences[:3]} … {sequences[-3:]}" if len(sequences) > 6 else str(sequences)


_PROMISES: dict[str, Callable[[_Trial], Iterator[Fault]]] = {
    "what was appended comes back": _exact,
    "many threads share it": _shared,
    "opened again it goes on": _kept,
    "who waits is woken": _woken,
    "what cannot be written is refused": _refused,
    "a writer whose time is over appends nothing": _fenced,
    "what is forgotten is gone, and nothing else": _forgotten,
    "what is erased is gone, and nothing else": _erased,
    "closed, it says so": _closed,
}
