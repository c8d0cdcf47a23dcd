"""The flow: the only place that composes the others. Read `tick.py` first."""
