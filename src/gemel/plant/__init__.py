"""The ground-truth plant: one simulator for demo and tests."""
