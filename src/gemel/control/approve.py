"""The life of a proposal and of an invocation.

Owns    which step may follow which, and nothing else decides it.
Never   sends: `sending` is a fact in the ledger before anything is on the wire.

    proposal     open ─► approved | rejected | expired
    invocation   sending ─► acknowledged ─► confirmed
                    │  └──────────────────────▲   (telemetry alone confirms)
                    ├─► failed    refused by the asset, not sent, or not confirmed in time
                    └─► unknown   the process died at the wire; never sent again
"""

from dataclasses import dataclass, field

from gemel.records import Invocation, Proposal

OPEN = ("sending", "acknowledged", "unknown")


@dataclass
class ControlMemory:
    """Open proposals, unfinished invocations, quiet: 'policy|twin' → no new proposal before, ns."""

    proposals: dict[str, Proposal] = field(default_factory=dict)
    invocations: dict[str, Invocation] = field(default_factory=dict)
    quiet: dict[str, int] = field(default_factory=dict)
    proposal_count: int = 0
    invocation_count: int = 0


def decide(proposal: Proposal, verdict: str, by: str, why: str, now: int) -> None:
    """Write a verdict on an open proposal; past its expiry it is expired, whatever was said."""
    if proposal.status != "open":
        return
    late = now >= proposal.expires_at
    proposal.status = "expired" if late else verdict
    proposal.by, proposal.why, proposal.decided_at = by, why, now


def expire(memory: ControlMemory, now: int) -> list[Proposal]:
    """Proposals whose time is over."""
    over = [p for p in memory.proposals.values() if now >= p.expires_at]
    for proposal in over:
        proposal.status, proposal.decided_at = "expired", now
        del memory.proposals[proposal.id]
    return over


def on_sent(invocation: Invocation, outcome: str, detail: str, now: int) -> bool:
    """What became of it at the wire; False if it says nothing new, as the asset was quicker."""
    if invocation.status != "sending":
        return False
    if outcome == "sent":
        invocation.sent_at = now
    else:
        invocation.status, invocation.detail = outcome, detail
        invocation.done_at = now if outcome == "failed" else 0
    return True


def on_reply(invocation: Invocation, accepted: bool, detail: str, now: int) -> bool:
    """The asset's own answer, and so it was reached; False if it has answered before."""
    if invocation.status not in ("sending", "unknown"):
        return False
    invocation.detail, invocation.sent_at = detail, invocation.sent_at or now
    invocation.status = "acknowledged" if accepted else "failed"
    invocation.done_at = 0 if accepted else now
    return True


def on_telemetry(
    invocation: Invocation, how: str, tolerance: float, value: float, now: int
) -> bool:
    """Whether this reading shows that the command worked; if so it is confirmed."""
    off = value - invocation.argument
    done = {"near": abs(off) <= tolerance, "below": off <= tolerance, "above": off >= -tolerance}[
        how
    ]
    if done and invocation.status in OPEN:
        invocation.status, invocation.done_at = "confirmed", now
        return True
    return False


def overdue(memory: ControlMemory, now: int) -> list[Invocation]:
    """What telemetry has not shown in time: failed; an unknown one stays unknown, and both end."""
    out = []
    for invocation in memory.invocations.values():
        if invocation.status == "unknown" and now > invocation.confirm_by:
            invocation.done_at = now
            out.append(invocation)
        if invocation.status in ("sending", "acknowledged") and now > invocation.confirm_by:
            invocation.status, invocation.done_at = "failed", now
            invocation.detail = "telemetry did not confirm it in time"
            out.append(invocation)
    return out
