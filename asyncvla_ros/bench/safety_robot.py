"""One robot in true time: the drivers of a contract, the arm that obeys them, and a judge for each driver."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncvla_ros.bench.safety_arms import MeasuredArm
from asyncvla_ros.bench.safety_audit import DriverAudit
from asyncvla_ros.bench.safety_line import SAME, Line
from asyncvla_ros.bench.safety_space import Links
from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.contract import RobotContract

# The arm is moved on, and measured, so often [ns].
STEP_NS = 10_000_000
# After so many periods without a command a rate is adrift, and with what lags for so long more [ns].
GAP, ADRIFT_NS = 2, 500_000_000


class RobotUnderTest:
    """Obeys commands, and has them judged.

    Args:
        robot: The contract.
        rng: Source of everything random.
        arm_kind: One of ``safety_arms.ARMS``.
        links: Forward kinematics for the guard, None: none.
    """

    def __init__(
        self, robot: RobotContract, rng: np.random.Generator, arm_kind: str, links: Links | None = None
    ):
        self._robot = robot
        carried = [output for output in robot.outputs if output.adapter != "action_command"]
        self.lines = [Line(robot, output, rng, links) for output in carried]
        command = next((output for output in robot.outputs if output.adapter == "action_command"), None)
        # Where it only tells what other outputs do, nobody is moved by it.
        self._commands = None if carried or command is None else DriverAudit(robot, command, is_float32=True)
        self._command_begun = False
        self._holds = np.array([dof.holds_command for dof in robot.dofs])
        self._is_delta = np.array([dof.is_delta for dof in robot.dofs])
        low = np.array([dof.minimum if d is None else d.minimum for dof, d in _spaces(robot)])
        high = np.array([dof.maximum if d is None else d.maximum for dof, d in _spaces(robot)])
        self.low, self.high = low, high
        # Where everything commanded so far leads.
        self._led_to = (low + high) / 2
        self.arm = MeasuredArm(rng, len(robot.dofs), arm_kind, (low, high))
        self._is_away = self._is_adrift = self._may_begin = False
        self._told = np.full(len(robot.dofs), np.nan)
        self._at_ns = self._told_ns = self._adrift_until_ns = 0
        self.commands = 0

    def place(self, at_ns: int, dofs: np.ndarray) -> None:
        """Put the arm, as its drivers know it, at (d,) ``dofs``."""
        self._led_to, self._at_ns = dofs.copy(), at_ns
        for line in self.lines:
            line.restart(at_ns, dofs[line.index])
        if self._commands is not None:
            self._commands.suspend(at_ns)
        self._command_begun = False
        self.arm.place(at_ns, self._led_to)

    def restarted(self) -> None:
        """Expect first commands again, after the controller was activated anew."""
        self._may_begin = True
        for line in self.lines:
            line.restarted()

    def is_disobedient(self, reach: np.ndarray) -> bool:
        """Return whether an absolute dof is farther than ``reach`` (d,) from where its driver wants it."""
        apart = np.abs(self.arm.true() - self._led_to)
        if self.arm.kind == "wraps":
            apart = np.minimum(apart, np.abs(apart - 2 * np.pi))
        return bool((apart > np.where(self._is_delta, np.inf, reach)).any())

    def begins(self, values: np.ndarray, standing: np.ndarray, within: np.ndarray) -> bool:
        """Return whether a command (d,) begins ``within`` (d,) of where the arm is ``standing`` (d,)."""
        return not (np.abs(values - standing) > np.where(self._holds, np.inf, within)).any()

    @property
    def is_standing(self) -> bool:
        """Whether no driver has a command since the arm was placed."""
        return not (self._command_begun or any(line.is_judged for line in self.lines))

    def send(self, command: Command, standing: np.ndarray, within: np.ndarray) -> None:
        """Pass on a command; a first one may begin ``within`` (d,) of ``standing`` (d,)."""
        if command.values is None or self._is_away:
            return
        self.commands += 1
        self._told_ns = command.at_ns
        for line in self.lines:
            line.send(command, standing[line.index], within[line.index])
        # As the message carries them.
        values: np.ndarray = np.asarray(command.values, np.float32).astype(np.float64)
        known = ~np.isnan(values)
        if self._commands is not None and known.all():
            self._judge_first(self._commands, command.at_ns, values, standing, within=within)
            self._commands.add(command.at_ns, values)
            self._told = values
        if not self.lines and known.all():
            self._led_to = np.where(self._is_delta, self._led_to + values, values)

    def _judge_first(
        self,
        audit: DriverAudit,
        at_ns: int,
        values: np.ndarray,
        standing: np.ndarray,
        within: np.ndarray,
    ) -> None:
        """Require a first action to be where the arm rests, or the one before again."""
        is_near = self._is_delta | (np.abs(values - self._told) <= SAME)
        if not self._command_begun or (self._may_begin and not is_near.all()):
            begin = np.where(self._holds, np.clip(standing, self.low, self.high), standing)
            begin = np.where(is_near & self._command_begun, self._told, begin)
            audit.begin(at_ns, np.where(self._is_delta, 0.0, begin), within)
        self._command_begun, self._may_begin = True, False

    def move_to(self, at_ns: int) -> None:
        """Let time go on to ``at_ns``: drivers demand, the arm obeys as it can."""
        while self._at_ns < at_ns:
            next_ns = min(at_ns, self._at_ns + STEP_NS)
            for line in self.lines:
                demand = line.demand(next_ns)
                if line.is_rate:
                    self._led_to[line.index] += demand * (next_ns - self._at_ns) / 1e9
                else:
                    self._led_to[line.index] = demand
            if not self.arm.obeys:
                # A change that is not made is not made up for.
                self._led_to = np.where(self._is_delta, self.arm.true(), self._led_to)
                self._adrift_until_ns = next_ns + ADRIFT_NS
            self._leave()
            self.arm.step(next_ns, self._led_to)
            self._at_ns = next_ns
            is_late = next_ns - self._told_ns > GAP * self._robot.command_period_ns
            if is_late and any(line.is_rate for line in self.lines):
                # A rate goes on while nobody commands; what lags goes on a little longer.
                self._adrift_until_ns = next_ns + ADRIFT_NS
            if self.arm.has_restarted:
                self.place(next_ns, self.arm.true())
            self._report()

    def _leave(self) -> None:
        """Stop judging until a driver that is away, and hears nothing, is back."""
        is_away = self.arm.kind == "restarts" and not self.arm.has_drives
        if is_away and not self._is_away:
            for line in self.lines:
                line.restart(self._at_ns, self.arm.true()[line.index])
            if self._commands is not None:
                self._commands.suspend(self._at_ns)
        self._is_away = is_away

    def _report(self) -> None:
        # A wrong sample on the topic of joint states is none in the driver.
        for line in self.lines:
            line.measure(self.arm.true()[line.index])
        self._is_adrift = self._at_ns <= self._adrift_until_ns or (self._is_adrift and not self._is_back())
        for audit in self._all():
            audit.place(self.arm.true(), is_judged=not self._is_adrift)

    def _is_back(self) -> bool:
        """Return whether the arm is inside, and stays so when it has come to where the drift has led."""
        places = np.stack([self.arm.true(), self.arm.settled(self._led_to)])
        return bool(((self.low <= places) & (places <= self.high)).all())

    def allow_stop(self, at_ns: int) -> None:
        """Apply the limits of an emergency stop from ``at_ns`` [ns] on."""
        for audit in self._all():
            audit.allow_stop(at_ns)

    def limit_tool(self, at_ns: int, speed: float) -> None:
        """Limit the tool's speed to this [m/s] from ``at_ns`` on."""
        for audit in self._all():
            audit.limit_tool(at_ns, speed)

    def stop_over(self, at_ns: int) -> None:
        """End the limits of an emergency stop at ``at_ns`` [ns]."""
        for audit in self._all():
            audit.stop_over(at_ns)

    def _all(self) -> list[DriverAudit]:
        audits = [audit for line in self.lines for audit in line.audits.values()]
        return audits if self._commands is None else [*audits, self._commands]

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return what ``DriverAudit.metrics`` says by driver model, added up over outputs of a kind."""
        found: dict[str, dict[str, Any]] = {}
        named = [(name, audit) for line in self.lines for name, audit in line.audits.items()]
        if self._commands is not None:
            named.append(("action_command", self._commands))
        for name, audit in named:
            audit.finish()
            found[name] = merged(found.get(name), audit.metrics())
        return found


def _spaces(robot: RobotContract) -> list[tuple[Any, Any]]:
    return [(dof, dof.workspace) for dof in robot.dofs]


def merged(one: dict[str, Any] | None, other: dict[str, Any]) -> dict[str, Any]:
    """Merge the metrics of two judges of one driver model."""
    if one is None:
        return other
    shares = {
        key: max(one["largest_share_of_limit"][key], value)
        for key, value in other["largest_share_of_limit"].items()
    }
    return {
        "samples": one["samples"] + other["samples"],
        "violations": {key: one["violations"][key] + value for key, value in other["violations"].items()},
        "jump_rad_max": max(one["jump_rad_max"], other["jump_rad_max"]),
        "largest_share_of_limit": shares,
    }
