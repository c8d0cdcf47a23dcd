"""Telemetry to frame: judge, then align. Pure."""
