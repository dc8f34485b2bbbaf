"""A controller of an arm that obeys at once, observed in every period, with every command judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from asyncvla_ros.bench.safety_contracts import joint_arm
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.safety import Rejection
from asyncvla_ros.control.types import Command, Mode, Reason
from asyncvla_ros.robot.contract import RobotContract
from support.limits import HoldingDriver

ARM = replace(joint_arm(), ramp_s=0.0)
MIDDLE = np.array([(dof.minimum + dof.maximum) / 2 for dof in ARM.dofs])
GRIPS = np.array([dof.holds_command for dof in ARM.dofs])
GOAL = MIDDLE + 0.3 * np.array([dof.maximum - dof.minimum for dof in ARM.dofs])


class Rig:
    """The arm, its driver, and a policy that wants the same in each action.

    Args:
        robot: Of the arm.
        position: (d,) where it is [unit].
        options: Of the controller.
    """

    def __init__(self, robot: RobotContract = ARM, position: np.ndarray = MIDDLE, **options: Any):
        self.robot, self.position = robot, np.array(position, float)
        self.controller = Controller(robot, **options)
        self.controller.start()
        self.now_ns, self.steady_ns = 10**12, 0
        self.sees, self.ids = True, 0
        self.sent: list[Command] = []
        self.driver = HoldingDriver(robot, self.position)
        self.stand()

    def stand(self) -> None:
        """Expect the first command where the arm is measured now."""
        is_known = [dof.name in self.robot.state_names for dof in self.robot.dofs]
        self.driver.stand(np.where(is_known, self.position, np.nan))

    def send(self, goal: np.ndarray = GOAL, length: int = 8, stamp_ns: int | None = None) -> Rejection | None:
        """Receive a chunk with the same target in each action."""
        self.ids += 1
        actions = np.broadcast_to(np.asarray(goal, np.float32), (length, len(self.robot.dofs)))
        stamp_ns = self.now_ns if stamp_ns is None else stamp_ns
        names, space = self.robot.dof_names, self.robot.action_space
        chunk = StampedChunk(1, self.ids, stamp_ns, self.robot.action_period_ns, space, names, actions)
        return self.controller.accept(chunk, self.now_ns)

    def see(self) -> None:
        """Measure the arm where it is, but for the last dof of joint_arm."""
        values = dict(zip(self.robot.state_names, self.position.tolist(), strict=False))
        self.controller.observe("joint_states", self.now_ns, values)

    def run(self, periods: int, late_ns: int = 0) -> None:
        """Run this many periods, each ``late_ns`` too long."""
        for _ in range(periods):
            if self.sees:
                self.see()
            self.now_ns += self.robot.command_period_ns + late_ns
            self.steady_ns += self.robot.command_period_ns + late_ns
            self.obey(self.controller.update(self.now_ns, self.steady_ns))

    def obey(self, command: Command) -> None:
        """Move the arm to where it is commanded."""
        if command.values is not None:
            self.sent.append(command)
            self.driver.hear(command.at_ns, command.values)
            is_delta = np.array([dof.is_delta for dof in self.robot.dofs])
            after = np.where(is_delta, self.position + command.values, command.values)
            self.position = np.where(np.isnan(after), self.position, after)

    def ready(self) -> Rig:
        """Seen at rest."""
        self.run(10)
        return self

    def moving(self) -> Rig:
        """Half a chunk in, at speed."""
        self.ready()
        assert self.send() is None
        self.run(15)
        assert self.controller.mode is Mode.TRACKING and not self.controller.at_rest
        return self

    def check(self, mode: Mode, reason: Reason) -> None:
        """Check the controller's mode and reason, and that no command broke a limit."""
        assert (self.controller.mode, self.controller.reason) == (mode, reason)
        assert not self.driver.breaks
