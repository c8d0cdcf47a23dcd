"""Fleet files: the columns of a whole fleet at one instant, to go on from after a restart.

Owns    one file a snapshot: whole or not there, each column with its checksum; writing and mapping.
Never   is the truth, and never changes once it has its name: a map of it copies what it writes.

    gemel fleet LENGTH CRC32        30 bytes; both in hex, of the head that follows
    {"format": 1, "columns": [[name, type, shape, offset, crc32], …], "book": {…}}
                                    JSON, and zeros up to a page
    column, column, …               offsets count from that page; each on a 64-byte line
"""

import errno
import json
import mmap
import os
import re
import threading
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemel import hooks
from gemel.errors import Conflict, Invalid, NotFound, Unavailable

FORMAT = 1
LINE, ALIGN, PAGE = 30, 64, 4096  # bytes: first line, start of a column, start of the columns
CHUNK = 4 << 20  # bytes copied and summed while the ones before are written

_FIRST = re.compile(rb"gemel fleet ([0-9a-f]{8}) [0-9a-f]{8}\n")

Arrays = dict[str, NDArray[Any]]
Book = dict[str, Any]
Entry = tuple[str, str, list[int], int, str]  # name, type, shape, offset, crc32


def save(path: Path, arrays: Mapping[str, NDArray[Any]], book: Book) -> None:
    """Write arrays and a book of plain JSON under `path`, durably and in one step.

    A stop at any instant leaves the file that was there or the new one, whole. Raises Invalid for
    what is no number or no JSON, Unavailable `fleetfile.unwritable` for a disk that refuses.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder) / "pumps", {"wear": np.array([0.25, 0.5])}, {"sequence": 7})
    ...     arrays, book = load(Path(folder) / "pumps")
    >>> arrays["wear"].tolist(), book
    ([0.25, 0.5], {'sequence': 7})
    """
    path = Path(path)
    plan, text = _plan(arrays), _book(book)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _open_past_the_cache(partial)
        try:
            begin = _whole(LINE + len(_head(plan, text)), PAGE)
            with closing(_Stream(file, begin)) as stream:
                summed = [
                    (*entry[:4], f"{stream.put(array):08x}")
                    for entry, array in zip(plan, arrays.values(), strict=True)
                ]
            head, first = _head(summed, text), mmap.mmap(-1, begin)
            first.write(_line(head) + head)
            _write(file, memoryview(first), 0)
            os.fsync(file)
        finally:
            os.close(file)
        hooks.at("snapshot.before_rename")
        _take_place(partial, path)
        hooks.at("snapshot.after_rename")
    except OSError as problem:
        raise Unavailable(
            "fleetfile.unwritable",
            f"the snapshot of the fleet was not kept: {problem}",
            where=str(path),
            mend="make room on the disk; the snapshot before it and its row log still hold",
        ) from problem


def load(path: Path, *, verify: bool = True) -> tuple[Arrays, Book]:
    """The arrays and the book of a file.

    The arrays are copy-on-write maps: there at once, read when touched, and free to be changed
    in place without changing the file. verify: also hold every column against its checksum, which
    reads the whole file; without it only the head is.
    Raises NotFound `fleetfile.missing`, Invalid `fleetfile.damaged`, Conflict `fleetfile.newer`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise _damaged(path, "it is empty")
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError:
        raise NotFound(
            "fleetfile.missing",
            "there is no such snapshot of a fleet",
            where=str(path),
            mend="give the path that it was saved under, or rebuild the fleet from the journal",
        ) from None
    except OSError as problem:
        raise Unavailable(
            "fleetfile.unreadable",
            f"the snapshot of the fleet cannot be read: {problem}",
            where=str(path),
            mend="let this user read the file, and look at the disk",
        ) from problem
    head, begin = _read_head(path, whole)
    arrays: Arrays = {}
    for name, kind, shape, offset, crc in head["columns"]:
        dtype, at = np.dtype(kind), begin + offset
        end = at + dtype.itemsize * prod(shape)
        if end > len(whole):
            raise _damaged(path, f"it ends within the column '{name}'")
        if verify and zlib.crc32(memoryview(whole)[at:end]) != int(crc, 16):
            raise _damaged(path, f"the column '{name}' does not fit its checksum")
        arrays[name] = np.ndarray(shape, dtype, whole, at)
    return arrays, head["book"]


def stamp(path: Path) -> str:
    """What tells one snapshot from any other: its first line, with the checksum of its head, which
    holds that of every column."""
    try:
        with Path(path).open("rb") as file:
            return file.read(LINE).decode("ascii", "replace").strip()
    except OSError:
        return ""


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _plan(arrays: Mapping[str, NDArray[Any]]) -> list[Entry]:
    """Where each column will lie; its checksum is not known yet."""
    plan: list[Entry] = []
    offset = 0
    for name, array in arrays.items():
        if array.dtype.kind in "OV":
            raise Invalid(
                "snapshot.object_array",
                f"the array '{name}' is of {array.dtype}: no column of plain numbers",
                mend="give numbers as an array; words and records go into the book",
            )
        plan.append((name, array.dtype.str, list(array.shape), offset, "0" * 8))
        offset += _whole(array.nbytes, ALIGN)
    return plan


def _book(book: Book) -> str:
    try:
        return json.dumps(book, separators=(",", ":"))
    except (TypeError, ValueError) as problem:
        raise Invalid(
            "snapshot.book",
            f"the book is not plain JSON: {problem}",
            mend="turn arrays, tuples as keys and classes into plain data first",
        ) from problem


def _head(plan: list[Entry], book: str) -> bytes:
    columns = json.dumps(plan, separators=(",", ":"))
    return f'{{"format":{FORMAT},"columns":{columns},"book":{book}}}'.encode()


def _line(head: bytes) -> bytes:
    return f"gemel fleet {len(head):08x} {zlib.crc32(head):08x}\n".encode()


def _read_head(path: Path, whole: mmap.mmap) -> tuple[Any, int]:
    """The head of a file, and where its columns start."""
    found = _FIRST.match(whole)
    if found is None:
        raise _damaged(path, "it is no snapshot of a fleet")
    text = whole[LINE : LINE + int(found[1], 16)]
    if _line(text) != found[0]:
        raise _damaged(path, "its head does not fit its checksum")
    head = json.loads(text)
    if head["format"] > FORMAT:
        raise Conflict(
            "fleetfile.newer",
            f"the snapshot has format {head['format']}; this Gemel reads up to {FORMAT}",
            where=str(path),
            mend="use the newer Gemel that wrote it",
        )
    return head, _whole(LINE + len(text), PAGE)


def _damaged(path: Path, what: str) -> Invalid:
    return Invalid(
        "fleetfile.damaged",
        what,
        where=str(path),
        mend="restore the snapshot before it, or rebuild the fleet from the journal",
    )


def _whole(size: int, step: int) -> int:
    return -(-size // step) * step


# --- writing -------------------------------------------------------------------------------------


class _Stream:
    """Columns into a file, from a page on: while one buffer is written the next is filled."""

    def __init__(self, file: int, begin: int) -> None:
        self._file, self._at = file, begin
        self._buffer, self._spare = mmap.mmap(-1, CHUNK), mmap.mmap(-1, CHUNK)
        self._used = 0
        self._thread = ThreadPoolExecutor(1)
        self._written = self._thread.submit(int)

    def put(self, array: NDArray[Any]) -> int:
        """Take a column; returns its checksum."""
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        crc = done = 0
        while done < len(raw):
            piece = raw[done : done + CHUNK - self._used]
            end = self._used + len(piece)
            self._buffer[self._used : end] = piece
            crc = zlib.crc32(memoryview(self._buffer)[self._used : end], crc)
            done, self._used = done + len(piece), end
            if self._used == CHUNK:
                self._send(CHUNK)
        self._pad(ALIGN)
        return crc

    def close(self) -> None:
        """Write what is left, up to a page."""
        try:
            self._pad(PAGE)
            self._send(self._used)
            self._written.result()
        finally:
            self._thread.shutdown()

    def _pad(self, step: int) -> None:
        fill = -self._used % step
        self._buffer[self._used : self._used + fill] = bytes(fill)
        self._used += fill

    def _send(self, size: int) -> None:
        self._written.result()
        part = memoryview(self._buffer)[:size]
        self._written = self._thread.submit(_write, self._file, part, self._at)
        self._buffer, self._spare = self._spare, self._buffer
        self._at, self._used = self._at + size, 0


def _open_past_the_cache(path: Path) -> int:
    """A fresh file, written past the page cache where the system can.

    A snapshot is not read again soon, and filling fresh pages of the cache costs more than the
    disk. A file system that cannot says EINVAL, some only at the first write.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
    direct = getattr(os, "O_DIRECT", 0)
    file = -1
    try:
        file = os.open(path, flags | direct, 0o666)
        os.pwrite(file, mmap.mmap(-1, PAGE), 0)
    except OSError as problem:
        if file >= 0:
            os.close(file)
        if problem.errno != errno.EINVAL or not direct:
            raise
        return os.open(path, flags, 0o666)
    return file


def _take_place(partial: Path, path: Path) -> None:
    """Give the new file its name, durably; let go of the old one on the side.

    Freeing a large file can take as long as writing it. Held open, it is freed when it is closed.
    """
    old = os.open(path, os.O_RDONLY) if path.exists() else -1
    partial.rename(path)
    sync_folder(path.parent)
    if old >= 0:
        threading.Thread(target=os.close, args=(old,)).start()


def _write(file: int, part: memoryview, at: int) -> int:
    """All of `part`, where one call of the system may write less."""
    done = 0
    while done < len(part):
        done += os.pwrite(file, part[done:], at + done)
    return done
