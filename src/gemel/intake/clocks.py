"""Whether a source's clock agrees with the plant's.

Owns    the lag of every source's last entries: the plant's clock less the samples' instants.
Never   corrects an instant: what a source says stays what it said.

A lag is the way here plus the clock's error. One entry may be old, one device of a source may have
lost its clock: so the lag of an entry is the median over its twins, each by its newest sample, and
that of a source is the median over its last entries.
"""

import numpy as np

from gemel.labels import Labels
from gemel.records import Instants

KEPT = 31  # entries
ENOUGH = 8  # entries before a source is judged


def lag(received_at: int, twin: Labels, instant: Instants) -> int:
    """ns by which an entry's instants are behind the plant's clock; negative: ahead."""
    if (instant == instant[0]).all():
        return received_at - int(instant[0])
    code, count = twin.code, len(twin.words)
    if count > len(code):
        words, code = np.unique(code, return_inverse=True)
        count = len(words)
    newest = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(newest, code, instant)
    there = np.sort(newest[newest > np.iinfo(np.int64).min])
    return received_at - int(there[len(there) // 2])


def hear(lags: dict[str, list[int]], source: str, of_entry: int) -> int:
    """Keep the lag of one entry more; the source's lag, ns: 0 while it is not known."""
    known = lags.setdefault(source, [])
    known.append(of_entry)
    del known[:-KEPT]
    return lag_of(known)


def lag_of(known: list[int]) -> int:
    """The median of the lags of a source's last entries, ns; 0 while there are too few."""
    return sorted(known)[len(known) // 2] if len(known) >= ENOUGH else 0
