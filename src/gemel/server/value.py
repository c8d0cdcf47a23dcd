"""What the confirmed commands saved, and what hangs on the open proposals.

Owns    the value line.
Never   prices anything: a saving is the proposal's own.
"""

from typing import Any

Record = dict[str, Any]
CURRENCY = "EUR"


def value_line(proposals: list[Record], invocations: list[Record]) -> Record:
    """Sums over proposals: saved (their command was confirmed) and at stake (still open).

    A saving is that of the proposal: the mean over paths of the loss without the command less the
    loss with it, less what the command costs. Half-widths add in quadrature.
    """
    done = {row["proposal"] for row in invocations if row["status"] == "confirmed"}
    caught = [p for p in proposals if p["id"] in done]
    return {
        "currency": CURRENCY,
        "saved": _sum(caught),
        "at_stake": _sum([p for p in proposals if p["status"] == "open"]),
        "by_proposal": [
            {"proposal": p["id"], "twin": p["twin"], **_saving(p)}
            for p in caught
            if _saving(p)["mean"] is not None
        ],
    }


def _saving(proposal: Record) -> Record:
    told = (proposal.get("foreseen") or {}).get("saving") or {}
    return {name: told.get(name) for name in ("mean", "low", "high")}


def _sum(proposals: list[Record]) -> Record:
    known = [s for s in map(_saving, proposals) if None not in s.values()]
    mean = sum(s["mean"] for s in known)
    half = sum(((s["high"] - s["low"]) / 2) ** 2 for s in known) ** 0.5
    priced = {"mean": mean, "low": mean - half, "high": mean + half}
    return {**priced, "proposals": len(proposals), "without_a_price": len(proposals) - len(known)}
