"""The outside: one file a protocol."""
