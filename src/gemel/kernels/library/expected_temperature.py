"""The classic first kernel: what a bearing's temperature should be at this speed.

Owns    one straight line, as GE's digital-twin patents and lectures draw it.
Never   knows load, weather or history: the thermal kernels beside it do.
"""

from typing import Any, ClassVar

from gemel.kernels.base import Kernel, parameter, sensor, signal


class ExpectedTemperature(Kernel):
    """A line through speed; stateless.

        expected = slope n + intercept

    n speed, rpm · slope degC/rpm · intercept degC.

    >>> from gemel.kernels.base import Values
    >>> line = ExpectedTemperature()
    >>> u, p = Values({"speed": 3000.0}), Values({"slope": 0.065, "intercept": 4.0})
    >>> expected = line.sense(Values({}), u, p)["temperature"]
    >>> expected, [reading - expected for reading in (201.0, 203.0, 208.0, 211.0)]
    (199.0, [2.0, 4.0, 9.0, 12.0])

    Source: the worked example of GE's digital-twin starter kit (slope 0.065, intercept 4.0).
    """

    version: ClassVar[str] = "1.0"

    speed = signal("rpm", max_age=1800)

    slope = parameter("degC/rpm", typical=0.065, spread=0.1)
    intercept = parameter("degC", typical=4.0, spread=30.0)

    temperature = sensor("degC", noise=4.0)

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"temperature": p.slope * u.speed + p.intercept}
