"""The kernel of an oven, as a person writes it: the one that many tests run a plant with.

Owns    its text.
Never   is a library's: it is loaded from a file beside a plant file, as people's own are.
"""

_TEXT = '''
from gemel.kernels.base import Kernel, parameter, sensor, signal, state


class Oven(Kernel):
    """T' = heat P - loss (T - 20)."""

    version = "1.0"
    temperature = state("degC", start={start}, start_std={start_std}, noise=0.05)
    power = signal("kW")
    heat = parameter("K/s/kW", typical={heat}, spread=0.3, scale="log")
    loss = parameter("1/s", typical={loss}, spread=0.2, scale="log")
    thermometer = sensor("degC", noise=0.5)

    def flow(self, x, u, p):
        return {{"temperature": p.heat * u.power - p.loss * (x.temperature - 20)}}

    def sense(self, x, u, p):
        return {{"thermometer": x.temperature}}

    def limits(self, x, u, p):
        return {{"too hot": ({hot} - x.temperature) / ({hot} - 20)}}
'''


def oven_kernel(
    *,
    heat: float = 0.1,
    loss: float = 1e-2,
    hot: float = 200.0,
    start: float = 20.0,
    start_std: float = 5.0,
) -> str:
    """The text of `kernel.py`. heat: K/s/kW · loss: 1/s · hot: its limit, degC · start: degC."""
    return _TEXT.format(heat=heat, loss=loss, hot=hot, start=start, start_std=start_std)
