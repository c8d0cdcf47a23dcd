"""Figures of the package itself."""

import statistics
import subprocess
import sys
import time

from benchmarks.runner import figure


@figure("house.import_time", unit="s", kind="bench")
def import_time() -> float:
    """Start Python and `import gemel`: a new process each time, the median of five."""
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import gemel"], check=True)
        took.append(time.perf_counter() - begin)
    return statistics.median(took)
