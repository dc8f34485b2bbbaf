"""Everything around a controller that can go wrong, in true time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from asyncvla_ros.bench.safety_chunks import MS, AdversarialChunks
from asyncvla_ros.bench.safety_robot import STEP_NS, RobotUnderTest
from asyncvla_ros.bench.safety_space import Links
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Command, Mode
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.motion_limits import following_limit
from asyncvla_ros.robot.stops import stops

MakeController = Callable[..., Controller]
# Periods until an arm stands, at most: longer than any stop from full speed.
STOP_PERIODS = 1000
# Chunks between two signs of progress.
REPORT = 20
# How late a timer may be: always [ms], now and then [ms], seldom [ms]; and how often.
JITTER_MS, LATE_MS, MISSING_MS = 5, (20, 500), (500, 3000)
LATE_CHANCE, MISSING_CHANCE = 0.02, 0.001
# How old a measurement may be when it arrives [ms].
OLDEST_MS = 30
# Share of the following-error limit within which a first command is where an arm rests: samples agree within
# 1 % of it over 40 ms or more, and what still moves goes on so for 60 ms, until the command.
AGREEMENT = 0.025
# Share of the following-error limit beyond which an arm may be taken for one that does not obey.
NEARLY = 0.9
# A tool is switched to reduced mode at this speed [m/s].
REDUCED = 0.25


class AdversarialWorld:
    """Drives a controller through chunks, faults and restarts while drivers and arm go on in true time.

    Args:
        robot: The contract; a state is named after the dof it measures, or its workspace names it.
        seed: Of everything random.
        arm_kind: One of ``safety_arms.ARMS``.
        make_controller: Makes the controller to test, of the contract and ``urdf``.
        urdf: Robot description for a contract with a guard.
        links: Forward kinematics for the guard, None: none.
    """

    def __init__(
        self,
        robot: RobotContract,
        seed: int,
        arm_kind: str,
        make_controller: MakeController = Controller,
        urdf: str = "",
        links: Links | None = None,
    ):
        self.exceptions: Counter[str] = Counter()
        self.modes: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self.accepted = self.restarts = 0
        self._robot = robot
        self._rng = rng = np.random.default_rng(seed)
        self.under_test = RobotUnderTest(robot, rng, arm_kind, links)
        self._chunks = AdversarialChunks(robot, rng)
        self._controller = make_controller(robot, urdf=urdf)
        slowest_s = max((stop.hold.time_s for stop in stops(robot)), default=0.0)
        self._slowest_stop_ns = round(1e9 * slowest_s) + 2 * robot.command_period_ns
        self._names = [dof.name if s is None else s.state for dof, s in _spaces(robot)]
        self._is_measured = np.array([name in robot.state_names for name in self._names])
        self._follow = np.array([following_limit(dof) for dof in robot.dofs])
        self._agree = AGREEMENT * self._follow
        self._at_ns, self._offset_ns = 10**12, 10**15
        self._blind_until_ns = self._due_ns = self._told_ns = 0
        self._seen_ns = self._at_ns
        self._jitter_ns = JITTER_MS * MS
        self._stopping = self._is_stop_asked = self._has_restarted = self._was_blind = False
        self.under_test.place(self._at_ns, self._standing_pose())
        self._controller.start()
        self._ready()

    def _standing_pose(self) -> np.ndarray:
        """Draw a pose (d,) inside the limits; its orientation, if it has one, is the identity."""
        pose = self.under_test.low + self._rng.random(len(self._names)) * (
            self.under_test.high - self.under_test.low
        )
        if self._robot.action_space == "ee_pose":
            pose[3:9] = (1, 0, 0, 0, 1, 0)
        if self.under_test.arm.kind == "wraps":
            # Where it stands at first, a turn more or less cannot be told.
            pose = np.clip(pose, -3.1, 3.1)
        return pose

    def run(self, chunks: int, advance: Callable[[int], None]) -> None:
        """Send so many chunks, and tell ``advance`` of every few of them."""
        for number in range(1, chunks + 1):
            self._disturb()
            self._go_to(self._at_ns + int(self._rng.integers(self._robot.command_period_ns)))
            self._guard(self._send_chunk)
            if self._controller.allows_early_update:
                self._guard(self._update)
            for _ in range(int(self._rng.integers(4))):
                self._tick()
            if number % REPORT == 0:
                advance(REPORT)

    @property
    def limit_stops(self) -> int:
        """How often a plan could not be taken and a piece of the stop was, by the controller's own count."""
        return self._controller.status(self._now_ns()).limit_stops

    def _now_ns(self) -> int:
        return self._at_ns + self._offset_ns

    def _tick(self) -> None:
        """Run the timer, more or less when it is due."""
        die = self._rng.random()
        late = int(self._rng.integers(self._jitter_ns + 1))
        if die < MISSING_CHANCE:
            late = int(self._rng.integers(*MISSING_MS)) * MS
        elif die < LATE_CHANCE:
            late = int(self._rng.integers(*LATE_MS)) * MS
        self._due_ns = max(self._due_ns + self._robot.command_period_ns, self._at_ns)
        self._go_to(self._due_ns + late)
        self._guard(self._update)
        self.modes[self._controller.mode.name] += 1

    def _go_to(self, at_ns: int) -> None:
        """Let true time pass: the arm moves and is measured."""
        while self._at_ns < at_ns:
            self._at_ns = min(at_ns, self._at_ns + STEP_NS)
            self.under_test.move_to(self._at_ns)
            arm = self.under_test.arm
            self._has_restarted |= arm.has_restarted
            for index in range(len(self._robot.driver_states)):
                state = self._robot.driver_states[index]
                self._controller.supervisor.note_driver(index, state.ready[0] if arm.has_drives else -99)
            if self._at_ns >= self._blind_until_ns:
                self._was_blind |= self._at_ns - self._seen_ns > 2e9 * self._robot.observation_timeout_s
                self._seen_ns = self._at_ns
                self._observe(arm.measured(), int(self._rng.integers(OLDEST_MS)) * MS)

    def _ready(self) -> None:
        supervisor = self._controller.supervisor
        for index, state in enumerate(self._robot.driver_states):
            supervisor.note_driver(index, state.ready[0])

    def _observe(self, measured: np.ndarray, age_ns: int) -> None:
        values = dict(zip(self._names, measured.tolist(), strict=True))
        for source in self._robot.state:
            known = {name: values.get(name, 0.0) for name in source.names}
            self._controller.observe(source.topic, self._now_ns() - age_ns, known)

    def _send_chunk(self) -> None:
        chunk = self._chunks.next(self._now_ns())
        rejection = self._controller.accept(chunk, self._now_ns())
        if rejection is None:
            self.accepted += 1
        else:
            self.rejections[rejection.reason.value] += 1

    def _update(self) -> None:
        unacknowledged = [] if self._is_acknowledged() and not self._has_restarted else ["outputs"]
        # A driver that went and came is another listener, even if nobody looked meanwhile.
        has_come, self._has_restarted = self._has_restarted, False
        self._controller.supervisor.note_unacknowledged(unacknowledged, are_all=True, has_come=has_come)
        self._obey(self._controller.update(self._now_ns(), self._at_ns))

    def _is_acknowledged(self) -> bool:
        """Return whether drivers hear: those that are away do not; those whose drives are off do."""
        arm = self.under_test.arm
        return arm.has_drives or arm.kind != "restarts"

    def _obey(self, command: Command) -> None:
        self._note_stop()
        if command.values is None:
            return
        standing = np.where(self._is_measured, self.under_test.arm.true(), np.nan)
        within = self._agree + self.under_test.arm.wandered()
        is_lost = self._was_blind and self.under_test.is_disobedient(NEARLY * self._follow)
        if is_lost and self.under_test.begins(command.values, standing, within):
            # It was out of sight, and is not where it was told to be: motion may begin where it is.
            self.under_test.restarted()
        self._was_blind = False
        self.under_test.send(command, standing, within)
        self._told_ns = self._at_ns

    def _note_stop(self) -> None:
        """Apply the limits of an emergency stop from the command before it until rest."""
        is_latched, at_rest = self._controller.mode in (Mode.ESTOP, Mode.FAULT), self._controller.at_rest
        if self._is_stop_asked or (is_latched and not at_rest):
            # It counts once, however often it is asked for.
            self.under_test.allow_stop(self._told_ns)
            self._stopping = True
        if self._stopping and at_rest:
            self.under_test.stop_over(self._at_ns)
            self._stopping = False
        self._is_stop_asked = False

    def _guard(self, action: Callable[[], object]) -> None:
        """Run ``action`` as the node does: an exception is a fault, and counted."""
        try:
            action()
        except Exception as error:
            self.exceptions[f"{type(error).__name__}: {error}"] += 1
            self._controller.fault(str(error))

    def _disturb(self) -> None:
        """Do, now and then, what should not happen."""
        controller = self._controller
        events: tuple[tuple[float, Callable[[], object]], ...] = (
            (0.01, self._restart),
            (0.01, self._estop),
            (0.3, controller.reset),
            (0.002, self._fault),
            (0.005, lambda: controller.on_policy_timeout(2.0)),
            (0.005, lambda: self._step_clock(-1)),
            (0.005, lambda: self._step_clock(1)),
            (0.01, self._go_blind),
            (0.005, self._observe_garbage),
            (0.01, self._change_jitter),
            (0.01, self._change_tool_speed),
        )
        dice = self._rng.random(len(events))
        for (chance, event), die in zip(events, dice, strict=True):
            if die < chance:
                self._guard(event)

    def _estop(self) -> None:
        """Stop in an emergency, with a command at once, as the node answers the service."""
        self._is_stop_asked = True
        self._controller.estop()
        self._update()

    def _fault(self) -> None:
        self._is_stop_asked = True
        self._controller.fault("injected")

    def _restart(self) -> None:
        """Deactivate until the arm stands, then activate, at times with the arm elsewhere."""
        self._obey(self._controller.stop(self._now_ns(), self._at_ns))
        for _ in range(STOP_PERIODS):
            if self._controller.at_rest:
                break
            self._go_to(self._at_ns + self._robot.command_period_ns)
            self._obey(self._controller.update(self._now_ns(), self._at_ns))
        self._go_to(self._at_ns + 500 * MS)
        is_elsewhere = bool(self._rng.random() < 0.3)
        if is_elsewhere:
            self.under_test.place(self._at_ns, self._by_hand())
        self._controller.start(is_elsewhere=is_elsewhere)
        self.under_test.restarted()
        self.restarts += 1

    def _by_hand(self) -> np.ndarray:
        """Draw a pose (d,) mostly inside the limits, sometimes a little or far outside."""
        pose = self._standing_pose()
        if self._robot.action_space != "ee_pose" and self.under_test.arm.kind != "wraps":
            beyond = self._rng.choice([0.0, 0.0, 1e-6, 0.2])
            pose = pose + beyond * self._rng.uniform(-1, 1, len(pose)) * (
                self.under_test.high - self.under_test.low
            )
        return pose

    def _step_clock(self, sign: int) -> None:
        """Let the node clock jump, but not true time."""
        self._offset_ns += sign * int(self._rng.integers(1, 5000)) * MS

    def _go_blind(self) -> None:
        self._blind_until_ns = self._at_ns + int(self._rng.integers(1, 2000)) * MS

    def _observe_garbage(self) -> None:
        source = self._robot.state[0]
        values = {name: float(self._rng.choice([np.nan, np.inf, -np.inf])) for name in source.names}
        self._controller.observe(source.topic, self._now_ns(), values)

    def _change_jitter(self) -> None:
        self._jitter_ns = int(self._rng.choice([0, MS // 2, MS, JITTER_MS * MS]))

    def _change_tool_speed(self) -> None:
        if self._robot.guard is not None:
            speed = None if self._rng.random() < 0.5 else REDUCED
            self._controller.limit_tool_speed(speed)
            # A tool that is faster has to brake first, in no more time than a stop takes.
            slow_ns = self._at_ns + (0 if speed is None else self._slowest_stop_ns)
            self.under_test.limit_tool(slow_ns, speed or self._robot.guard.speed or np.inf)


def _spaces(robot: RobotContract) -> list[tuple]:
    return [(dof, dof.workspace) for dof in robot.dofs]
