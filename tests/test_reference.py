"""What Gemel is measured on, and what it is measured against, are the same physics."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.peers import PEERS, physics
from benchmarks.peers.samples import histories, samples
from benchmarks.peers.triad import Triad
from benchmarks.reference import TICK, Housing, ReferenceBearing, Wearing

from gemel.kernels import lanes
from gemel.kernels.base import Kernel

LANES = 200


def near(values: tuple[float, ...], seed: int, spread: float = 0.1) -> np.ndarray:
    """(LANES, n) values about the typical ones; a zero becomes a small number."""
    drawn = np.random.default_rng(seed).standard_normal((LANES, len(values)))
    return np.array(values) * np.exp(spread * drawn) + (np.array(values) == 0) * 0.1 * drawn


def rows(array: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(array.T)


X, U, P = near(physics.START, 1), near((1.0, 1.0), 2), near(physics.TYPICAL, 3)


def starts(kernel: type[Kernel]) -> tuple[float, ...]:
    return tuple(item.start for item in kernel.layout.states.values())


def noises(kernel: type[Kernel]) -> tuple[float, ...]:
    return tuple(item.noise for item in kernel.layout.states.values())


def test_the_reference_bearing_has_the_shape_that_192_bytes_an_update_count() -> None:
    layout = ReferenceBearing.layout
    shape = [len(part) for part in (layout.states, layout.inputs, layout.parameters)]
    assert [*shape, len(layout.outputs)] == [4, 2, 12, 2]
    belief, read = 4 + 10 + 1, 2 + 12 + 2 + 2
    assert 4 * (2 * belief + read) == 192


def test_the_peers_have_the_kernels_numbers() -> None:
    layout = ReferenceBearing.layout
    assert tuple(ReferenceBearing.typical()) == physics.TYPICAL
    assert starts(ReferenceBearing) == physics.START
    assert tuple(item.start_std for item in layout.states.values()) == physics.START_STD
    assert noises(ReferenceBearing) == physics.NOISE
    assert tuple(item.noise for item in layout.outputs.values()) == physics.SENSOR_NOISE
    assert ReferenceBearing.max_step == Housing.max_step == TICK == physics.TICK
    assert tuple(Housing.typical()) == physics.HOUSING
    assert starts(Housing) == (physics.HOUSING_START,)
    assert Housing.layout.outputs["thermometer"].noise == physics.HOUSING_NOISE
    spreads = {item.spread for item in Housing.layout.parameters.values()}
    assert spreads == {physics.HOUSING_SPREAD}
    assert tuple(Wearing.typical()) == physics.WEARING
    assert starts(Wearing) == physics.WEARING_START
    assert noises(Wearing) == physics.WEARING_NOISE


def test_the_peers_step_is_the_kernels_rk4_step() -> None:
    moved = lanes.advance(ReferenceBearing(), list(rows(X)), list(rows(U)), list(rows(P)), TICK)
    theirs = physics.step(np.exp, rows(X), rows(U), rows(P), TICK)
    np.testing.assert_allclose(np.array(theirs), np.array(moved), rtol=1e-12)


def test_the_derivatives_written_by_hand_are_exact() -> None:
    moved, exact = lanes.advance_jacobian(ReferenceBearing(), X, U, P, np.full(LANES, TICK))
    after, by_hand = physics.step_jacobian(np.exp, rows(X), rows(U), rows(P), TICK)
    np.testing.assert_allclose(np.array(after).T, moved, rtol=1e-12)
    whole = np.zeros_like(exact)
    whole[:, 3, 3] = 1.0
    for (i, j), part in zip(
        [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 2)], by_hand, strict=True
    ):
        whole[:, i, j] = part
    np.testing.assert_allclose(whole, exact, rtol=1e-11, atol=1e-15)


def test_the_peers_readings_are_the_kernels_and_vibration_is_not_linear_in_wear() -> None:
    read, slopes = lanes.sense_jacobian(ReferenceBearing(), X, U, P)
    theirs = physics.readings(rows(X), rows(U), rows(P))
    np.testing.assert_allclose(np.array(theirs).T, read, rtol=1e-12)
    by_wear = physics.vibration_by_wear(rows(X), rows(U), rows(P))
    np.testing.assert_allclose(by_wear, slopes[:, 1, 1], rtol=1e-12)
    worn = X + [0.0, 0.5, 0.0, 0.0]
    assert (physics.vibration_by_wear(rows(worn), rows(U), rows(P)) > by_wear).all()


def test_every_parameter_of_the_bearing_is_felt() -> None:
    typical = np.array(physics.TYPICAL)
    x, u = physics.START, (1.0, 1.0)

    def outcome(p: np.ndarray) -> tuple[float, ...]:
        after = physics.step(np.exp, x, u, tuple(p), TICK)
        return (*after, *physics.readings(after, u, tuple(p)))

    for k in range(12):
        other = typical.copy()
        other[k] *= 1.1
        assert outcome(other) != outcome(typical), list(ReferenceBearing.layout.parameters)[k]


def test_the_housing_and_the_wearing_path_step_as_their_kernels_do() -> None:
    x, p = near((50.0,), 4), near(physics.HOUSING, 5)
    [moved] = lanes.advance(Housing(), list(rows(x)), list(rows(U)), list(rows(p)), TICK)
    theirs = physics.housing_step(np.exp, x[:, 0], rows(U), rows(p), TICK)
    np.testing.assert_allclose(theirs, moved, rtol=1e-12)
    x, p = near(physics.WEARING_START, 6), near(physics.WEARING, 7)
    path = lanes.advance(Wearing(), list(rows(x)), [U[:, 1]], list(rows(p)), TICK)
    after = physics.wearing_step(np.exp, rows(x), U[:, 1], rows(p), TICK)
    np.testing.assert_allclose(np.array(after), np.array(path), rtol=1e-12)


def test_samples_are_the_same_on_every_side() -> None:
    for first, second in zip(samples(3, 5), samples(3, 5), strict=True):
        np.testing.assert_array_equal(first, second)
    inputs, readings, truth = histories(4, 100)
    assert inputs.shape == (100, 4, 2)
    assert readings.shape == (100, 4)
    assert truth.shape == (4, 5)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_triad_adds_up_at_any_number_of_threads(threads: int) -> None:
    triad = Triad(threads, megabytes=1.0)
    assert triad.seconds() > 0
    assert (triad.result() == 1 + 3 * 2).all()


def test_every_peer_has_its_script() -> None:
    folder = Path(physics.__file__).parent
    scripts = {path.stem for path in folder.glob("*.py") if "report(" in path.read_text("utf-8")}
    assert scripts - {"clock"} == set(PEERS)
