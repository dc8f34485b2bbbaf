"""Newest state of the robot: its values, its age, and whether the arm rests."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import ContractError

# Number of samples, and their least distance [ns], that must agree for rest: a single one may be wrong.
AGREEING = 3
APART_NS = 20_000_000
# Tolerance of agreement, as a share of the following-error limit.
AGREEMENT = 0.01


class RobotState:
    """The newest measured value of each state name, and a watchdog on every state topic.

    Args:
        robot: State topics and their timeout.
        agreeing: Consecutive samples that must agree before the arm counts as at rest.
    """

    def __init__(self, robot: RobotContract, agreeing: int = AGREEING):
        self._robot = robot
        self._names = {name: source.topic for source in robot.state for name in source.names}
        self._values: dict[str, float] = {}
        self._stamps: dict[str, int] = {}
        self._broken: dict[str, str] = {}
        self._agreeing = agreeing
        self._history: dict[str, deque[tuple[int, Mapping[str, float]]]] = {
            source.topic: deque(maxlen=agreeing) for source in robot.state
        }

    def observe(self, topic: str, stamp_ns: int, values: Mapping[str, float], now_ns: int | None) -> None:
        """Note a message acquired at ``stamp_ns`` [ns]; a broken or overtaken one changes no value.

        ``now_ns`` [ns], if known, is used to discard stamps from before a backward clock jump.
        """
        newest_ns = self._stamps.get(topic, stamp_ns)
        ahead_s = 0.0 if now_ns is None else (newest_ns - now_ns) / 1e9
        if stamp_ns < newest_ns and ahead_s <= self._robot.observation_timeout_s:
            return
        broken = {name: value for name, value in values.items() if not math.isfinite(value)}
        self._broken[topic] = ", ".join(f"{name} = {value}" for name, value in broken.items())
        if broken:
            return
        self._stamps[topic] = stamp_ns
        self._values.update(values)
        history = self._history[topic]
        if not history or not 0 <= stamp_ns - history[-1][0] < APART_NS or self._agreeing == 1:
            history.append((stamp_ns, dict(values)))

    def not_ready_reason(self, now_ns: int) -> str:
        """Return which topic is silent, stale or broken at ``now_ns`` [ns], so that nothing may move."""
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
                # The stamp is from before a clock jump: it would look fresh for ever.
                return f"{topic} is stamped {-age_s:.2f} s ahead, limit {limit_s:g} s"
        return ""

    @property
    def silent(self) -> tuple[str, ...]:
        """Topics without any usable message."""
        return tuple(source.topic for source in self._robot.state if source.topic not in self._stamps)

    def forget_times(self) -> None:
        """Keep values but forget their times, after a jump of the clock."""
        self._stamps.clear()
        for history in self._history.values():
            history.clear()

    def value(self, name: str) -> float:
        """Return the newest value of a state name; NaN if there is none."""
        return self._values.get(name, math.nan)

    def stamp_ns(self, name: str) -> int | None:
        """Return the acquisition time of a state's value [ns]; None if unknown."""
        return self._stamps.get(self._names.get(name, ""))

    def samples(self, name: str) -> tuple[tuple[int | None, float], ...]:
        """Return the stamps [ns] and values of the newest samples, oldest first.

        A stamp is None after a jump of the clock.
        """
        topic = self._names.get(name, "")
        known: list[tuple[int | None, float]] = [
            (at, sample[name]) for at, sample in self._history.get(topic, ())
        ]
        if name in self._values and (not known or known[-1][0] != self._stamps.get(topic)):
            known.append((self._stamps.get(topic), self._values[name]))
        return tuple(known)

    def sampled(self, name: str) -> tuple[int, float] | None:
        """Return the stamp [ns] and value of the newest sample for agreement; None without one."""
        history = self._history.get(self._names.get(name, ""))
        return (history[-1][0], history[-1][1][name]) if history else None

    def resting(self, name: str, tolerance: float, since_ns: int | None = None) -> float | None:
        """Return the newest of the samples that agree that a dof rests; None while they do not.

        Args:
            name: Of the state.
            tolerance: Greatest difference of samples that agree [unit].
            since_ns: Time from which samples count [ns, node clock]; None: all count.
        """
        history = self._history.get(self._names.get(name, ""), ())
        values = [sample[name] for stamp_ns, sample in history if since_ns is None or stamp_ns >= since_ns]
        if len(values) < self._agreeing or max(values) - min(values) > tolerance:
            return None
        return values[-1]


def check_states(robot: RobotContract) -> None:
    """Check that each tracked absolute dof and each workspace has a measured state.

    Raises:
        ContractError: one has none.
    """
    names = robot.state_names
    for dof in robot.dofs:
        where = f"{robot.name}: dof {dof.name}"
        choices = f"the robot's states are {', '.join(names)}"
        is_placed = dof.is_delta or dof.holds_command or dof.name in names
        if dof.velocity is not None and not is_placed:
            raise ContractError(
                f"{where} has a velocity limit, so its motion begins where it is measured, but no state "
                f"has its name; {choices} (a gripper that is not measured needs hold: commanded)"
            )
        if dof.workspace is not None and dof.workspace.state not in names:
            raise ContractError(f"{where} has a workspace of {dof.workspace.state!r}; {choices}")
