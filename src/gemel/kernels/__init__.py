"""Behaviour: physics for one asset, run for a fleet. Pure."""
