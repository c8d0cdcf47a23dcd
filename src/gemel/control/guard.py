"""The guard: what may never be sent. It can only refuse.

Owns    the envelope: declared range, fresh belief, good telemetry, one command at a time for an
        asset, expiry.
Never   proposes, and is never asked to make an exception.
"""

from gemel.clock import SECOND, format_duration

STALE = 6 * 3600.0  # s: a twin that has not heard from its asset this long may not command it


def refusal(
    argument: float,
    low: float,
    high: float,
    *,
    now: int,
    expires_at: int,
    estimate_at: int,
    busy: str,
    doubt: str = "",
) -> str:
    """Why this command may not be sent; "" when nothing speaks against it.

    doubt: why the telemetry that feeds the twin cannot be leaned on
    """
    if not low <= argument <= high:
        return f"argument {argument:g} is outside the declared range [{low:g}, {high:g}]"
    if now >= expires_at:
        return "the proposal has expired"
    if (now - estimate_at) / SECOND > STALE:
        silent = format_duration((now - estimate_at) / SECOND)
        return f"the twin last heard from its asset {silent} ago"
    if doubt:
        return doubt
    if busy:
        return f"invocation {busy} to the same asset is not finished"
    return ""
