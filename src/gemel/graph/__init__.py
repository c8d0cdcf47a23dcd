"""Meaning: interfaces, twins, links and bindings. Pure."""
