"""HTTP, thin."""
