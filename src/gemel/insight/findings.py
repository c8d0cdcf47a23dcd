"""Findings that open once, stay open, and close with hysteresis.

Owns    the open findings of a plant: one a (kind, binding, twin, subject).
Never   computes a statistic: it is handed one, with its two thresholds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gemel.records import Finding


@dataclass
class FindingMemory:
    """Open findings by key, and how many there ever were."""

    open: dict[str, Finding] = field(default_factory=dict)
    count: int = 0


def follow(
    memory: FindingMemory,
    *,
    kind: str,
    binding: str,
    twin: str,
    subject: str,
    instant: int,
    statistic: float,
    threshold: float,
    on: bool,
    off: bool,
    severity: str,
    describe: Callable[[], tuple[str, dict[str, Any]]],
) -> Finding | None:
    """Open, refresh or close one finding; what changed enough to be told, else None.

    `on` opens it, `off` closes it, in between it stays as it is.
    """
    key = f"{kind}|{binding}|{twin}|{subject}"
    held = memory.open.get(key)
    if held is None and on:
        memory.count += 1
        text, evidence = describe()
        held = Finding(
            f"F-{memory.count:06d}",
            kind,
            twin,
            binding,
            subject,
            instant,
            severity,
            statistic,
            threshold,
            text,
            evidence,
        )
        memory.open[key] = held
        return held
    if held is not None and off:
        held.status, held.closed_at = "closed", instant
        return memory.open.pop(key)
    return None


def close_twin(
    memory: FindingMemory, twin: str, binding: str | None, instant: int
) -> list[Finding]:
    """Close everything open on a twin (of one binding, or of all): it was repaired."""
    closed = []
    mine = [k for k, f in memory.open.items() if f.twin == twin and binding in (None, f.binding)]
    for key in mine:
        finding = memory.open.pop(key)
        finding.status, finding.closed_at = "closed", instant
        closed.append(finding)
    return closed


def of_twin(memory: FindingMemory, binding: str, twin: str, kind: str) -> list[Finding]:
    """The open findings of one kind on one twin."""
    found = memory.open.values()
    return [f for f in found if (f.binding, f.twin, f.kind) == (binding, twin, kind)]
