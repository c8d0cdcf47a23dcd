"""Memory: journal, ledger, lake, snapshots."""
