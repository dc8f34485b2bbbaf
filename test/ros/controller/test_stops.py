"""A stop never speeds up, and ends at rest, whatever the clock of the node does."""

from __future__ import annotations

import time

import numpy as np
import pytest
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rosgraph_msgs.msg import Clock as ClockMessage
from std_msgs.msg import Float64MultiArray

from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import to_time
from support import fake_arm
from support.controller_rig import ControllerRig
from support.fake_arm import FakeArm, demanded, write_velocity_contract
from support.ros_client import RosClient

pytestmark = pytest.mark.ros

START = (0.5, -0.5)
HOUR_NS = 3_600 * 10**9


def estop_until_rest(rig, arm):
    """E-stop an arm in motion; return the times between which it stops [ns]."""
    rig.status.clear()
    assert rig.trigger("estop")
    stopped_ns = to_ns(rig.expect(Mode.ESTOP).header.stamp)
    resting = arm.received.wait(
        where=lambda m: (
            to_ns(m.header.stamp) > stopped_ns and not any(np.any(point.velocities) for point in m.points)
        )
    )
    assert rig.trigger("reset")
    return stopped_ns, to_ns(resting.header.stamp)


def test_an_estop_never_speeds_up_and_ends_at_rest(start_controller, arm, ros_client):
    start_controller()
    rig = ControllerRig(ros_client)
    rig.begin()
    stops = []
    for goal in (3.0, -3.0, 3.0):
        # Speeding up.
        rig.move(goal, 0.0, until=0.02)
        stops.append(estop_until_rest(rig, arm))
    times_ns, demand = demanded(arm.received.messages)
    times_ns, speeds = times_ns[1:], np.abs(np.diff(demand, axis=0)) * 1e3
    # What the lead adds, and what it takes to ease the acceleration.
    rise = 0.02 * fake_arm.ACCELERATION + fake_arm.ACCELERATION**2 / (2 * fake_arm.STOP_JERK)
    for begin_ns, end_ns in stops:
        stop = speeds[(times_ns >= begin_ns) & (times_ns <= end_ns)]
        assert stop[0].max() > 0.1, "in motion"
        assert (stop <= stop[0] + rise + 1e-3).all()
        # It may have come to rest within the last millisecond.
        assert not np.any(stop[-1] > fake_arm.STOP_JERK * 1e-3**2 / 2), "at rest"
    assert np.abs(np.diff(demand, 2, axis=0)).max() * 1e6 < 1.01 * fake_arm.STOP_ACCELERATION
    assert not arm.refusals


class SimClock:
    """``/clock`` at the pace of wall time, until the test does something to it."""

    def __init__(self, client: RosClient):
        self._offset_ns = 10**12 - time.monotonic_ns()
        self._paused_ns: int | None = None
        self._publisher = client.node.create_publisher(ClockMessage, "/clock", qos.LOCKSTEP_CLOCK)
        client.node.create_timer(0.005, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def now_ns(self) -> int:
        if self._paused_ns is not None:
            return self._paused_ns
        return time.monotonic_ns() + self._offset_ns

    def pause(self) -> None:
        self._paused_ns = self.now_ns()

    def set_back(self) -> None:
        self._offset_ns -= 500 * 10**9

    def _tick(self) -> None:
        self._publisher.publish(ClockMessage(clock=to_time(self.now_ns())))


class VelocityRig:
    """A controller that sends velocities, in motion at ``speed`` [rad/s] or more."""

    def __init__(self, client: RosClient, speed: float, stamp_ns: int | None = None):
        self.velocities = client.subscribe(Float64MultiArray, fake_arm.VELOCITY_TOPIC, fake_arm.EVERY)
        self.rig = ControllerRig(client, action_space="delta_joint_position")
        self.rig.begin()
        self.rig.send(0.05, 0.0, stamp_ns=stamp_ns)
        self.velocities.wait(where=lambda m: m.data[0] >= speed)

    def stops_for_good(self) -> None:
        """After an e-stop of now it comes to rest, and goes on to say so."""
        self.velocities.clear()
        assert self.rig.trigger("estop")
        self.velocities.wait(20, where=lambda m: not np.any(m.data))
        speeds = np.array([message.data for message in self.velocities.messages])[:, 0]
        moving = np.trim_zeros(speeds, "b")
        assert len(moving) > 2 and np.all(moving > 0), "little by little, and rest is rest"
        self.rig.expect(Mode.ESTOP)


SYSTEM_CLOCK = {
    "set back": lambda thread, rig: setattr(thread.clock, "offset_ns", -HOUR_NS),
    "set forward": lambda thread, rig: setattr(thread.clock, "offset_ns", HOUR_NS),
    "replaced by a simulated one": lambda thread, rig: rig.set_parameter("use_sim_time", value=True),
}
SIMULATED_CLOCK = {"stands still": SimClock.pause, "set back": SimClock.set_back}


@pytest.mark.parametrize("change", SYSTEM_CLOCK)
def test_an_estop_runs_to_its_end_whatever_becomes_of_the_system_clock(
    start_controller, arm, ros_client, tmp_path, change
):
    thread = start_controller(write_velocity_contract(tmp_path))
    moving = VelocityRig(ros_client, speed=0.55)
    SYSTEM_CLOCK[change](thread, moving.rig)
    moving.stops_for_good()


@pytest.mark.parametrize("change", SIMULATED_CLOCK)
def test_an_estop_runs_to_its_end_whatever_becomes_of_a_simulated_clock(
    start_controller, ros_client, tmp_path, change
):
    clock = SimClock(ros_client)
    with FakeArm(START, clock.now_ns) as arm:
        arm.hold()
        start_controller(write_velocity_contract(tmp_path), use_sim_time=True)
        moving = VelocityRig(ros_client, speed=0.55, stamp_ns=clock.now_ns())
        SIMULATED_CLOCK[change](clock)
        moving.stops_for_good()


def test_commands_go_on_while_the_clock_stands_still(start_controller, ros_client, tmp_path):
    clock = SimClock(ros_client)
    with FakeArm(START, clock.now_ns) as arm:
        arm.hold()
        start_controller(write_velocity_contract(tmp_path), use_sim_time=True)
        moving = VelocityRig(ros_client, speed=0.55, stamp_ns=clock.now_ns())
        clock.pause()
        moving.velocities.clear()
        moving.velocities.wait(20, where=lambda m: not np.any(m.data))


def test_a_clock_that_is_set_back_is_told_and_a_chunk_of_now_moves_on(
    start_controller, arm, ros_client, tmp_path
):
    thread = start_controller(write_velocity_contract(tmp_path))
    moving = VelocityRig(ros_client, speed=0.55)
    thread.clock.offset_ns = -HOUR_NS
    moving.rig.expect(Mode.HOLDING, Reason.CLOCK_JUMP)
    moving.velocities.wait(where=lambda m: not np.any(m.data))


def test_deactivation_waits_for_rest_however_long_it_takes(start_controller, arm, ros_client, tmp_path):
    # 3.5 s from full speed.
    start_controller(write_velocity_contract(tmp_path, velocity=0.35, acceleration=0.1))
    moving = VelocityRig(ros_client, speed=0.349)
    moving.velocities.clear()
    moving.rig.transition("deactivate")
    moving.velocities.wait(where=lambda m: not np.any(m.data))
    speeds = np.array([message.data for message in moving.velocities.messages])[:, 0]
    assert speeds[-1] == 0.0 and np.diff(speeds).max() <= 1e-9
    moving.rig.expect(Mode.IDLE, Reason.INACTIVE)
