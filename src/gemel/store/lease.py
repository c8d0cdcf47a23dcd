"""The one-writer lease of a data directory.

Owns    the file `DATA/lease`: who holds the lock is the only writer.
Never   unlinks the file (two processes could then each lock their own) or trusts a pid alone:
        the kernel frees the lock when its holder dies, however it died.
"""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType

from gemel.errors import Conflict, Unavailable


class Lease:
    """Held from construction until `release` or the death of the process.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Lease(Path(folder)) as lease:
    ...     Lease.holder(Path(folder)) == os.getpid()
    True
    """

    def __init__(self, data: Path) -> None:
        self.path = Path(data) / "lease"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as problem:
            raise _unwritable(data, problem) from problem
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            pid = _pid(os.pread(self._file, 200, 0))
            os.close(self._file)
            raise Conflict(
                "lease.held",
                f"process {pid or '(not yet named)'} already writes this data directory",
                where=str(data),
                mend=f"stop it (kill {pid or 'PID'}), or start with another --data",
            ) from problem
        try:
            self.note(0)
        except Unavailable:
            os.close(self._file)
            raise

    def note(self, epoch: int) -> None:
        """Write pid and epoch into the file, for people who look."""
        told = json.dumps({"pid": os.getpid(), "epoch": epoch}).encode()
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, told, 0)
        except OSError as problem:
            raise _unwritable(self.path.parent, problem) from problem

    def release(self) -> None:
        """Let the next writer in. A second release does nothing."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @staticmethod
    def holder(data: Path) -> int | None:
        """The pid of the process that writes this data directory now, None when nobody does."""
        try:
            file = os.open(Path(data) / "lease", os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _pid(os.pread(file, 200, 0))
        else:
            return None
        finally:
            os.close(file)


def _unwritable(data: Path, problem: OSError) -> Unavailable:
    return Unavailable(
        "lease.unwritable",
        f"the data directory cannot be written: {problem}",
        where=str(data),
        mend="make room on the disk, give another --data, or mend the owner and mode of this one",
    )


def _pid(text: bytes) -> int | None:
    try:
        return int(json.loads(text)["pid"])
    except (ValueError, KeyError, TypeError):
        return None
