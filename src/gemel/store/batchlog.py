"""The large batches of a journal, in files beside it.

Owns    the files `journal.batches/NUMBER`: where a batch lies in them, that it is on the disk, and
        that what is let go of leaves no bytes.
Never   says that a batch counts: the journal's transaction does, which writes down where it lies.

SQLite would write a large batch twice, once to its write-ahead log. Here it is written once. What
no transaction tells of is no part of the journal: a torn end, cut off when the next writer begins.
A commit that failed may come back to life when the database is next opened: so what it wrote stays
until a later one has succeeded, and nothing else is written to its file.

Who holds the database's write lock, and is the journal's writer, may call `begin` to `cut`.
"""

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from xxhash import xxh3_64_intdigest

from gemel.store.fleetfile import sync_folder

ROLL = 64 << 20  # bytes after which a new file is begun
ZEROS = bytes(1 << 20)
_SPOT = struct.Struct("<cqqqQ")
MARK = b"@"  # no batch begins so


@dataclass(frozen=True)
class Spot:
    """Where a batch lies: file, first byte, bytes, and their XXH3."""

    file: int
    begin: int
    size: int
    sum: int

    def pack(self) -> bytes:
        return _SPOT.pack(MARK, *astuple(self))

    @staticmethod
    def of(blob: bytes | None) -> "Spot | None":
        """What stands for a batch in the journal, if it is a spot and not the batch itself. Raises
        ValueError if it is half of one."""
        if blob is None or blob[:1] != MARK:
            return None
        if len(blob) != _SPOT.size:
            raise ValueError(f"{len(blob)} bytes say where a batch lies, not {_SPOT.size}")
        return Spot(*_SPOT.unpack(blob)[1:])


class BatchLog:
    """The files of one journal; one thread of one process writes, any may read.

    number, end: the file that is written, 0 before the first, and where its next batch begins
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = self.end = 0
        self._file = -1
        self._used = 0  # the greatest number it began
        self._left: list[int] = []  # files whose last commit failed
        self._due: list[int] = []  # of these, those after which a commit succeeded

    def path(self, number: int) -> Path:
        return self.folder / f"{number:09d}"

    @property
    def full(self) -> bool:
        """Whether the next batch begins a new file."""
        return not self.number or self.end >= ROLL

    def begin(self, number: int) -> None:
        """Write to a new file from here on, under this number or a greater one; what a torn
        transaction of another process left there goes."""
        number = max(number, self._used + 1)
        self.folder.mkdir(exist_ok=True)
        file = os.open(self.path(number), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        except OSError:
            os.close(file)
            raise
        self.close()
        self.number, self.end, self._file, self._used = number, 0, file, number

    def append(self, blobs: Sequence[bytes | memoryview]) -> list[Spot]:
        """Put batches on the disk, one after the other."""
        spots, at = [], self.end
        for blob in blobs:
            _write(self._file, blob, at)
            spots.append(Spot(self.number, at, len(blob), xxh3_64_intdigest(blob)))
            at += len(blob)
        os.fdatasync(self._file)
        self.end = at
        return spots

    def back(self, number: int, end: int) -> None:
        """Be where it was before a transaction that did not come to its commit."""
        with suppress(OSError):  # what is left is overwritten, or cut off by the next writer
            if self.number == number and self._file >= 0:
                self.end = end
                os.ftruncate(self._file, end)
            elif self.number != number:
                self.path(self.number).unlink(missing_ok=True)
        if self.number != number:
            self.close()

    def leave(self) -> None:
        """Write nothing more to this file: the commit that told of its end failed."""
        if self.number:
            self._left.append(self.number)
        self.close()

    def committed(self) -> None:
        """A commit succeeded: none that failed before can come back."""
        self._due += self._left
        self._left.clear()

    @property
    def due(self) -> bool:
        """Whether there are files to `cut`."""
        return bool(self._due)

    def cut(self, ends: Mapping[int, int]) -> None:
        """Of files that a failed commit left, what counts stays: up to these ends."""
        while self._due:
            number = self._due.pop()
            with suppress(OSError):  # the next writer cuts it off
                self._keep(self.path(number), ends.get(number))

    def read(self, spot: Spot) -> bytes | None:
        """A batch; None where its file is gone. Raises ValueError if it is not as written."""
        try:
            file = os.open(self.path(spot.file), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            blob = bytearray()
            while part := os.pread(file, spot.size - len(blob), spot.begin + len(blob)):
                blob += part
        finally:
            os.close(file)
        if len(blob) != spot.size or xxh3_64_intdigest(blob) != spot.sum:
            raise ValueError(f"{spot.size} bytes of {self.path(spot.file)} are not as written")
        return bytes(blob)

    def wipe(self, spots: Iterable[Spot]) -> None:
        """Put zeros where batches lie. To do it twice does nothing more."""
        places: dict[int, list[Spot]] = {}
        for spot in spots:
            places.setdefault(spot.file, []).append(spot)
        for number, several in places.items():
            with suppress(FileNotFoundError):
                file = os.open(self.path(number), os.O_WRONLY)
                try:
                    for spot in several:
                        for begin in range(0, spot.size, len(ZEROS)):
                            part = memoryview(ZEROS)[: spot.size - begin]
                            _write(file, part, spot.begin + begin)
                    os.fdatasync(file)
                finally:
                    os.close(file)

    def keep(self, ends: Mapping[int, int]) -> None:
        """Leave the files of these numbers, up to these ends, and no others: who begins to write
        knows what counts."""
        self.close()
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name.isdecimal() and path.is_file():
                self._keep(path, ends.get(int(path.name)))

    @staticmethod
    def _keep(path: Path, end: int | None) -> None:
        if end is None:
            path.unlink(missing_ok=True)
        elif path.stat().st_size > end:
            os.truncate(path, end)

    def drop(self, number: int) -> None:
        self.path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file that is written; the next batch begins another."""
        if self._file >= 0:
            os.close(self._file)
        self.number, self.end, self._file = 0, 0, -1


def _write(file: int, blob: bytes | memoryview, at: int) -> None:
    view = memoryview(blob)
    while len(view):
        done = os.pwrite(file, view, at)
        view, at = view[done:], at + done
