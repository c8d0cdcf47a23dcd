"""What a platform without an engine does: parse a line, find the twin's object, move its filter.

One JSON object a line with four values; a dictionary of objects; filterpy's extended Kalman filter
with derivatives by dual numbers, an object a twin. Nothing is kept on a disk.
"""

import json

from benchmarks.peers import physics
from benchmarks.peers.clock import report
from benchmarks.peers.filterpy_ekf import TICKS, TWINS, foreseen
from benchmarks.peers.filterpy_ekf_dual import DualBearing, jacobian
from benchmarks.peers.samples import samples

SIGNALS = ("speed", "load", "oil_temperature", "vibration")


def main() -> None:
    inputs, parameters, readings = samples(TWINS, TICKS)
    twins = {f"m{k:06d}": DualBearing(tuple(p)) for k, p in enumerate(parameters.tolist())}
    lines = [
        json.dumps(
            {
                "twin": twin,
                "time": f"2026-01-01T00:{k:02d}:00Z",
                "values": dict(zip(SIGNALS, [*inputs[k, row], *readings[k, row]], strict=True)),
            }
        )
        for k in range(TICKS)
        for row, twin in enumerate(twins)
    ]

    def block() -> None:
        for line in lines:
            told = json.loads(line)
            bearing, values = twins[told["twin"]], told["values"]
            u: physics.Row = (values["speed"], values["load"])
            bearing.predict(u)
            y = [values["oil_temperature"], values["vibration"]]
            known = (u, bearing.p)
            bearing.update(y, jacobian, foreseen, args=known, hx_args=known)

    block()
    report("json_loop", "filterpy numpy", "rows/s", len(SIGNALS) * len(lines), block)


if __name__ == "__main__":
    main()
