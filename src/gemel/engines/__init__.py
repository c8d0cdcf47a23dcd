"""Where a fleet runs."""
