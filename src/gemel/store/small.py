"""Small files of a data directory: each whole or not there.

Owns    how one is written, and what is said when it cannot be.
Never   knows what stands in it.
"""

import os
from pathlib import Path

from gemel.errors import Unavailable


def put(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file in one step, durably. Raises `data.unwritable`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     put(Path(folder) / "note", "a"), put(Path(folder) / "note", "b", 0o600)
    ...     (Path(folder) / "note").read_text(), [path.name for path in Path(folder).iterdir()]
    (None, None)
    ('b', ['note'])
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(file, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except OSError as problem:
        raise unwritable(path, problem) from problem


def unwritable(path: Path, problem: OSError) -> Unavailable:
    """The disk is full, or the directory is not ours to write."""
    return Unavailable(
        "data.unwritable",
        f"the data directory cannot be written: {problem.strerror or problem}",
        where=str(path),
        mend="make room on the disk, or mend the directory's owner and mode; then start again",
    )
