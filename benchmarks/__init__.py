"""What Gemel promises in numbers.

`make bench` measures speed and size, `make proof` accuracy and robustness.

A figure is a function in `benchmarks/<area>.py` that returns a number; its bar is in `bars.toml`.
"""
