"""The peers that Gemel is measured against: their scripts, versions and flags, fixed here.

Owns    the list of peers, their environment (`build/peers`, made on demand by `setup`), and
        starting one: `rate("filterpy_ekf")`.
Never   installs a peer beside Gemel: `pyproject.toml` knows none of them.

A peer is a module of this folder. It runs in a process of its own and prints one JSON line,
{peer, version, flags, figure, unit, n, seconds, wall}; `clock.py` says what they mean.
Nothing in this folder imports Gemel, so that the scripts run where it is not installed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = ROOT / "build" / "peers" / "bin" / "python"

# The libraries under NumPy and SciPy start no threads for 4×4 matrices. JAX keeps the machine's.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
XLA_FLAGS = (
    "--xla_cpu_multi_thread_eigen=false "
    "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion=true"
)
PEERS = {
    "filterpy_ekf": ONE_THREAD,
    "filterpy_ekf_dual": ONE_THREAD,
    "filterpy_ukf": ONE_THREAD,
    "json_loop": ONE_THREAD,
    "jax_ekf": {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": XLA_FLAGS},
    "numpy_paths": ONE_THREAD,
    "progpy_pf": ONE_THREAD,
    "scipy_fit": ONE_THREAD,
}
LONGEST = 300  # seconds for one peer


def rate(peer: str) -> float:
    """What `peer` reaches now, per CPU second: updates, assets or steps."""
    return float(measured(peer)["figure"])


def measured(peer: str) -> dict[str, Any]:
    """Start `peer` in its own environment and return the line it prints.

    Raises RuntimeError when the environment cannot be made, or the peer fails; it says why.
    """
    _make_environment()
    told = subprocess.run(
        [PYTHON, "-m", f"benchmarks.peers.{peer}"],
        cwd=ROOT, env=os.environ | PEERS[peer], timeout=LONGEST, capture_output=True, text=True,
    )  # fmt: skip
    if told.returncode:
        raise RuntimeError(f"the peer {peer} failed: {told.stderr.strip() or told.stdout.strip()}")
    line: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return line


def _make_environment() -> None:
    made = subprocess.run(
        [HERE / "setup"], env=os.environ | {"PYTHON": sys.executable}, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    if made.returncode:
        raise RuntimeError(
            f"the peers' environment, build/peers, could not be made: {made.stderr.strip()}\n"
            "It needs a network once. Run benchmarks/peers/setup where there is one, then again: "
            "make bench 'engine.*'. Figures without a peer need none of this."
        )


def main(names: list[str]) -> None:
    """Measure the peers that are named, or all, and print their lines."""
    for name in names or PEERS:
        sys.stdout.write(json.dumps(measured(name)) + "\n")
        sys.stdout.flush()
