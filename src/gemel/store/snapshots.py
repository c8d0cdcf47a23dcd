"""Snapshots: the memory of the tick at one instant of known time, to restart from.

Owns    the files `snapshots/TICK.snapshot`, each whole or not there, each with its checksum; and
        those that are kept on, in `snapshots/kept`, to replay from where the journal lets go.
Never   is the truth: a damaged or missing one costs a longer replay of the journal, and no more
        where the journal still has its entries.

A file is MAGIC, the length of the head (8 bytes, little-endian), its checksum (16 bytes), the head,
and the arrays' bytes, each column by column. The head is JSON: `{"tick", "arrays": [[name, type,
shape, once]], "checksum", "book"}`. `once`: the columns whose rows are alike to the bit, which is
most of a fleet that was not fitted; of them one row is written. Both checksums are XXH3, 128 bits;
the second one is of the bytes behind the head.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from gemel import hooks
from gemel.errors import Invalid, Unavailable

KEPT = 3
MAGIC = b"gemel snapshot 2\n"
SHORT = 64  # rows: a column of fewer is written as it is
PINNED = "kept"

Arrays = dict[str, NDArray[Any]]
_log = logging.getLogger("gemel.store")


class Snapshots:
    """The snapshots of one data directory; one writer, any readers.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     snapshots = Snapshots(Path(folder))
    ...     path = snapshots.save(4, {"mean": np.ones(2)}, {"note": "warm"})
    ...     tick, arrays, book = snapshots.latest()
    ...     tick, arrays["mean"].tolist(), book
    (4, [1.0, 1.0], {'note': 'warm'})
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def save(self, tick: int, arrays: Arrays, book: dict[str, Any]) -> Path:
        """Write the snapshot of `tick` in one step, then let go of all but the last three."""
        content = _content(tick, arrays, book)
        partial, path = self.folder / f".{tick}.partial", self.folder / f"{tick}.snapshot"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            hooks.at("snapshot.before_rename")
            partial.rename(path)
            _sync(self.folder)
            hooks.at("snapshot.after_rename")
            for old in self.ticks()[KEPT:]:
                (self.folder / f"{old}.snapshot").unlink(missing_ok=True)
            for left in self.folder.glob(".*.partial"):
                left.unlink(missing_ok=True)
        except OSError as problem:
            raise Unavailable(
                "snapshot.unwritable",
                f"the snapshot was not kept: {problem}",
                where=str(path),
                mend="make room on the disk; until then a restart replays more of the journal",
            ) from problem
        return path

    def ticks(self) -> list[int]:
        """The ticks of the last snapshots, newest first, damaged ones among them."""
        return _ticks(self.folder)

    def pins(self) -> list[int]:
        """The ticks of the snapshots that are kept on, newest first."""
        return _ticks(self.folder / PINNED)

    def pin(self, tick: int) -> bool:
        """Keep the snapshot of a tick on, whatever follows; False where it is not there any more.

        It is the same file under a second name.
        """
        there, pinned = self.folder / f"{tick}.snapshot", self.folder / PINNED / f"{tick}.snapshot"
        pinned.parent.mkdir(parents=True, exist_ok=True)
        if not pinned.exists():
            try:
                os.link(there, pinned)
            except FileNotFoundError:
                return False
            _sync(pinned.parent)
        return True

    def drop(self, before: int, *, only_pins: bool = False) -> int:
        """Delete the snapshots of ticks before one, or of these only the pinned; how many."""
        gone = [self.folder / PINNED / f"{tick}.snapshot" for tick in self.pins() if tick < before]
        if not only_pins:
            gone += [self.folder / f"{tick}.snapshot" for tick in self.ticks() if tick < before]
        for path in gone:
            path.unlink(missing_ok=True)
        return len({path.name for path in gone})

    def after(self, tick: int) -> tuple[int, Arrays, dict[str, Any]] | None:
        """The oldest whole snapshot of `tick` or later; else None."""
        ticks = sorted({*self.ticks(), *self.pins()})
        return self._whole([one for one in ticks if one >= tick])

    def latest(self, not_after: int | None = None) -> tuple[int, Arrays, dict[str, Any]] | None:
        """The newest whole snapshot (with tick ≤ `not_after`): tick, arrays, book; else None."""
        ticks = sorted({*self.ticks(), *self.pins()}, reverse=True)
        return self._whole([one for one in ticks if not_after is None or one <= not_after])

    def _whole(self, ticks: list[int]) -> tuple[int, Arrays, dict[str, Any]] | None:
        """The first of some that is not damaged."""
        for tick in ticks:
            path = self.folder / f"{tick}.snapshot"
            if not path.exists():
                path = self.folder / PINNED / path.name
            try:
                arrays, book = _load(path, tick)
            except Exception as problem:  # damage shows in a dozen ways
                _log.warning("snapshot %s is damaged and was passed over: %s", path, problem)
                continue
            return tick, arrays, book
        return None


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _ticks(folder: Path) -> list[int]:
    names = (path.stem for path in folder.glob("*.snapshot"))
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def _plain(arrays: Arrays, book: dict[str, Any]) -> str:
    """The book as text; `Invalid` if it or an array is not plain data."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise Invalid(
                "snapshot.object_array",
                f"the array '{name}' holds Python objects, and a snapshot has no pickle",
                mend="give numbers as an array; words and records go into the book",
            )
    try:
        return json.dumps(book, separators=(",", ":"))
    except (TypeError, ValueError) as problem:
        raise Invalid(
            "snapshot.book",
            f"the book is not plain JSON: {problem}",
            mend="turn arrays, tuples as keys and classes into plain data first",
        ) from problem


def _content(tick: int, arrays: Arrays, book: dict[str, Any]) -> list[Any]:
    """The bytes of a file, piece by piece."""
    text, told = _plain(arrays, book), []
    pieces: list[NDArray[Any]] = []
    for name, array in arrays.items():
        columns = _columns(array)
        alike = [_is_alike(column) for column in columns]
        once = [k for k, is_alike in enumerate(alike) if is_alike]
        told.append([name, array.dtype.str, array.shape, once])
        if once:
            pieces += [c[:1] if is_alike else c for c, is_alike in zip(columns, alike, strict=True)]
        else:
            pieces.append(columns)
    total = xxhash.xxh3_128()
    raw = [piece.reshape(-1).view(np.uint8).data for piece in pieces]
    for piece in raw:
        total.update(piece)
    head = {"tick": tick, "arrays": told, "checksum": total.hexdigest(), "book": text}
    first = json.dumps(head).encode()
    mark = xxhash.xxh3_128_digest(first)
    return [MAGIC + len(first).to_bytes(8, "little") + mark + first, *raw]


def _columns(array: NDArray[Any]) -> NDArray[Any]:
    """(N, ...) → (columns, N), as most lie in memory."""
    rows = array.shape[0] if array.ndim else 1
    return np.ascontiguousarray(array.T).reshape(array.size // rows if rows else 0, rows)


def _is_alike(column: NDArray[Any]) -> bool:
    if len(column) < SHORT or column.itemsize not in (1, 2, 4, 8):
        return False
    bits = column.view(f"u{column.itemsize}")
    first = bits[0]
    return bool(first == bits[-1] and first == bits[len(bits) // 2] and (bits == first).all())


def _load(path: Path, tick: int) -> tuple[Arrays, dict[str, Any]]:
    arrays: Arrays = {}
    total = xxhash.xxh3_128()
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError("it is no snapshot of this format")
        size, mark = int.from_bytes(file.read(8), "little"), file.read(16)
        first = file.read(min(size, path.stat().st_size))
        if xxhash.xxh3_128_digest(first) != mark:
            raise ValueError("the checksum of its head does not fit")
        head = json.loads(first)
        for name, kind, shape, once in head["arrays"]:
            array = np.empty(shape[::-1], kind).T
            columns = _columns(array)  # the same memory
            short = set(once)
            for k, column in enumerate(columns):
                raw = column[:1] if k in short else column
                if file.readinto(raw.view(np.uint8).data) != raw.nbytes:
                    raise ValueError("it ends too early")
                total.update(raw.view(np.uint8).data)
                column[len(raw) :] = column[:1]
            arrays[name] = array
    if head["tick"] != tick or head["checksum"] != total.hexdigest():
        raise ValueError("its checksum does not fit")
    return arrays, json.loads(head["book"])
