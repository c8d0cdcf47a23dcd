"""The truth kept beside what is sent: every sample, what was done to it, every fault.

Owns    the folder DATA/truth and its columns.
Never   is read by a twin, or by anything but who scores one (`oracle`).

    truth/faults.jsonl   kind twin signal start end size: a line for each time that a fault held
    truth/sent/*.parquet
        number           the order of sending, 0, 1, 2 …; null: never sent
        twin signal instant measured    true time, and what a sound instrument read then
        stated value unit               as it was sent
        sent             when, on the plant's clock; null: never
        sent_as          "" | other twin | other signal | garbage
        done             the faults that touched it, joined by +
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gemel.plant.truth import Slots
from gemel.plant.way import WORDS, Rows

SENT_AS = ("", "other twin", "other signal", "garbage")
MOST = 4_000_000  # rows of one file
_TIME = pa.timestamp("ns", "UTC")


class Record:
    """Writes the truth of one plant. number: of the next sample that is sent."""

    def __init__(self, folder: Path, slots: Slots, units: list[str], number: int = 0) -> None:
        self.folder, self.number = folder / "truth", number
        self._twins, self._signals = pa.array(slots.twins), pa.array(slots.signals)
        self._twin, self._signal = slots.twin.astype(np.int32), slots.signal.astype(np.int32)
        self._units = pa.array(units)
        self._held: list[pa.RecordBatch] = []
        (self.folder / "sent").mkdir(parents=True, exist_ok=True)
        there = [int(path.stem) for path in (self.folder / "sent").glob("*.parquet")]
        self._file = 1 + max(there, default=0)

    def sent(self, rows: Rows, at: int) -> None:
        """Rows that go now, in order."""
        numbers = np.arange(self.number, self.number + len(rows))
        self.number += len(rows)
        self._take(rows, pa.array(numbers), pa.array(np.full(len(rows), at)).view(_TIME))

    def lost(self, rows: Rows) -> None:
        """Rows that never go."""
        if len(rows):
            self._take(rows, pa.nulls(len(rows), pa.int64()), pa.nulls(len(rows), _TIME))

    def faults(self, records: list[dict[str, Any]]) -> None:
        """Faults that are known now."""
        if records:
            with (self.folder / "faults.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)

    def write(self) -> None:
        """What is held, as a file of its own."""
        if not self._held:
            return
        table = pa.Table.from_batches(self._held).unify_dictionaries()
        self._held = []
        path = self.folder / "sent" / f"{self._file:06d}.parquet"
        partial = path.with_suffix(".partial")
        pq.write_table(table, partial, compression="zstd", compression_level=1)
        partial.replace(path)
        self._file += 1

    def _take(self, rows: Rows, number: pa.Array, at: pa.Array) -> None:
        done, code = np.unique(rows.done, return_inverse=True)
        words = [words_of(int(bits)) for bits in done]
        columns = {
            "number": number,
            "twin": _coded(self._twins, self._twin[rows.slot]),
            "signal": _coded(self._signals, self._signal[rows.slot]),
            "instant": pa.array(rows.instant).view(_TIME),
            "measured": pa.array(rows.measured),
            "stated": pa.array(rows.stated).view(_TIME),
            "value": pa.array(rows.value),
            "unit": _coded(self._units, rows.unit),
            "sent": at,
            "sent_as": _coded(pa.array(SENT_AS), rows.sent_as),
            "done": _coded(pa.array(words), code),
        }
        self._held.append(pa.record_batch(columns))
        if sum(len(batch) for batch in self._held) > MOST:
            self.write()


def words_of(done: int) -> str:
    """The kinds of faults of some bits.

    >>> words_of(0), words_of(0b1100)
    ('', 'stuck+drift')
    """
    return "+".join(word for k, word in enumerate(WORDS) if done >> k & 1)


def _coded(words: pa.Array, code: Any) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.asarray(code, np.int32)), words)
