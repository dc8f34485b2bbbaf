"""What the robot last said about itself, and whether that is recent enough to move on."""

from __future__ import annotations

import math
from collections.abc import Mapping

from asyncvla_ros.robot.contract import RobotContract


class RobotState:
    """The newest measured value of each state name, and a watchdog on every state topic.

    Args:
        robot: State topics and their timeout.
    """

    def __init__(self, robot: RobotContract):
        self._robot = robot
        self._names = {name: source.topic for source in robot.state for name in source.names}
        self._values: dict[str, float] = {}
        self._stamps: dict[str, int] = {}
        self._broken: dict[str, str] = {}

    def observe(self, topic: str, stamp_ns: int, values: Mapping[str, float], now_ns: int | None) -> None:
        """Notes a message acquired at ``stamp_ns`` [ns]; a broken one, or one overtaken, changes no value.

        ``now_ns`` [ns], if known, tells of a clock that was set back: its stamps are over.
        """
        newest_ns = self._stamps.get(topic, stamp_ns)
        ahead_s = 0.0 if now_ns is None else (newest_ns - now_ns) / 1e9
        if stamp_ns < newest_ns and ahead_s <= self._robot.observation_timeout_s:
            return
        broken = {name: value for name, value in values.items() if not math.isfinite(value)}
        self._broken[topic] = ", ".join(f"{name} = {value}" for name, value in broken.items())
        if not broken:
            self._stamps[topic] = stamp_ns
            self._values.update(values)

    def obstacle(self, now_ns: int) -> str:
        """Why nothing may move at ``now_ns`` [ns]: a topic that is silent, stale or broken; else empty."""
        limit_s = self._robot.observation_timeout_s
        for source in self._robot.state:
            topic = source.topic
            if self._broken.get(topic):
                return f"{topic} is not finite: {self._broken[topic]}"
            if topic not in self._stamps:
                return f"no robot state received on {topic}"
            age_s = (now_ns - self._stamps[topic]) / 1e9
            if age_s > limit_s:
                return f"{topic} is {age_s:.2f} s old, limit {limit_s:g} s"
            if age_s < -limit_s:
                # Left from before a jump of the clock: it would look fresh for ever.
                return f"{topic} is stamped {-age_s:.2f} s ahead, limit {limit_s:g} s"
        return ""

    def forget_times(self) -> None:
        """After a jump of the clock: values stay, but nothing is recent any more."""
        self._stamps.clear()

    def value(self, name: str) -> float:
        """The newest value of a state name; NaN if there is none."""
        return self._values.get(name, math.nan)

    def stamp_ns(self, name: str) -> int | None:
        """When the value of a state name was acquired [ns]; None if that is unknown."""
        return self._stamps.get(self._names.get(name, ""))
