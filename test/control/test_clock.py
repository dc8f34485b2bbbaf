from __future__ import annotations

from asyncvla_ros.control.clock import MotionClock
from support.contracts import MS


def _run(clock: MotionClock, node_ns: list[int], *, is_simulated: bool) -> list[int]:
    """Motion time [ms] after each 20 ms of steady time."""
    first = clock.read(0, node_ns[0], is_simulated=is_simulated)
    times = [
        clock.read(20 * MS * n, at, is_simulated=is_simulated) for n, at in enumerate(node_ns[1:], start=1)
    ]
    return [(at - first) // MS for at in times]


def test_a_real_robot_moves_on_the_steady_clock_whatever_the_node_clock_does():
    node = [0, 20, 3020, 40, 40, 40]
    assert _run(MotionClock(), [n * MS for n in node], is_simulated=False) == [20, 40, 60, 80, 100]


def test_a_simulation_moves_on_its_own_clock_at_any_speed():
    assert _run(MotionClock(), [0, 10 * MS, 20 * MS, 30 * MS], is_simulated=True) == [10, 20, 30]
    assert _run(MotionClock(), [0, 0, 40 * MS, 40 * MS, 80 * MS], is_simulated=True) == [0, 40, 40, 80]


def test_a_stop_goes_on_while_a_simulated_clock_stands_still_or_goes_back():
    still = _run(MotionClock(), [0] + [10 * MS] * 20, is_simulated=True)
    assert still[5] == 10 and still[-1] - still[10] == 9 * 20
    assert _run(MotionClock(), [5000 * MS, 5020 * MS, 0, 20 * MS], is_simulated=True) == [20, 40, 60]
