"""Steps of the system clock, without touching that of this machine: for the nodes of benchmarks alone."""

from __future__ import annotations

import time
from typing import Any, cast

from rclpy.clock import Clock, ROSClock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.time import Time
from rclpy.timer import Timer
from std_msgs.msg import Int64MultiArray

from asyncvla_ros.ros import qos

TOPIC = "/clock_steps"


class SteppedClock:
    """A node's clock that can be stepped.

    Args:
        clock: The node's own, which it is in everything but ``now``.
    """

    def __init__(self, clock: ROSClock):
        self._clock = clock
        self._before_ns = self._after_ns = self._at_ns = 0

    def step(self, at_ns: int, by_ns: int) -> None:
        """Step the clock by ``by_ns`` [ns] at ``at_ns`` [ns, steady]."""
        self._before_ns, self._at_ns = self._after_ns, at_ns
        self._after_ns += by_ns

    def now(self) -> Time:
        """Return the time."""
        offset_ns = self._after_ns if time.monotonic_ns() >= self._at_ns else self._before_ns
        return Time(nanoseconds=self._clock.now().nanoseconds + offset_ns, clock_type=ClockType.ROS_TIME)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


class SteppedClocks(Node):
    """Mixin, before the class of a node: its clock takes the steps published for all nodes.

    A step back also keeps timers of the node clock waiting, as a step of the system clock does.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._steps_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_subscription(Int64MultiArray, TOPIC, self._on_step, qos.STATUS)

    def get_clock(self) -> Any:
        """Return the clock that is stepped."""
        if "_stepped_clock" not in self.__dict__:
            self._stepped_clock = SteppedClock(cast(ROSClock, super().get_clock()))
        return self._stepped_clock

    def _on_step(self, message: Int64MultiArray) -> None:
        at_ns, by_ns = message.data
        self.get_clock().step(at_ns, by_ns)
        if by_ns < 0:
            self._after(at_ns - time.monotonic_ns(), lambda: self._stall(-by_ns))

    def _stall(self, duration_ns: int) -> None:
        """Stop the timers of the node clock for as long as it was set back [ns]."""
        timers = [timer for timer in self.timers if timer.clock.clock_type is ClockType.ROS_TIME]
        running = [timer for timer in timers if not timer.is_canceled()]
        for timer in running:
            timer.cancel()
        self._after(duration_ns, lambda: _go_on(running))

    def _after(self, wait_ns: int, action: Any) -> None:
        """Call ``action`` once, after ``wait_ns`` [ns] of steady time."""

        def act() -> None:
            self.destroy_timer(timer)
            action()

        timer = self.create_timer(max(wait_ns, 0) / 1e9, act, clock=self._steps_clock)


def _go_on(timers: list[Timer]) -> None:
    for timer in timers:
        timer.reset()


def step_message(at_ns: int, by_ns: int) -> Int64MultiArray:
    """Return the message on ``TOPIC`` that steps clocks by ``by_ns`` [ns] at ``at_ns`` [ns, steady]."""
    return Int64MultiArray(data=[at_ns, by_ns])
