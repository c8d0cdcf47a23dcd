"""Kernels that ship with Gemel: one file a kind of asset, source cited."""
