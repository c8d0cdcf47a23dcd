"""What the routes of one proposal and one command answer, as schemas of the OpenAPI document.

Owns    the names and the types of these answers.
Never   computes anything.
"""

from typing import Literal

from pydantic import Field

from gemel.server.forms import Finding, Foreseen, Form, Instant, Invocation, Now, Proposal


class CommandNow(Form):
    """What a command is called, and how it is confirmed."""

    unit: str
    low: float
    high: float
    confirmed_by: str
    how: Literal["near", "below", "above"]
    tolerance: float
    within: float


class ProposalDetail(Proposal, Now):
    label: CommandNow
    findings: list[Finding] = Field(description="those that it answers")
    invocation: Invocation | None


class Tried(Foreseen, Now):
    """Another argument beside doing nothing, as the twin is believed to be now."""

    argument: float


class LifeStep(Form):
    step: Literal[
        "proposed", "approved", "sending", "sent", "acknowledged", "confirmed", "failed", "unknown"
    ]
    at: Instant
    detail: str


class InvocationDetail(Invocation, Now):
    label: CommandNow
    life: list[LifeStep]
