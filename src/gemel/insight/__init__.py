"""Estimate to finding. Pure."""
