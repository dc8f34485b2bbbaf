"""One output of a robot in true time: its drivers, and a judge for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncvla_ros.bench.safety_audit import DriverAudit
from asyncvla_ros.bench.safety_drivers import (
    HeldPositionDriver,
    HeldVelocityDriver,
    PoseDriver,
    ServoDriver,
    Trajectory,
    TrajectoryDriver,
)
from asyncvla_ros.bench.safety_space import Links
from asyncvla_ros.control.output_values import OutputValues
from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.contract import Output, RobotContract

# A command reaches a driver within this, and within half a command period [ns].
TRANSPORT_NS = 5_000_000
# Two commands that differ by less are the same [unit].
SAME = 1e-9
FROM_DESIRED, FROM_MEASURED = "trajectory_from_desired", "trajectory_from_measured"
HELD: dict[str, type[HeldPositionDriver]] = {
    "forward_position": HeldPositionDriver,
    "gripper_command": HeldPositionDriver,
    "parallel_gripper_command": HeldPositionDriver,
    "forward_velocity": HeldVelocityDriver,
    "twist": ServoDriver,
    "pose": PoseDriver,
}


class Line:
    """One output: its driver or drivers, each with a judge, and what they make the dofs do.

    Args:
        robot: The contract.
        output: Of it.
        rng: Of how long a command takes.
        links: Forward kinematics for the guard, None: none.
    """

    def __init__(
        self, robot: RobotContract, output: Output, rng: np.random.Generator, links: Links | None = None
    ):
        self.index = [robot.dof_names.index(name) for name in output.dofs]
        self._values = OutputValues(robot, output)
        self._output, self._rng = output, rng
        self._delay_ns = min(TRANSPORT_NS, robot.command_period_ns // 2)
        self._pending: list[tuple[int, Any, bool]] = []
        self._jumps = False
        self._arrived_ns = 0
        self.is_rate = output.adapter in ("forward_velocity", "twist")
        self.is_trajectory = output.adapter == "joint_trajectory"
        self.is_judged = self._may_begin = False
        self._begun: set[str] = set()
        self._told = np.zeros(len(self.index))
        dofs = [robot.dofs[index] for index in self.index]
        low, high = np.array([dof.minimum for dof in dofs]), np.array([dof.maximum for dof in dofs])
        begin, end = (low, high) if output.travel is None else np.array(output.travel)[:, None]
        # dof = low + gain * (joint - begin)
        self._low, self._high, self._begin, self._gain = low, high, begin, (high - low) / (end - begin)
        self._holds = np.array([dof.holds_command for dof in dofs])
        self.drivers: dict[str, Any] = (
            {
                name: TrajectoryDriver(interpolate_from_desired=name == FROM_DESIRED)
                for name in (FROM_DESIRED, FROM_MEASURED)
            }
            if self.is_trajectory
            else {output.adapter: HELD[output.adapter]()}
        )
        self.audits = {name: DriverAudit(robot, output, links=links) for name in self.drivers}

    def restart(self, at_ns: int, dofs: np.ndarray) -> None:
        """Restart the drivers without memory where the (n,) dofs are."""
        self._pending.clear()
        joints = self._to_joints(dofs)
        for driver in self.drivers.values():
            driver.restart(at_ns, joints)
        for audit in self.audits.values():
            audit.suspend(at_ns)
        self.is_judged = self._may_begin = False
        self._begun = set()

    def _to_joints(self, dofs: np.ndarray) -> np.ndarray:
        return np.zeros(len(dofs)) if self.is_rate else self._begin + (dofs - self._low) / self._gain

    def send(self, command: Command, standing: np.ndarray, within: np.ndarray) -> None:
        """Pass a command on; the first one must begin where the (n,) dofs are ``standing``."""
        assert command.values is not None
        if self._values.says_nothing(command.values) or self._values.is_repeated(command):
            return
        self._values.note_sent(command)
        self._judge_first(command, standing, within)
        if self.is_trajectory:
            way = self._values.waypoints(command)
            message: Any = Trajectory(
                command.at_ns, way.times_ns, way.positions, way.velocities, accelerations=way.accelerations
            )
        else:
            to_message = self._values.rate if self.is_rate else self._values.position
            message = to_message(command.values)
            for audit in self.audits.values():
                audit.add(command.at_ns, message)
        arrives_ns = command.at_ns + int(self._rng.integers(self._delay_ns))
        if not self.is_rate:
            self._told = self._values.position(command.values)
        # In order, however long each takes.
        self._arrived_ns = max(self._arrived_ns, arrives_ns)
        self._pending.append((self._arrived_ns, message, self._jumps))
        self._jumps = False

    def _judge_first(self, command: Command, standing: np.ndarray, within: np.ndarray) -> None:
        """Require a first command to be where the arm rests, or where its driver stands."""
        assert command.values is not None
        if self.is_judged and not self._may_begin:
            return
        # A gripper that is measured beyond its range begins inside.
        standing = np.where(self._holds, np.clip(standing, self._low, self._high), standing)
        joints, near = self._to_joints(standing), np.abs(within / self._gain)
        first = np.zeros(len(joints)) if self.is_rate else self._values.position(command.values)
        is_near = self.is_judged & (np.abs(first - self._told) <= SAME)
        stays = bool(is_near.all())
        if self.is_trajectory:
            # What is not measured stands where it begins.
            if not stays and (np.abs(first - joints) > near).any():
                for audit in self.audits.values():
                    audit.violations["position"] += 1
            # A driver that begins where it measures jumps there by itself, if it is elsewhere.
            self._jumps = not stays
        elif not stays:
            for audit in self.audits.values():
                audit.begin(command.at_ns, np.where(is_near, self._told, joints), near)
        self.is_judged = True
        self._may_begin = False

    def restarted(self) -> None:
        """Expect a first command again, after the controller was activated anew."""
        self._may_begin = True

    def demand(self, at_ns: int) -> np.ndarray:
        """Return what the first driver demands of the dofs at ``at_ns``, (n,): positions or velocities."""
        while self._pending and self._pending[0][0] <= at_ns:
            received_ns, message, jumps = self._pending.pop(0)
            self._begun -= {FROM_MEASURED} if jumps else set()
            for name, driver in self.drivers.items():
                driver.receive(received_ns, message)
                if self.is_trajectory and name not in self._begun:
                    # Where the driver stands when the first one arrives.
                    self.audits[name].begin(received_ns, np.full(len(self.index), np.nan))
            self._begun = set(self.drivers)
        for name, driver in self.drivers.items():
            if self.is_trajectory:
                self.audits[name].watch(driver, at_ns)
        first = next(iter(self.drivers.values()))
        joints = first.demand(at_ns)
        return joints if self.is_rate else self._low + self._gain * (joints - self._begin)

    def measure(self, dofs: np.ndarray) -> None:
        """Take what joint states say of the (n,) dofs."""
        if self.is_trajectory:
            for driver in self.drivers.values():
                driver.measure(self._to_joints(dofs))
