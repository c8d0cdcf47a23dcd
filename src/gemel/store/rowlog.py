"""The row log: what changed in a fleet since its last snapshot, one append an acknowledged change.

Owns    one file: rows of columns as they became, in order; a torn end is cut off, damage is said.
Never   is needed for long: the next snapshot holds all of it, and the log is taken away.

    gemel rows LENGTH CRC32             29 bytes; both in hex, of the head that follows
    {"format": 1, "follows": …, "fields": [[name, type], …]}
    ROWS crc32 length record record …   one append; length u64, the checksum covers it and the rest
    record: sequence i64, rows n u32, note m u32, note (m bytes of JSON), rows (n,) u32,
            then every field's values (n,)

An append is one frame: it is there or it is not. A frame that is not whole can only be the last,
written when the machine stopped, and nobody was told of it. Any other was whole once: that is
damage, and to go on without it would lose what was acknowledged. Only damage to the very last
frame cannot be told from a torn end.
"""

import fcntl
import json
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gemel import hooks
from gemel.errors import Conflict, Invalid, Unavailable
from gemel.store.fleetfile import sync_folder

FORMAT = 1
LINE, PART = 29, 1 << 28  # bytes: first line; one read
MARK = b"ROWS"
_FIRST = re.compile(rb"gemel rows ([0-9a-f]{8}) [0-9a-f]{8}\n")
_FRAME = struct.Struct("<4sIQ")  # mark, crc32, length
_RECORD = struct.Struct("<qII")  # sequence, rows, bytes of the note


class Columns(Protocol):
    """Columns by name: a dict of arrays, or the Rows of a fleet."""

    def __getitem__(self, name: str, /) -> NDArray[Any]: ...


class RowLog:
    """The row log of one fleet; one writer.

    fields: name → type of every column that is kept; a log of other fields is refused with Conflict
    `rowlog.fields`. follows: the stamp of the snapshot that it goes on from; what follows another
    is no change of ours. Damage is Invalid `rowlog.damaged`.

    Opening only reads, and disturbs nobody. `hold`, or the first append, makes this the writer,
    begins the log anew where that follows another snapshot, and cuts a torn end off.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = RowLog(Path(folder) / "pumps.rows", {"wear": np.float32})
    ...     log.append([log.record(8, [1], {"wear": np.array([0.25, 0.5], np.float32)})])
    ...     restored = {"wear": np.zeros(2, np.float32)}
    ...     log.replay(restored, after=7), restored["wear"].tolist()
    ...     log.close()
    (8, [0.0, 0.5])
    """

    def __init__(self, path: Path, fields: Mapping[str, DTypeLike], follows: str = "") -> None:
        self.path, self.follows = Path(path), follows
        self._fields = {name: np.dtype(kind) for name, kind in fields.items()}
        self._file, self._writer = -1, 0  # who writes, by its process
        try:
            if not self.path.exists():
                self._begin()
            self._open()
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def __del__(self) -> None:
        self.close()

    def record(
        self,
        sequence: int,
        rows: Sequence[int] | NDArray[np.integer[Any]],
        columns: Columns,
        note: dict[str, Any] | None = None,
    ) -> bytes:
        """One change as bytes, for `append`: what the columns hold in `rows` now.

        note: plain JSON that `replay` hands back first, such as the ids of twins that are new.
        """
        places = np.asarray(rows, np.uint32)
        text = json.dumps(note, separators=(",", ":")).encode() if note else b""
        head = _RECORD.pack(sequence, len(places), len(text))
        values = [
            np.asarray(columns[name][places], kind).tobytes() for name, kind in self._fields.items()
        ]
        return b"".join([head, text, places.tobytes(), *values])

    def append(self, records: Sequence[bytes]) -> None:
        """Make changes durable, all of them or none: once this returns, they are on the disk.

        Several at once share one fsync. A disk that refuses is Unavailable `rowlog.unwritable`,
        and closes the log: what then lies in the file is not known. Raises Conflict `rowlog.busy`
        when somebody else writes it.
        """
        if self._file < 0:
            raise self._unwritable("it is closed")
        if not records:
            return
        payload = b"".join(records)
        size = struct.pack("<Q", len(payload))
        frame = _FRAME.pack(MARK, zlib.crc32(payload, zlib.crc32(size)), len(payload)) + payload
        try:
            self.hold()
            done = 0
            while done < len(frame):
                done += os.pwrite(self._file, memoryview(frame)[done:], self._end + done)
            hooks.at("rowlog.before_fsync")
            os.fsync(self._file)
            hooks.at("rowlog.after_fsync")
        except OSError as problem:
            self.close()
            raise self._unwritable(problem) from problem
        self._end += len(frame)

    def hold(self) -> None:
        """Be the one who appends, until the log is closed.

        Raises Conflict `rowlog.busy` when somebody else is, or has appended since it was opened.
        """
        if self._writer == os.getpid():
            if not os.path.exists(self.path) or not os.path.samefile(self.path, self._file):
                raise self._busy()
            return
        if self._writer:
            raise self._busy()  # a forked child, which shares its parent's lock
        if not self._ours:
            self._begin()
            self._open()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._busy() from None
        if self._frame(self._end) is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            raise self._busy()
        if self._size() > self._end:
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        self._writer = os.getpid()

    def replay(
        self,
        columns: Columns,
        after: int = -1,
        told: Callable[[dict[str, Any]], object] | None = None,
    ) -> int:
        """Write every change with a sequence over `after` into the columns; returns the last one.

        told: called with a record's note before its rows are written, so that it can add rows.
        Without a change, `after` comes back. A row that the columns do not have is Conflict
        `rowlog.row`.
        """
        last = after
        for frame in self._frames():
            at = 0
            while at < len(frame):
                sequence, count, letters = _RECORD.unpack_from(frame, at)
                at += _RECORD.size
                if told and letters and sequence > after:
                    told(json.loads(frame[at : at + letters]))
                at += letters
                rows = np.frombuffer(frame, np.uint32, count, at)
                at += rows.nbytes
                for name, kind in self._fields.items():
                    if sequence > after:
                        self._write(columns[name], rows, np.frombuffer(frame, kind, count, at))
                    at += count * kind.itemsize
                last = max(last, sequence)
        return last

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _begin(self) -> None:
        """A log without a change, whole or not there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.partial")
        fields = [[name, kind.str] for name, kind in self._fields.items()]
        told = {"format": FORMAT, "follows": self.follows, "fields": fields}
        head = json.dumps(told, separators=(",", ":")).encode()
        with partial.open("wb") as file:
            file.write(_line(head) + head)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self.path)
        sync_folder(self.path.parent)

    def _open(self) -> None:
        """Find where the frames start, and where the whole ones end."""
        self.close()
        writable = os.access(self.path, os.W_OK)
        self._file = os.open(self.path, os.O_RDWR if writable else os.O_RDONLY)
        try:
            self._check_head()
            for frame in self._frames():
                self._end += _FRAME.size + len(frame)
        except BaseException:
            self.close()
            raise

    def _check_head(self) -> None:
        first = self._read(LINE, 0)
        found = _FIRST.fullmatch(first)
        head = self._read(int(found[1], 16) if found else 0, LINE)
        if not found or _line(head) != first:
            raise self._damaged("its head does not fit its checksum")
        self._start = self._end = LINE + len(head)
        said = json.loads(head)
        self._ours = said.get("follows", "") == self.follows
        kinds = {name: kind.str for name, kind in self._fields.items()}
        if self._ours and (said["format"] > FORMAT or dict(said["fields"]) != kinds):
            raise Conflict(
                "rowlog.fields",
                "the log was written for other fields, or by a newer Gemel",
                where=str(self.path),
                mend="open it with the kernel and version that wrote it, or take it away and "
                "go on from the snapshot",
            )

    def _frames(self) -> Iterator[bytes]:
        """The payload of every whole frame, in order."""
        if not self._ours:
            return
        at = self._start
        while (payload := self._frame(at)) is not None:
            yield payload
            at += _FRAME.size + len(payload)
        rest = self._read(self._size() - at, at)
        place = rest.find(MARK, 1)
        while place > 0:
            if self._frame(at + place) is not None:
                raise self._damaged(f"the change at byte {at} does not fit its checksum")
            place = rest.find(MARK, place + 1)

    def _frame(self, at: int) -> bytes | None:
        """The payload of the frame at a byte, None when it is not whole."""
        head = self._read(_FRAME.size, at)
        if len(head) < _FRAME.size:
            return None
        mark, crc, size = _FRAME.unpack(head)
        if mark != MARK or size > self._size() - at - _FRAME.size:
            return None
        payload = self._read(size, at + _FRAME.size)
        return payload if zlib.crc32(payload, zlib.crc32(head[8:])) == crc else None

    def _read(self, size: int, at: int) -> bytes:
        """`size` bytes, or as many as there are; one call of the system stops at 2 GiB."""
        parts = []
        while part := os.pread(self._file, min(size, PART), at):
            parts.append(part)
            size, at = size - len(part), at + len(part)
        return b"".join(parts)

    def _size(self) -> int:
        return os.fstat(self._file).st_size

    def _write(self, column: NDArray[Any], rows: NDArray[np.uint32], values: Any) -> None:
        if rows.size and rows.max() >= len(column):
            raise Conflict(
                "rowlog.row",
                f"the log tells of row {rows.max()}, and the columns have {len(column)} rows",
                where=str(self.path),
                mend="restore the snapshot that this log follows",
            )
        column[rows] = values

    def _damaged(self, what: str) -> Invalid:
        return Invalid(
            "rowlog.damaged",
            what,
            where=str(self.path),
            mend="take the log away and rebuild what followed the snapshot from the journal",
        )

    def _busy(self) -> Conflict:
        return Conflict(
            "rowlog.busy",
            "somebody else has gone on with this log",
            where=str(self.path),
            mend="let one process write it; load the fleet again to go on from where it stands",
        )

    def _unwritable(self, problem: object) -> Unavailable:
        return Unavailable(
            "rowlog.unwritable",
            f"the change was not kept: {problem}",
            where=str(self.path),
            mend="make room on the disk and open the log again",
        )


def _line(head: bytes) -> bytes:
    return f"gemel rows {len(head):08x} {zlib.crc32(head):08x}\n".encode()
