"""Snapshots: the memory of the tick at one instant of known time, to restart from.

Owns    the files `snapshots/TICK.snapshot`, each whole or not there, each with its checksum; and
        those that are kept on, in `snapshots/kept`, to replay from where the journal lets go.
Never   is the truth: a damaged or missing one costs a longer replay of the journal, no more.

A file is MAGIC, the length of the head (8 bytes, little-endian), the head, and the arrays' bytes,
each column by column. The head is JSON: `{"tick", "arrays": [[name, type, shape]], "checksum",
"book"}`; the checksum covers names, types, shapes, bytes and the book.
"""

import hashlib
import json
import logging
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gemel import hooks
from gemel.errors import Invalid, Unavailable
from gemel.fingerprint import fingerprint

KEPT = 3
MAGIC = b"gemel snapshot 1\n"
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
        head = _head(tick, arrays, book)
        partial, path = self.folder / f".{tick}.partial", self.folder / f"{tick}.snapshot"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                _write(file, head, arrays)
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


def _head(tick: int, arrays: Arrays, book: dict[str, Any]) -> bytes:
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise Invalid(
                "snapshot.object_array",
                f"the array '{name}' holds Python objects, and a snapshot has no pickle",
                mend="give numbers as an array; words and records go into the book",
            )
    try:
        text = json.dumps(book, separators=(",", ":"))
    except (TypeError, ValueError) as problem:
        raise Invalid(
            "snapshot.book",
            f"the book is not plain JSON: {problem}",
            mend="turn arrays, tuples as keys and classes into plain data first",
        ) from problem
    head = {
        "tick": tick,
        "arrays": [[name, array.dtype.str, array.shape] for name, array in arrays.items()],
        "checksum": _checksum(arrays, text),
        "book": text,
    }
    return json.dumps(head).encode()


def _write(file: BinaryIO, head: bytes, arrays: Arrays) -> None:
    file.write(MAGIC + len(head).to_bytes(8, "little") + head)
    for array in arrays.values():  # column by column, as most lie
        file.write(np.ascontiguousarray(array.T).reshape(-1).view(np.uint8).data)


def _load(path: Path, tick: int) -> tuple[Arrays, dict[str, Any]]:
    arrays: Arrays = {}
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError("it is no snapshot")
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, kind, shape in head["arrays"]:
            flat = np.fromfile(file, np.dtype(kind), math.prod(shape))
            arrays[name] = flat.reshape(shape[::-1]).T
    if head["tick"] != tick or head["checksum"] != _checksum(arrays, head["book"]):
        raise ValueError("its checksum does not fit")
    return arrays, json.loads(head["book"])


def _checksum(arrays: Arrays, book: str) -> str:
    total = hashlib.sha256(book.encode())
    for name, array in arrays.items():
        total.update(f"\n{name}\n".encode() + fingerprint(array))
    return total.hexdigest()
