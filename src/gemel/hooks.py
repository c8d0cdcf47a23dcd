"""Named points in the life of a tick where a test may stop the process.

Owns    the names, and one callback that is empty in normal life.
Never   changes what the code around it does.
"""

from collections.abc import Callable

POINTS = (
    "journal.after_log",
    "journal.before_commit",
    "journal.after_commit",
    "mqtt.before_ack",
    "mqtt.after_ack",
    "kafka.before_tell",
    "kafka.after_tell",
    "kafka.rebalance",
    "ledger.before_commit",
    "ledger.after_commit",
    "lake.before_write",
    "lake.after_write",
    "snapshot.before_rename",
    "snapshot.after_rename",
    "wire.before_send",
    "wire.after_send",
)

_callback: Callable[[str], None] | None = None


def set_callback(callback: Callable[[str], None] | None) -> None:
    """Call `callback(point)` at every point from now on; None: never."""
    global _callback
    _callback = callback


def at(point: str) -> None:
    """Pass a named point."""
    if _callback is not None:
        _callback(point)
