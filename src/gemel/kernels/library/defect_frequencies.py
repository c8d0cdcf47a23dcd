"""Where a rolling bearing's faults sound, and how large they have grown.

Owns    the four defect frequencies, the cage's slip, and a spall's size on each part.
Never   computes a spectrum: an analyser reads the lines and sends their amplitudes.
"""

from typing import Any, ClassVar

import numpy as np

from gemel.kernels.base import Kernel, parameter, sensor, signal, state

CRITICAL = 3.0  # mm, a spall that a bearing is not run with


def cage_frequency(ratio: Any, angle: Any) -> Any:
    """FTF, the cage's turns per turn of the shaft: (1 − γ)/2, γ = (d/D) cos θ.

    ratio d/D, ball over pitch diameter · angle θ, contact angle, rad
    """
    return 0.5 * (1.0 - ratio * np.cos(angle))


def outer_frequency(balls: Any, ratio: Any, angle: Any) -> Any:
    """BPFO, balls over a point of the outer ring per turn: z (1 − γ)/2."""
    return balls * cage_frequency(ratio, angle)


def inner_frequency(balls: Any, ratio: Any, angle: Any) -> Any:
    """BPFI, balls over a point of the inner ring per turn: z (1 + γ)/2."""
    return balls * (1.0 - cage_frequency(ratio, angle))


def ball_frequency(ratio: Any, angle: Any) -> Any:
    """BSF, a ball's spin per turn: (1 − γ²) D/2d."""
    return (1.0 - (ratio * np.cos(angle)) ** 2) / (2.0 * ratio)


class BearingDefects(Kernel):
    """Spalls on outer ring, inner ring and balls, each heard at its own frequency.

        FTF = ½ (1 − γ) (1 − slip)      γ = (d/D) cos θ
        BPFO = z FTF f      BPFI = z (1 − FTF) f      BSF = (1 − γ²) (D/2d) f
        a' = growth (f/25) max(a, 0)                           for each of outer, inner, ball
        level = floor + gain a (f/25)²                         m/s², at its own line

    f shaft speed, rev/s · z balls · d/D ball over pitch diameter · θ contact angle
    a spall length, mm · slip: how far the cage falls behind pure rolling, a slow random walk
    A line that is not found is a missing reading: nothing else changes.

    Each ball passes one ring or the other: both pass frequencies add up to z times the shaft's:

    >>> outer, inner = outer_frequency(9, 0.2034, 0.0), inner_frequency(9, 0.2034, 0.0)
    >>> float(outer.round(3)), float(inner.round(3)), float(outer + inner)
    (3.585, 5.415, 9.0)

    Source: Harris & Kotzalas, Advanced Concepts of Bearing Technology (2006), ch. 1; Li et al.,
    Mechanical Systems and Signal Processing 13 (1999) 103 (growth in proportion to size).
    Priors: a 6205.
    """

    version: ClassVar[str] = "1.0"
    max_step: ClassVar[float] = 21_600.0  # s; a spall doubles in some days at the fastest

    slip = state("1", start=0.01, start_std=0.005, noise=2e-5)
    outer = state("mm", start=0.0, start_std=0.05, noise=5e-5, precise=True)
    inner = state("mm", start=0.0, start_std=0.05, noise=5e-5, precise=True)
    ball = state("mm", start=0.0, start_std=0.05, noise=5e-5, precise=True)

    speed = signal("rpm", max_age=600)

    balls = parameter("1", typical=9.0, spread=0.01, bounds=(3.0, 100.0))
    ratio = parameter("1", typical=0.20338, spread=0.005, bounds=(0.02, 0.6))
    angle = parameter("deg", typical=0.0, spread=2.0, bounds=(0.0, 60.0))
    growth = parameter("1/h", typical=0.01, spread=0.8, scale="log", bounds=(1e-5, 1.0))
    gain = parameter("m/s2/mm", typical=5.0, spread=0.4, scale="log", bounds=(0.1, 200.0))
    floor = parameter("m/s2", typical=0.3, spread=0.3, scale="log", bounds=(1e-3, 10.0))

    outer_line = sensor("Hz", noise=0.2)
    inner_line = sensor("Hz", noise=0.2)
    outer_level = sensor("m/s2", noise=0.1)
    inner_level = sensor("m/s2", noise=0.1)
    ball_level = sensor("m/s2", noise=0.1)

    def flow(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        rate = p.growth / 3600.0 * np.maximum(u.speed, 0.0) / 1500.0
        return {
            "outer": rate * np.maximum(x.outer, 0.0),
            "inner": rate * np.maximum(x.inner, 0.0),
            "ball": rate * np.maximum(x.ball, 0.0),
        }

    def sense(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        turns = u.speed / 60.0
        cage = cage_frequency(p.ratio, p.angle * np.pi / 180.0) * (1.0 - x.slip)
        heard = p.gain * (u.speed / 1500.0) ** 2
        return {
            "outer_line": p.balls * cage * turns,
            "inner_line": p.balls * (1.0 - cage) * turns,
            "outer_level": p.floor + heard * x.outer,
            "inner_level": p.floor + heard * x.inner,
            "ball_level": p.floor + heard * x.ball,
        }

    def limits(self, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {
            "outer ring": 1.0 - x.outer / CRITICAL,
            "inner ring": 1.0 - x.inner / CRITICAL,
            "ball": 1.0 - x.ball / CRITICAL,
        }
