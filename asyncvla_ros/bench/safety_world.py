"""A simple robot, and everything around a controller that can go wrong."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

import numpy as np

from asyncvla_ros.bench.safety_audit import Audit
from asyncvla_ros.bench.safety_chunks import MS, HostileChunks
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Command, Mode
from asyncvla_ros.robot.contract import RobotContract

# Periods until an arm stands, at most: longer than any stop from full speed.
STOP_PERIODS = 300
# Share of its way to a target that the arm goes within a period.
FOLLOWS = 0.6
# Chunks between two signs of progress.
REPORT = 100
# How late a timer may be [ns].
JITTER_NS = MS // 2
# How late an observation may arrive [periods].
LATEST = 3


class HostileWorld:
    """Drives a controller through chunks, faults and restarts, and records what it sends.

    Args:
        robot: The contract; a state is named after the dof it measures, or its workspace names it.
        seed: Of everything random.
        make_controller: The controller to test.
    """

    def __init__(
        self,
        robot: RobotContract,
        seed: int,
        make_controller: Callable[[RobotContract], Controller] = Controller,
    ):
        self.audit = Audit(robot)
        self.exceptions: Counter[str] = Counter()
        self.modes: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self.accepted = self.restarts = 0
        self._robot = robot
        self._rng = np.random.default_rng(seed)
        self._chunks = HostileChunks(robot, self._rng)
        self._controller = make_controller(robot)
        self._is_delta = np.array([dof.is_delta for dof in robot.dofs])
        spaces = [dof.workspace for dof in robot.dofs]
        self._low = np.array(
            [d.minimum if s is None else s.minimum for d, s in zip(robot.dofs, spaces, strict=True)]
        )
        self._high = np.array(
            [d.maximum if s is None else s.maximum for d, s in zip(robot.dofs, spaces, strict=True)]
        )
        self._names = [d.name if s is None else s.state for d, s in zip(robot.dofs, spaces, strict=True)]
        self._now_ns = 10**12
        self._position = (self._low + self._high) / 2
        self._history: deque[tuple[int, np.ndarray]] = deque(maxlen=LATEST + 1)
        self._blind = 0
        self._has_sent = False
        self._standing = self._position
        self._sent_ns: int | None = None
        self._controller.start()

    def run(self, chunks: int, advance: Callable[[int], None]) -> None:
        """Sends so many chunks; ``advance`` is told of every few of them."""
        for number in range(1, chunks + 1):
            self._disturb()
            if self._controller.answers_at_once:
                # It comes at any time of a period, but after the timer of the last one.
                self._now_ns -= int(self._rng.integers(self._robot.period_ns - JITTER_NS))
            self._guard(self._send_chunk)
            self._step(answers=True)
            for _ in range(int(self._rng.integers(4))):
                self._step()
            if number % REPORT == 0:
                advance(REPORT)
        self.audit.finish()

    def _send_chunk(self) -> None:
        chunk = self._chunks.next(self._now_ns)
        rejection = self._controller.accept(chunk, self._now_ns)
        if rejection is None:
            self.accepted += 1
        else:
            self.rejections[rejection.reason.value] += 1

    def _disturb(self) -> None:
        """Now and then, what should not happen."""
        controller = self._controller
        events: tuple[tuple[float, Callable[[], object]], ...] = (
            (0.003, self._restart),
            (0.01, controller.estop),
            (0.1, controller.reset),
            (0.002, lambda: controller.fault("injected")),
            (0.005, lambda: controller.starve(2.0)),
            (0.005, self._jump_back),
            (0.005, self._jump_forth),
            (0.005, self._freeze),
            (0.01, self._go_blind),
            (0.005, self._observe_garbage),
            (0.005, self._shove),
        )
        dice = self._rng.random(len(events))
        for (chance, event), die in zip(events, dice, strict=True):
            if die < chance:
                self._guard(event)

    def _guard(self, action: Callable[[], object]) -> object:
        """As the node does it: an exception is a fault, and counted."""
        try:
            return action()
        except Exception as error:
            self.exceptions[f"{type(error).__name__}: {error}"] += 1
            self._controller.fault(str(error))
            return None

    def _step(self, answers: bool = False) -> None:
        """One control period, with the jitter of a timer; or the answer to a chunk, at once if possible."""
        self._history.append((self._now_ns, self._position.copy()))
        if self._blind:
            self._blind -= 1
        else:
            self._observe(int(self._rng.integers(len(self._history))))
        at_ns = self._now_ns + int(self._rng.integers(JITTER_NS))
        elapsed_ns = None
        if answers and self._controller.answers_at_once and self._sent_ns is not None:
            elapsed_ns = at_ns - self._sent_ns
        self._obey(self._guard(lambda: self._controller.update(at_ns, elapsed_ns)), at_ns, elapsed_ns)
        self.modes[self._controller.mode.name] += 1
        if at_ns % 16 == 0:
            # A timer that fires twice.
            self._obey(self._guard(lambda: self._controller.update(at_ns)), at_ns)
        self._now_ns += self._robot.period_ns

    def _observe(self, delay: int) -> None:
        stamp_ns, position = self._history[-1 - delay]
        values = dict(zip(self._names, position.tolist(), strict=True))
        if not self._has_sent:
            self._measured = position
        for source in self._robot.state:
            self._controller.observe(source.topic, stamp_ns, {name: values[name] for name in source.names})

    def _obey(self, command: object, at_ns: int, elapsed_ns: int | None = None) -> None:
        if not isinstance(command, Command) or command.values is None:
            return
        if not self._has_sent:
            self.audit.begin(self._measured)
            self._has_sent = True
        values = self._standing = command.values.astype(np.float64)
        before = self._position
        self._position = before + np.where(self._is_delta, values, FOLLOWS * (values - before))
        self._sent_ns = at_ns
        self.audit.add(values, before, self._position, elapsed_ns or self._robot.period_ns)

    def _restart(self) -> None:
        """Deactivation until the arm stands, then activation, with the arm moved by hand in between."""
        command = self._guard(lambda: self._controller.stop(self._now_ns))
        for _ in range(STOP_PERIODS):
            self._obey(command, self._now_ns)
            self._now_ns += self._robot.period_ns
            if self._controller.at_rest:
                break
            command = self._guard(lambda: self._controller.update(self._now_ns))
        if self._rng.random() < 0.5:
            self._move_by_hand()
        self._controller.start()
        self.restarts += 1
        self._history.clear()
        self._has_sent, self._sent_ns = False, None

    def _move_by_hand(self) -> None:
        """Mostly to somewhere inside the limits, sometimes a little or far outside."""
        beyond = self._rng.choice([0.0, 0.0, 1e-6, 0.2])
        share = self._rng.random(len(self._low)) * (1 + 2 * beyond) - beyond
        self._position = self._low + share * (self._high - self._low)

    def _shove(self) -> None:
        """An arm that did not start because it is outside is moved inside, and the fault is reset."""
        if not self._has_sent:
            self._position = self._low + self._rng.random(len(self._low)) * (self._high - self._low)
            self._history.clear()
            if self._controller.mode is Mode.FAULT:
                self._controller.reset()

    def _jump_back(self) -> None:
        self._now_ns -= int(self._rng.integers(1, 5000)) * MS
        self._sent_ns = None
        self._history.clear()

    def _jump_forth(self) -> None:
        self._now_ns += int(self._rng.integers(1, 5000)) * MS

    def _freeze(self) -> None:
        """The process stands still until the arm does, too."""
        self._jump_forth()
        self._controller.paused()
        if self._has_sent:
            self.audit.begin(self._standing)

    def _go_blind(self) -> None:
        self._blind = int(self._rng.integers(1, 200))

    def _observe_garbage(self) -> None:
        source = self._robot.state[0]
        values = {name: float(self._rng.choice([np.nan, np.inf, -np.inf])) for name in source.names}
        self._controller.observe(source.topic, self._now_ns, values)
