"""An arm that is not measured may get another driver, which stands elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.bench.safety_contracts import joint_arm
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.start import ARRIVAL_NS
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.robot.motion_limits import following_limit

ARM = replace(joint_arm(), ramp_s=0.0)
# All of its dofs are measured, and none keeps its command by itself.
ARM = replace(ARM, dofs=tuple(dof for dof in ARM.dofs if not dof.holds_command))
HOME = np.array([(dof.minimum + dof.maximum) / 2 for dof in ARM.dofs])
ARRIVAL_PERIODS = round(ARRIVAL_NS / ARM.command_period_ns)
TIMEOUT_PERIODS = round(ARM.observation_timeout_s * 1e9 / ARM.command_period_ns)


class Rig:
    """An arm that stands at ``place`` whatever it is told, and a controller that holds it."""

    def __init__(self):
        self.controller, self.place = Controller(ARM), HOME.copy()
        self.controller.start()
        self.now_ns, self.steady_ns, self.sent = 10**12, 0, []
        self.run(20)
        assert self.sent

    def run(self, periods, *, sees=True):
        """Run this many periods; return their commands, None where none was sent."""
        for _ in range(periods):
            if sees:
                measured = dict(zip(ARM.state_names, self.place.tolist(), strict=False))
                self.controller.observe("joint_states", self.now_ns, measured)
            self.now_ns += ARM.command_period_ns
            self.steady_ns += ARM.command_period_ns
            self.sent.append(self.controller.update(self.now_ns, self.steady_ns).values)
        return self.sent[-periods:]


def test_an_arm_at_rest_that_is_not_measured_is_told_nothing():
    rig = Rig()
    told = rig.run(2 * TIMEOUT_PERIODS - 2, sees=False)
    assert all(values is not None for values in told), "a few states that are lost change nothing"
    rig.run(4, sees=False)
    assert all(values is None for values in rig.run(50, sees=False))
    assert (rig.controller.mode, rig.controller.reason) == (Mode.IDLE, Reason.NO_CHUNK)


def test_a_driver_that_comes_back_elsewhere_is_told_where_the_arm_is():
    # Nobody noticed that it went: a process that is killed is listed for many seconds.
    rig = Rig()
    rig.run(3 * TIMEOUT_PERIODS, sees=False)
    rig.place = HOME + 0.4
    told = [values for values in rig.run(20) if values is not None]
    assert told
    assert np.array(told) == pytest.approx(np.tile(rig.place, (len(told), 1)), abs=1e-6)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.9])
def test_an_arm_that_was_not_seen_for_a_while_is_told_what_it_was_told_before(share):
    """Its driver still goes there; a start where it is measured would lower the arm by its sag, at once."""
    rig = Rig()
    before = rig.run(5)[-1]
    # It sags, or lags, while nobody sees it: by this share of what a driver that obeys may be behind.
    rig.run(3 * TIMEOUT_PERIODS, sees=False)
    rig.place = HOME - share * np.array([following_limit(dof) for dof in ARM.dofs])
    told = [values for values in rig.run(ARRIVAL_PERIODS + 20) if values is not None]
    assert told[0] == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize("periods", [1, ARRIVAL_PERIODS - 5])
def test_a_driver_that_is_noticed_after_its_states_is_told_where_the_arm_is(periods):
    """It stands where the one before might have sagged to, and ROS discovers one topic after the other."""
    rig = Rig()
    rig.run(3 * TIMEOUT_PERIODS, sees=False)
    rig.place = HOME + 0.5 * np.array([following_limit(dof) for dof in ARM.dofs])
    told = rig.run(periods)
    rig.controller.supervisor.note_unacknowledged([], are_all=False, has_come=True)
    told += rig.run(1)
    rig.controller.supervisor.note_unacknowledged([], are_all=False, has_come=False)
    told = [values for values in told + rig.run(ARRIVAL_PERIODS + 20) if values is not None]
    assert told
    assert np.array(told) == pytest.approx(np.tile(rig.place, (len(told), 1)), abs=1e-6)


def test_one_dof_that_does_not_follow_means_another_driver_for_all():
    rig = Rig()
    rig.run(3 * TIMEOUT_PERIODS, sees=False)
    shares = np.full(len(ARM.dofs), 0.5)
    shares[2] = 1.1
    rig.place = HOME + shares * np.array([following_limit(dof) for dof in ARM.dofs])
    told = [values for values in rig.run(20) if values is not None]
    assert told[0] == pytest.approx(rig.place, abs=1e-6)
