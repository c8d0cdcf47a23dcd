"""Small files of the data directory, on a disk that is full."""

import resource
import signal
from pathlib import Path

import pytest

from gemel.errors import Unavailable
from gemel.store import small


def test_a_file_that_cannot_be_written_stays_as_it_was_and_says_what_mends_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "plant.json"
    small.put(path, "before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    held = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(Unavailable, match=r"data.unwritable|cannot be written") as told:
            small.put(path, "after")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, held)
    assert told.value.code == "data.unwritable" and "make room" in told.value.mend
    assert path.read_text() == "before"
    small.put(path, "after")
    assert path.read_text() == "after"
